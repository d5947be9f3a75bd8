//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use wattline_core::{Seconds, Timestamp};

const EXAMPLES: &str = "\
Examples:
  wattline                                measure this machine and show live numbers
  wattline --config /etc/wattline.toml    run as configured
  wattline snapshot --for 10s             one measured window, broken down by what ran
  wattline doctor                         what is measured, what is modelled, and why
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 wattline
                                          send everything to an OpenTelemetry Collector";

const CHECK_EXAMPLES: &str = "\
Examples:
  wattline check --config wattline.toml --offline
  wattline check --config wattline.toml --connect";

const FACTORS_EXAMPLES: &str = "\
Examples:
  wattline factors --region us-east-1 --instance p5.48xlarge
  wattline factors --region FR --at 2023
  wattline factors --json | jq .tables";

const FOOTPRINT_EXAMPLES: &str = "\
Examples:
  wattline footprint --instance m7i.xlarge --region eu-west-1 --hours 730 --utilization 0.3
  wattline footprint --cpu 'AMD EPYC 9654' --threads 192 --memory 768 --region DE --hours 24
  wattline footprint --tokens anthropic/claude-sonnet-4-5:1200:300 --calls 10000";

const REPLAY_EXAMPLES: &str = "Examples:
  wattline replay traces.jsonl --by agent
  wattline replay AWSLogs/123456789012/BedrockModelInvocationLogs --by day --format csv";

const REPORT_EXAMPLES: &str = "\
Examples:
  wattline report                                     the last day, by what ran
  wattline report --since 7days --by model            a week of language model calls
  wattline report --since 2026-11-01 --until 2026-12-01 --by device --format csv > november.csv";

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
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Read and validate the configuration only.
        #[arg(long)]
        offline: bool,
        /// Only try the destinations: send each an empty request of each of its signals, and tell what is wrong.
        #[arg(long, conflicts_with = "offline")]
        connect: bool,
        /// Print what --connect finds as JSON.
        #[arg(long, requires = "connect")]
        json: bool,
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
    /// Print the factors that would be used for a place or an instance type: where from, and how wrong they may be.
    #[command(after_help = FACTORS_EXAMPLES)]
    Factors(FactorsArgs),
    /// Compute energy, carbon, water and cost of a machine or of model calls from the tables, without measuring.
    #[command(after_help = FOOTPRINT_EXAMPLES)]
    Footprint(FootprintArgs),
    /// Tell what the books came to over a time: energy, carbon, cost and tokens by what they were for.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Read recorded calls of language models, and tell what the books over them come to.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
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

/// Where, and when.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// A region of AWS, Google Cloud or Azure; else a country (FR, FRA), a US state (US-VA) or a zone of a grid.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// The year whose factors are used, or the day whose token prices are, too: 2023 or 2023-05-01. By default now.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub at: Option<Date>,
}

/// What `wattline factors` is asked.
#[derive(Clone, Debug, Args)]
pub struct FactorsArgs {
    /// Where, and when.
    #[command(flatten)]
    pub place: Where,

    /// An instance type of AWS.
    #[arg(long, value_name = "TYPE")]
    pub instance: Option<String>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `wattline footprint` is asked.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("subject").args(["instance", "cpu", "tokens"]).required(true).multiple(true)))]
pub struct FootprintArgs {
    /// An instance type of AWS, such as p5.48xlarge.
    #[arg(long, value_name = "TYPE", conflicts_with = "cpu")]
    pub instance: Option<String>,

    /// A processor by its name, such as 'Intel Xeon Platinum 8488C'.
    #[arg(long, value_name = "MODEL", requires = "threads")]
    pub cpu: Option<String>,

    /// Hardware threads of that machine.
    #[arg(long, value_name = "N", requires = "cpu", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub threads: Option<u32>,

    /// Sockets of that machine; by default as many as its threads need.
    #[arg(long, value_name = "N", requires = "cpu", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub sockets: Option<u32>,

    /// Memory of that machine in GiB; by default what a median server has for each thread.
    #[arg(long, value_name = "GIB", requires = "cpu", value_parser = between::<1, 1_000_000>)]
    pub memory: Option<f64>,

    /// How many such machines.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,

    /// For how many hours.
    #[arg(long, value_name = "H", default_value_t = 1.0, value_parser = between::<0, 10_000_000>)]
    pub hours: f64,

    /// How busy processors and accelerators are, from 0 to 1; half is assumed when nobody says.
    #[arg(long, value_name = "SHARE", value_parser = between::<0, 1>)]
    pub utilization: Option<f64>,

    /// A model call: [PROVIDER/]MODEL:INPUT:OUTPUT with its tokens. May be repeated.
    #[arg(long, value_name = "MODEL:IN:OUT")]
    pub tokens: Vec<String>,

    /// How many of each of these calls.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = between::<0, 1_000_000_000_000>)]
    pub calls: f64,

    /// Where, and when.
    #[command(flatten)]
    pub place: Where,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `wattline report` is asked.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// From when: so long ago (24h, 7days), a day, or a time such as 2026-11-28T12:00:00Z.
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = moment)]
    pub since: Moment,

    /// Until when; by default now.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub until: Option<Moment>,

    /// What the rows stand for.
    #[arg(long, value_enum, default_value_t = By::Workload)]
    pub by: By,

    /// How it is written.
    #[command(flatten)]
    pub shape: Shape,
}

/// What `wattline replay` is asked.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Files, and folders of them: OTLP requests (protobuf, JSON, JSON lines), Amazon Bedrock's invocation log and the usage
    /// log of its hosted agents (JSON lines), expositions of inference engines; each as it is or compressed by gzip or zstd.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// What the rows stand for: model, provider, service, agent, operation or day.
    #[arg(long, value_enum, default_value_t = By::Model)]
    pub by: By,

    /// How it is written.
    #[command(flatten)]
    pub shape: Shape,
}

/// How a report is written.
#[derive(Clone, Debug, Args)]
pub struct Shape {
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Print JSON: the same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// The most rows to list in text and Markdown; what is beyond is summed up in one.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
}

/// What the rows of a report stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// What ran on this machine.
    Workload,
    /// The kinds of device of this machine.
    Device,
    /// What this machine's energy was doing: active, reserved, idle, unattributed.
    State,
    /// How this machine's energy is known.
    Method,
    /// Language models that were called.
    Model,
    /// Who sells these models.
    Provider,
    /// Services that called models.
    Service,
    /// Agents that called models.
    Agent,
    /// Operations: chat, embeddings.
    Operation,
    /// Days, in UTC.
    Day,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// For a page.
    Markdown,
}

/// A point in time, given as such or by how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Moment {
    /// The point in time, where it is `now`.
    pub fn of(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.back(Seconds::new(ago.as_secs_f64())),
            Self::At(at) => at,
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Some(date) = day(text) {
        return Ok(Moment::At(date.begin));
    }
    if let Ok(at) = humantime::parse_rfc3339_weak(text)
        && let Ok(since) = at.duration_since(std::time::UNIX_EPOCH)
    {
        let nanos = u64::try_from(since.as_nanos()).map_err(|_late| "that is too far away".to_owned())?;
        return Ok(Moment::At(Timestamp::from_unix_nanos(nanos)));
    }
    humantime::parse_duration(text).map(Moment::Ago).map_err(|_unreadable| {
        "write how long ago (24h, 7days), a day (2026-11-28) or a time (2026-11-28T12:00:00Z)".to_owned()
    })
}

/// A day, or a whole year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year.
    pub year: u16,
    /// The begin of the day, or of the year.
    pub begin: Timestamp,
}

fn date(text: &str) -> Result<Date, String> {
    let whole = if text.len() == 4 { format!("{text}-01-01") } else { text.to_owned() };
    day(&whole).ok_or_else(|| "write a year or a day, such as 2023 or 2023-05-01, not before 1990".to_owned())
}

fn day(text: &str) -> Option<Date> {
    let at = humantime::parse_rfc3339_weak(&format!("{text}T00:00:00Z")).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    let year = text.get(..4)?.parse().ok().filter(|year| *year >= 1990)?;
    Some(Date { year, begin: Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).ok()?) })
}

fn between<const LOW: u64, const HIGH: u64>(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (LOW as f64..=HIGH as f64).contains(number));
    number.ok_or_else(|| format!("write a number from {LOW} to {HIGH}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 5s or 2min"))?;
    if duration < Duration::from_secs(1) || duration > Duration::from_hours(24) {
        return Err("a window is between 1s and 24h".to_owned());
    }
    Ok(duration)
}
