//! The command `wattline`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::sync::watch;
use wattline::cli::{Cli, Command, Common};
use wattline::config::{Config, Sampling};
use wattline::replay::Replayed;
use wattline::{
    account, clock, connect, doctor, factors, footprint, identity, log, metric_table, pid_file, replay, run, screen,
    snapshot,
};
use wattline_core::{HostRoot, queue};
use wattline_probe_host::inventory::{self, CloudConfig};

/// How many workloads the live screen shows.
const SCREEN_WORKLOADS: usize = 15;
/// On a screen a window this long shows change soon enough.
const SCREEN_WINDOW: Duration = Duration::from_secs(3);
/// How long threads that hang are waited for at the end.
const LEAVE_BEHIND: Duration = Duration::from_millis(200);
/// Log records waiting for the pipeline.
const LOG_QUEUE: usize = 1024;

/// What went wrong, as an exit code: 1 failed, 2 usage or configuration.
enum Failure {
    Failed(anyhow::Error),
    Usage(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A question that cannot be understood.
fn usage(error: &anyhow::Error) -> Failure {
    Failure::Usage(format!("{error:#}"))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(code) => code,
        Err(Failure::Failed(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

fn complain(message: &str) {
    // Nobody is left to tell when standard error is gone.
    writeln!(std::io::stderr(), "wattline: {message}").ok();
}

/// Prints to standard output. A reader that went away, as `head` does, is no failure.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("writing to standard output failed"),
    }
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { command, common } = cli;
    if let Some(Command::Metrics { json, markdown }) = command {
        let page = match (json, markdown) {
            (true, _) => metric_table::json()? + "\n",
            (_, true) => metric_table::markdown(),
            _ => metric_table::text(),
        };
        print(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    rustls::crypto::ring::default_provider().install_default().ok();
    let config = Config::load(common.config.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
    match command.unwrap_or(Command::Run) {
        Command::Run => start(&common, config),
        Command::Check { connect: true, json, .. } => try_destinations(&config, json),
        Command::Check { offline, .. } => check(&config, offline),
        Command::Reload => {
            pid_file::reload(&config.state.directory())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor { json } => {
            let findings = doctor::examine(&config)?;
            print(&if json { serde_json::to_string_pretty(&findings)? + "\n" } else { findings.text() })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Snapshot { window, json, top } => {
            let report = snapshot::measure(&config, window)?;
            print(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text(top) })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Factors(args) => {
            let found = factors::look_up(&args, &config, clock::wall()).map_err(|error| usage(&error))?;
            print(&if args.json { serde_json::to_string_pretty(&found)? + "\n" } else { found.text() })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Footprint(args) => {
            let answer = footprint::answer(&args, &config, clock::wall()).map_err(|error| usage(&error))?;
            print(&if args.json { serde_json::to_string_pretty(&answer)? + "\n" } else { answer.text() })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Report(args) => {
            let period = account::period(&args, clock::wall()).map_err(|error| usage(&error))?;
            print(&account::account(&config, period, args.by)?.written(&args.shape)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Replay(args) => {
            let Replayed { account, notes } = replay::replay(&config, &args).map_err(|error| usage(&error))?;
            print(&account.written(&args.shape)?)?;
            for note in notes {
                complain(&note);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Metrics { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn check(config: &Config, offline: bool) -> Result<ExitCode, Failure> {
    if offline {
        print("the configuration is fine\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let findings = doctor::examine(config)?;
    print(&findings.text())?;
    Ok(if findings.fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn try_destinations(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    let found = connect::try_all(config)?;
    print(&if json { serde_json::to_string_pretty(&found)? + "\n" } else { found.text() })?;
    Ok(if found.fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start(common: &Common, mut config: Config) -> Result<ExitCode, Failure> {
    // Whoever asks for a log, or for figures on standard output, gets these and no screen.
    let is_wanted_for_figures = config.exporters.file.iter().any(|destination| destination.path == "-");
    let screen =
        config.role.measures() && std::io::stdout().is_terminal() && !is_wanted_for_figures && common.log.is_none();
    if screen && config.sampling == Sampling::default() {
        config.sampling.window = SCREEN_WINDOW;
    }
    let (records, logs) = queue::bounded(LOG_QUEUE);
    let level = common.log.as_deref().unwrap_or(&config.log.level);
    let (inventory, _no_cloud_asked) = inventory::read(&HostRoot::new(&config.host.root), &CloudConfig::never());
    let resource = identity::resource(&inventory, config.role, &config.state.directory());
    let (_provider, warnings) =
        log::start(level, config.log.format, screen, records, &resource).map_err(Failure::Usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime failed")?;
    let path = common.config.clone();
    let outcome = runtime.block_on(async move {
        let (reports, shown) = watch::channel(None);
        let drawn = screen.then(|| tokio::spawn(screen::draw(shown, warnings, SCREEN_WORKLOADS)));
        Box::pin(run::run(path, config, inventory, logs, screen.then_some(reports))).await?;
        if let Some(drawn) = drawn {
            drawn.await.context("the screen failed")?;
        }
        Ok(ExitCode::SUCCESS)
    });
    // A write that hangs on a disk or on a pipe that nobody reads is left behind.
    runtime.shutdown_timeout(LEAVE_BEHIND);
    outcome
}
