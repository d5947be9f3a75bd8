//! The log: to standard error, to the pipeline, and its last warnings to the screen.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};
use wattline_core::{Attribute, Envelope, queue};

use crate::config::LogFormat;
use crate::telemetry;

/// How many warnings the screen keeps.
const KEPT: usize = 4;
/// Parts whose own words about sending would themselves have to be sent.
const QUIET: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "rustls", "tonic"];

/// The last warnings, for the screen.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<VecDeque<String>>>);

impl Warnings {
    /// The last few, oldest first.
    pub fn last(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Starts logging. The provider must be kept for as long as the pipeline should get log records.
///
/// `screen` says that a live screen owns the terminal: lines then go to the returned [`Warnings`] only.
pub fn start(
    level: &str,
    format: LogFormat,
    screen: bool,
    records: queue::Sender<Envelope>,
    resource: &[Attribute],
) -> Result<(SdkLoggerProvider, Warnings), String> {
    let filter = || EnvFilter::try_new(level).map_err(|error| format!("log.level = {level}: {error}"));
    let (provider, bridge) = telemetry::log_layer(resource, records);
    let mut sent = EnvFilter::new("info");
    for target in QUIET {
        sent = sent.add_directive(format!("{target}=off").parse().map_err(|error| format!("{target}: {error}"))?);
    }
    let warnings = Warnings::default();
    let text = (!screen && format == LogFormat::Text).then(|| {
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal())
    });
    let json = (!screen && format == LogFormat::Json)
        .then(|| tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr));
    tracing_subscriber::registry()
        .with(text.with_filter(filter()?))
        .with(json.with_filter(filter()?))
        .with(bridge.with_filter(sent))
        .with(warnings.clone())
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok((provider, warnings))
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let mut line = Line(format!("{}:", event.metadata().level()));
        event.record(&mut line);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        }
        .ok();
    }
}
