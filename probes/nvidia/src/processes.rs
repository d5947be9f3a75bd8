//! Who holds a GPU and how much of it each one uses.

use std::collections::BTreeMap;

use wattline_core::Ratio;
use wattline_core::reading::{AcceleratorProcess, Contexts, ProcessUtilization};

use crate::features::{Features, Question, Stop};
use crate::gpu::{Answer, Fault, Gpu, Holder, ProcessKind, ProcessSample};

/// More processes than this cannot hold one GPU: each takes a hundred megabytes of it. What says so is not believed.
const PROCESS_LIMIT: usize = 4096;

/// Samples may be this much ahead of our clock, in microseconds.
const CLOCKS_DIFFER_US: u64 = 5_000_000;

const KINDS: [(Question, ProcessKind); 3] = [
    (Question::Compute, ProcessKind::Compute),
    (Question::Graphics, ProcessKind::Graphics),
    (Question::Mps, ProcessKind::Mps),
];

/// The processes of a GPU or a slice: those of all lists, each once. `None` where they cannot be seen now: part of them
/// would look like all.
pub(crate) fn holders<G: Gpu>(gpu: &G, features: &mut Features) -> Result<Option<Vec<AcceleratorProcess>>, Stop> {
    let mut found = BTreeMap::new();
    for (question, kind) in KINDS {
        match features.ask(question, || or_none(gpu.processes(kind)))? {
            Some(holders) => holders.into_iter().for_each(|holder| note(&mut found, holder, kind)),
            None if kind == ProcessKind::Compute || features.can(question) => return Ok(None),
            None => {}
        }
    }
    Ok((found.len() <= PROCESS_LIMIT).then(|| found.into_values().collect()))
}

/// A list of which there is nothing to tell is empty.
fn or_none<T>(answer: Answer<Vec<T>>) -> Answer<Vec<T>> {
    match answer {
        Err(Fault::Nothing) => Ok(Vec::new()),
        answer => answer,
    }
}

fn note(found: &mut BTreeMap<u32, AcceleratorProcess>, holder: Holder, kind: ProcessKind) {
    let Holder { pid, memory_bytes, slice } = holder;
    // The driver shows processes that it may not name as number 0.
    if pid == 0 {
        return;
    }
    let process = found.entry(pid).or_insert(AcceleratorProcess {
        pid,
        contexts: Contexts::default(),
        memory_bytes,
        slice,
        utilization: None,
    });
    match kind {
        ProcessKind::Compute => process.contexts.compute = true,
        ProcessKind::Graphics => process.contexts.graphics = true,
        ProcessKind::Mps => process.contexts.mps = true,
    }
    // Each list tells the same memory of a process that stands in two of them.
    process.memory_bytes = process.memory_bytes.max(memory_bytes);
}

/// The samples that the driver takes of processes, followed over readings.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// The newest sample told; `None` before the first question.
    newest_us: Option<u64>,
}

impl Samples {
    /// Sets what each of `processes` used since the last reading. `now_us` is Unix time.
    pub(crate) fn read<G: Gpu>(
        &mut self,
        gpu: &G,
        features: &mut Features,
        now_us: u64,
        processes: &mut [AcceleratorProcess],
    ) -> Result<(), Stop> {
        // The first question would be answered with what the driver has kept from before. A clock that was set back
        // would hide all samples until it is there again.
        let known = self.newest_us.filter(|newest| *newest <= now_us.saturating_add(CLOCKS_DIFFER_US));
        let since = known.unwrap_or(now_us);
        let answer = features.ask(Question::ProcessUtilization, || or_none(gpu.process_utilization(since)))?;
        let Some(samples) = answer else { return Ok(()) };
        let newest = samples.iter().map(|sample| sample.at_us).fold(since, u64::max);
        self.newest_us = Some(newest);
        if known.is_none() {
            return Ok(());
        }
        for process in processes {
            process.utilization = Some(mean(samples.iter().filter(|sample| sample.pid == process.pid)));
        }
        Ok(())
    }
}

/// The mean of a process's samples; no sample is told of a process that did nothing.
fn mean<'a>(samples: impl Iterator<Item = &'a ProcessSample>) -> ProcessUtilization {
    let (mut sum, mut count) = (ProcessUtilization::default(), 0_u32);
    for ProcessSample { shares, .. } in samples {
        sum.multiprocessor += shares.multiprocessor;
        sum.memory += shares.memory;
        sum.encoder += shares.encoder;
        sum.decoder += shares.decoder;
        count += 1;
    }
    let part = |sum: Ratio| Ratio::of(sum.get(), f64::from(count));
    ProcessUtilization {
        multiprocessor: part(sum.multiprocessor),
        memory: part(sum.memory),
        encoder: part(sum.encoder),
        decoder: part(sum.decoder),
    }
}
