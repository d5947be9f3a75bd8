//! A new configuration while the old one runs: taken only if it can be put into force.

use std::path::Path;

use anyhow::{Context as _, Result};
use tracing::warn;
use wattline_core::{Exporter, Telemetry};
use wattline_listen::Place;
use wattline_probe_llm::content::Content;

use crate::config::Config;
use crate::destinations;
use crate::engines;
use crate::listeners::Listeners;
use crate::live;

/// A configuration that can be put into force, with its destinations ready.
pub struct Fresh {
    /// The configuration.
    pub config: Config,
    /// Its destinations.
    pub exporters: Vec<Box<dyn Exporter>>,
    /// What becomes of the content of messages that are relayed.
    pub content: Content,
}

/// Reads the configuration again and tries it without disturbing what runs: certificates are read, ports that are not
/// `held` by us are opened for a moment, destinations are compared with our own addresses.
pub fn rehearse(path: Option<&Path>, current: &Config, held: &[Place], telemetry: &Telemetry) -> Result<Fresh> {
    let config = without_restart(Config::load(path)?, current);
    Listeners::rehearse(&config, held)?;
    if let Some(live) = &config.carbon.live {
        live::receiver(live, telemetry).context("carbon.live")?;
    }
    engines::check(&config.probes.engines)?;
    let exporters = destinations::exporters(&config, telemetry)?;
    let content = Content::new(&config.relay)?;
    Ok(Fresh { config, exporters, content })
}

/// The configuration without what only a restart changes, which is said.
fn without_restart(mut fresh: Config, current: &Config) -> Config {
    for (key, changed) in [
        ("role", fresh.role != current.role),
        ("host.root", fresh.host.root != current.host.root),
        ("host.lease", fresh.host.lease != current.host.lease),
        ("state.directory", fresh.state != current.state),
        ("ledger.max_bytes", fresh.ledger != current.ledger),
        ("log.level", fresh.log.level != current.log.level),
        ("log.format", fresh.log.format != current.log.format),
    ] {
        if changed {
            warn!(key, "this key has changed and is not taken over by a reload: restart to change it");
        }
    }
    fresh.role = current.role;
    fresh.host = current.host.clone();
    fresh.state = current.state.clone();
    fresh.ledger = current.ledger.clone();
    fresh.log = current.log.clone();
    fresh
}
