//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  wattline                                measure this machine and show live numbers
  wattline --config /etc/wattline.toml    run as configured
  wattline snapshot --for 10s             one measured window, broken down by what ran
  wattline doctor                         what is measured, what is modelled, and why
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 wattline
                                          send everything to an OpenTelemetry Collector";

/// Observability for the energy, carbon and cost of generative AI.
#[derive(Debug, Parser)]
#[command(name = "wattline", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do; `run` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options of all commands.
    #[command(flatten)]
    pub common: Common,
}

/// Options of all commands.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Configuration file (TOML). Without one, defaults and the standard OTEL_* variables apply.
    #[arg(long, short, global = true, value_name = "FILE", env = "WATTLINE_CONFIG")]
    pub config: Option<PathBuf>,

    /// How much to log: error, warn, info, debug, trace, or a filter such as `wattline=debug`.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure until stopped, and deliver as configured.
    #[command(after_help = "Example:\n  wattline run --config /etc/wattline.toml")]
    Run,
    /// Read the configuration and open every source and listener once; exit 1 if anything is amiss.
    #[command(after_help = "Example:\n  wattline check --config wattline.toml --offline")]
    Check {
        /// Read and validate the configuration only.
        #[arg(long)]
        offline: bool,
    },
    /// Ask the running agent to read its configuration again, as SIGHUP does; its log tells what came of it.
    #[command(after_help = "Example:\n  wattline reload --config /etc/wattline.toml")]
    Reload,
    /// Tell of each source whether it is measured, modelled or unavailable, why, and what to do.
    #[command(after_help = "Example:\n  wattline doctor --json | jq '.sources[] | select(.state != \"up\")'")]
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure one window and break it down by component and workload, with method and range.
    #[command(after_help = "Example:\n  wattline snapshot --for 10s --json > window.json")]
    Snapshot {
        /// How long to measure.
        #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = duration)]
        window: Duration,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The most workloads to list.
        #[arg(long, value_name = "N", default_value_t = 15)]
        top: usize,
    },
    /// Print the metric table: every name that wattline emits.
    #[command(after_help = "Example:\n  wattline metrics --markdown > metrics.md")]
    Metrics {
        /// Print JSON.
        #[arg(long, conflicts_with = "markdown")]
        json: bool,
        /// Print Markdown.
        #[arg(long)]
        markdown: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 5s or 2min"))?;
    if duration < Duration::from_secs(1) || duration > Duration::from_hours(24) {
        return Err("a window is between 1s and 24h".to_owned());
    }
    Ok(duration)
}
