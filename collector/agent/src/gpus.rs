//! GPUs: the probe, wired.

use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{HostRoot, Probe, Readings};
use wattline_probe_nvidia::{Access, Mode, NAME, NvidiaProbe};

use crate::clock;
use crate::config::Config;

/// The probe of NVIDIA's GPUs, unless the configuration has none. `access` is shared by all probes of this process.
pub fn probe(config: &Config, access: &Access) -> Option<NvidiaProbe> {
    let nvidia = &config.probes.nvidia;
    // By its own files a process tells whether it has the host's process ids, wherever the host is mounted.
    (nvidia.mode != Mode::Never).then(|| NvidiaProbe::open(nvidia.clone(), &HostRoot::new("/"), access.clone()))
}

/// How GPUs can be read now, with what to do about it.
pub fn examine(config: &Config) -> Vec<(SourceHealth, Option<String>)> {
    let Some(mut probe) = probe(config, &Access::default()) else {
        let looked = "not looked for: probes.nvidia.mode is \"never\"".to_owned();
        return vec![(SourceHealth { part: NAME, state: SourceState::Absent { looked } }, None)];
    };
    let tick = clock::tick();
    let mut readings = Readings::new(probe.name(), tick);
    // What fails is in the states.
    probe.read(tick, &mut readings).ok();
    let told = probe.sources().into_iter();
    told.map(|health| {
        let remedy = remedy(&health, config);
        (health, remedy)
    })
    .collect()
}

fn remedy(health: &SourceHealth, config: &Config) -> Option<String> {
    match &health.state {
        SourceState::Absent { .. } => Some(format!(
            "where there is an NVIDIA GPU, set probes.nvidia.library to the path of its driver's libnvidia-ml.so.1 (now {}), and in \
             a container let NVIDIA's toolkit put it there: NVIDIA_DRIVER_CAPABILITIES=utility",
            config.probes.nvidia.library.display()
        )),
        SourceState::Failed { .. } => Some("docs/gpus.md has what each of these failures asks for".to_owned()),
        SourceState::Up { .. } | SourceState::Denied { .. } => None,
    }
}
