//! `wattline check --connect`: whether each destination takes what it would be sent, and what is wrong if not.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;
use wattline_core::Signal;
use wattline_export_otlp::{Fault, Trial, try_out};

use crate::clock;
use crate::config::Config;

/// What became of the trials.
#[derive(Debug, Serialize)]
pub struct Found {
    /// One for each signal of each destination that is sent OTLP; files need no trial.
    pub destinations: Vec<Outcome>,
}

/// What one destination did with the request of one signal.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The destination's name.
    pub destination: String,
    /// The table of the configuration that names it.
    pub table: &'static str,
    /// The signal; absent where the destination cannot be opened at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<&'static str>,
    /// Where it was sent.
    pub endpoint: String,
    /// `up` or `failed`.
    pub state: &'static str,
    /// What is at fault: `dns`, `refused`, `silent`, `proxy`, `tls`, `credential`, `protocol`, `busy`, `configuration` or
    /// `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// What happened.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Tries all destinations, one after the other.
pub fn try_all(config: &Config) -> Result<Found> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime failed")?;
    let mut destinations = Vec::new();
    for (table, destination) in config.exporters.all_otlp() {
        let name = destination.name.clone();
        match runtime.block_on(try_out(destination, clock::wall)) {
            Ok(trials) => destinations.extend(trials.into_iter().map(|trial| outcome(table, &name, trial))),
            Err(error) => destinations.push(Outcome {
                destination: name,
                table,
                signal: None,
                endpoint: String::new(),
                state: "failed",
                fault: Some("configuration"),
                detail: format!("{} {}", error.key, error.problem),
                remedy: Some("correct the key".to_owned()),
            }),
        }
    }
    Ok(Found { destinations })
}

fn outcome(table: &'static str, destination: &str, trial: Trial) -> Outcome {
    let Trial { signal, endpoint, outcome } = trial;
    let (state, fault, detail, remedy) = match outcome {
        Ok(detail) => ("up", None, detail, None),
        Err(Fault { kind, detail, remedy }) => ("failed", Some(kind.as_str()), detail, Some(remedy)),
    };
    let signal = Some(Signal::as_str(signal));
    Outcome { destination: destination.to_owned(), table, signal, endpoint, state, fault, detail, remedy }
}

impl Found {
    /// Whether every destination takes everything.
    pub fn fine(&self) -> bool {
        self.destinations.iter().all(|outcome| outcome.fault.is_none())
    }

    /// For people.
    pub fn text(&self) -> String {
        if self.destinations.is_empty() {
            return "no destination is configured that is sent OTLP\n".to_owned();
        }
        let mut page = String::new();
        for outcome in &self.destinations {
            let Outcome { destination, table, signal, endpoint, state, fault, detail, remedy } = outcome;
            let name = format!("{destination} {}", signal.unwrap_or(table));
            let fault = fault.map(|fault| format!("{fault}: ")).unwrap_or_default();
            writeln!(page, "{state:<7} {name:<24} {endpoint}").ok();
            writeln!(page, "{:<32} {fault}{detail}", "").ok();
            if let Some(remedy) = remedy {
                writeln!(page, "{:<32} -> {remedy}", "").ok();
            }
        }
        page
    }
}
