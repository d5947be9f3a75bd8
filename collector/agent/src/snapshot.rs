//! `wattline snapshot`: one measured window.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use wattline_core::{HostRoot, Probe, ReadError, Reading, Readings, Snapshot};
use wattline_probe_host::{HostProbe, ProcessScan, inventory};
use wattline_probe_nvidia::Access;

use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::report::Report;
use crate::{clock, gpus, identity, live};

/// Measures this machine for `window`, reading every process at every tick.
pub fn measure(config: &Config, window: Duration) -> Result<Report> {
    Ok(measured(config, window)?.0)
}

/// As [`measure`], with the figures that destinations would be told.
pub fn measured(config: &Config, window: Duration) -> Result<(Report, Snapshot)> {
    if !config.role.measures() {
        bail!("a snapshot measures a machine, and role = \"{}\" measures none", config.role.as_str());
    }
    let mut config = config.clone();
    // One window: it is settled by hand when the time is over.
    config.sampling.window = window + Duration::from_hours(1);
    config.probes.host.process_scan = ProcessScan::EveryTick;
    config.probes.nvidia.interval = Duration::ZERO;
    let root = HostRoot::new(&config.host.root);
    let mut pipeline = Pipeline::new(&config, identity::own_pid(&root));
    let mut described = Readings::new("inventory", clock::tick());
    let (inventory, health) = inventory::read(&root, &config.probes.cloud);
    described.items.push(Reading::Inventory(Arc::new(inventory)));
    described.items.extend(health.into_iter().map(Reading::Health));
    if let Some(live) = &config.carbon.live {
        // What fails is told by `doctor`; the yearly average takes its place, and the page names it.
        let readings = live::ask_once(live).unwrap_or_default();
        described.items.extend(readings.into_iter().map(Reading::Intensity));
    }
    pipeline.ingest(&described);
    let mut gpus = gpus::probe(&config, &Access::default());
    if let Some(gpus) = &mut gpus {
        // The driver may take seconds to wake a GPU: they are before the window and not in it.
        let mut woken = Readings::new(gpus.name(), clock::tick());
        gpus.read(woken.tick, &mut woken).ok();
        woken.items.retain(|item| matches!(item, Reading::Health(_)));
        pipeline.ingest(&woken);
    }
    let mut probes: Vec<Box<dyn Probe>> = vec![Box::new(HostProbe::open(config.probes.host.clone(), &root))];
    probes.extend(gpus.map(|probe| Box::new(probe) as Box<dyn Probe>));

    let begin = clock::tick();
    let mut elapsed = Duration::ZERO;
    loop {
        let tick = clock::tick();
        for probe in &mut probes {
            let mut readings = Readings::new(probe.name(), tick);
            match probe.read(tick, &mut readings) {
                Ok(()) | Err(ReadError::Transient { .. }) => {}
                Err(error) => bail!("measuring failed: {error}"),
            }
            pipeline.ingest(&readings);
        }
        if elapsed >= window {
            break;
        }
        let next = (elapsed + config.sampling.interval).min(window);
        let now = Duration::from_secs_f64(clock::tick().at.since(begin.at).get());
        std::thread::sleep(next.saturating_sub(now));
        elapsed = next;
    }
    pipeline.settle_now(clock::tick().wall);
    match Report::of(&pipeline) {
        Some(report) => Ok((report, pipeline.snapshot(clock::tick(), &[]))),
        None => bail!("nothing could be read below {}: is it the root of a Linux host?", config.host.root.display()),
    }
}
