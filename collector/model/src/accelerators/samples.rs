//! The figures of one accelerator.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::attribute::{Attribute, key};
use wattline_core::reading::{
    AcceleratorFacts, AcceleratorMemory, AcceleratorState, Clocks, RemappedRows, SliceReading, Temperatures,
};
use wattline_core::sample::{Metric, Period};
use wattline_core::{Bytes, Count, Device, DeviceSlice, Quantity, Ratio, Sample, Seconds, Subject, Tick, metrics};

use super::means::Share;
use super::{Counted, Followed};

/// Appends them: what was counted as long as the device is known, the rest while it is read.
pub(super) fn of(device: &Device, known: &Followed, now: Tick, samples: &mut Vec<Sample>) {
    let period = Period { start: known.first.wall.min(now.wall), at: now.wall };
    let mut out = Out { subject: Arc::new(Subject::Device(device.clone())), period, samples };
    let is_read = known.is_fresh(now.at);
    status(known, is_read, &mut out);
    counted(known, &mut out);
    if is_read {
        info(&known.reading.facts, &mut out);
        shown(known, &mut out);
        let means = known.means.all();
        for (share, value) in &means {
            mean(share, *value, &mut out);
        }
        for slice in &known.reading.slices {
            of_slice(device, slice, &means, &mut out);
        }
    }
}

struct Out<'a> {
    subject: Arc<Subject>,
    period: Period,
    samples: &'a mut Vec<Sample>,
}

impl Out<'_> {
    fn push<Q: Quantity>(&mut self, metric: &'static Metric<Q>, attributes: Vec<Attribute>, value: Q) {
        self.samples.push(metric.sample(&self.subject, attributes, self.period, value));
    }
}

fn status(known: &Followed, is_read: bool, out: &mut Out<'_>) {
    let state = match &known.reading.state {
        AcceleratorState::Down(_) => "failed",
        AcceleratorState::Degraded(_) if is_read => "degraded",
        AcceleratorState::Works if is_read => "ok",
        // Nobody has looked for a minute: that says nothing of the device.
        AcceleratorState::Degraded(_) | AcceleratorState::Works => return,
    };
    for known in ["ok", "degraded", "failed"] {
        let is = Ratio::new(if known == state { 1.0 } else { 0.0 });
        out.push(&metrics::HW_STATUS, vec![Attribute::new(key::HW_STATE, known)], is);
    }
}

fn counted(known: &Followed, out: &mut Out<'_>) {
    for (counted, sum) in &known.sums {
        let (total, direction) = (sum.total as f64, |word| vec![Attribute::new(key::NETWORK_IO_DIRECTION, word)]);
        match counted {
            Counted::Errors(kind) => {
                out.push(&metrics::HW_ERRORS, vec![Attribute::new(key::ERROR_TYPE, kind.as_str())], Count::new(total));
            }
            Counted::Limited(limit) => {
                let label = vec![Attribute::new(key::HW_GPU_CLOCK_LIMIT, limit.as_str())];
                out.push(&metrics::HW_GPU_CLOCK_LIMITED_TIME, label, Seconds::new(total / 1e9));
            }
            Counted::Sent => out.push(&metrics::HW_GPU_IO, direction("transmit"), Bytes::new(total)),
            Counted::Received => out.push(&metrics::HW_GPU_IO, direction("receive"), Bytes::new(total)),
        }
    }
    for (number, count) in &known.xids {
        let labels = vec![Attribute::new(key::ERROR_TYPE, "xid"), Attribute::new(key::HW_GPU_XID, number.to_string())];
        out.push(&metrics::HW_ERRORS, labels, Count::new(*count as f64));
    }
    if let Some(RemappedRows { corrected, uncorrected, pending: _, failed: _ }) = known.remapped {
        for (kind, rows) in [("corrected", corrected), ("uncorrected", uncorrected)] {
            let label = vec![Attribute::new(key::ERROR_TYPE, kind)];
            out.push(&metrics::HW_GPU_MEMORY_ROWS, label, Count::new(rows as f64));
        }
    }
}

fn info(facts: &AcceleratorFacts, out: &mut Out<'_>) {
    let optional = [
        (key::HW_SERIAL_NUMBER, &facts.serial),
        (key::HW_DRIVER_VERSION, &facts.driver_version),
        (key::HW_GPU_ARCHITECTURE, &facts.architecture),
        (key::HW_GPU_PCI_ADDRESS, &facts.pci_address),
    ];
    let mut labels = vec![
        Attribute::new(key::HW_VENDOR, facts.vendor.clone()),
        Attribute::new(key::HW_MODEL, facts.name.clone()),
        Attribute::new(key::HW_GPU_INDEX, facts.index.to_string()),
    ];
    labels.extend(optional.into_iter().filter_map(|(name, value)| Some(Attribute::new(name, value.clone()?))));
    out.push(&metrics::HW_GPU_INFO, labels, Count::new(1.0));
    if let Some(limit) = facts.power_limit {
        out.push(&metrics::HW_GPU_POWER_LIMIT, Vec::new(), limit);
    }
}

fn shown(known: &Followed, out: &mut Out<'_>) {
    let reading = &known.reading;
    if let Some(AcceleratorMemory { total, used, reserved }) = reading.memory {
        out.push(&metrics::HW_GPU_MEMORY_LIMIT, Vec::new(), size(total));
        out.push(&metrics::HW_GPU_MEMORY_USAGE, Vec::new(), size(used));
        out.push(&metrics::HW_GPU_MEMORY_UTILIZATION, Vec::new(), Ratio::of(used as f64, total as f64));
        if let Some(reserved) = reserved {
            out.push(&metrics::HW_GPU_MEMORY_RESERVED, Vec::new(), size(reserved));
        }
    }
    let Temperatures { core, memory } = reading.temperatures;
    for (place, temperature) in [("core", core), ("memory", memory)] {
        if let Some(temperature) = temperature {
            out.push(&metrics::HW_TEMPERATURE, vec![Attribute::new(key::HW_SENSOR_LOCATION, place)], temperature);
        }
    }
    let Clocks { graphics, compute, memory, video } = reading.clocks;
    for (of, clock) in [("graphics", graphics), ("compute", compute), ("memory", memory), ("video", video)] {
        if let Some(clock) = clock {
            out.push(&metrics::HW_GPU_CLOCK, vec![Attribute::new(key::HW_GPU_CLOCK_OF, of)], clock);
        }
    }
    if let Some(processes) = &reading.processes {
        let all = || processes.iter().map(|process| process.contexts);
        for (context, count) in [
            ("compute", all().filter(|contexts| contexts.compute).count()),
            ("graphics", all().filter(|contexts| contexts.graphics).count()),
            ("mps", all().filter(|contexts| contexts.mps).count()),
        ] {
            let label = vec![Attribute::new(key::HW_GPU_CONTEXT, context)];
            out.push(&metrics::HW_GPU_PROCESSES, label, Count::new(count as f64));
        }
    }
}

fn mean(share: &Share, value: Ratio, out: &mut Out<'_>) {
    let label = |name, word: &'static str| vec![Attribute::new(name, word)];
    match share {
        Share::Task(task) => out.push(&metrics::HW_GPU_UTILIZATION, label(key::HW_GPU_TASK, task), value),
        Share::MemoryBusy => out.push(&metrics::HW_GPU_MEMORY_BUSY, Vec::new(), value),
        Share::Unit(unit) => out.push(&metrics::HW_GPU_ACTIVITY, label(key::HW_GPU_UNIT, unit), value),
        Share::Limited(limit) => {
            out.push(&metrics::HW_GPU_CLOCK_LIMITED, label(key::HW_GPU_CLOCK_LIMIT, limit.as_str()), value);
        }
        // With its slice.
        Share::SliceUnit(..) => {}
    }
}

fn of_slice(device: &Device, slice: &SliceReading, means: &BTreeMap<Share, Ratio>, out: &mut Out<'_>) {
    let SliceReading { facts, memory, activity: _ } = slice;
    let subject = Subject::Slice(DeviceSlice { device: device.clone(), id: facts.uuid.clone() });
    let mut out = Out { subject: Arc::new(subject), period: out.period, samples: out.samples };
    let profile = facts.profile.as_ref().map(|profile| Attribute::new(key::HW_GPU_SLICE_PROFILE, profile.clone()));
    let labels = || profile.clone().into_iter().collect::<Vec<_>>();
    if let Some(limit) = facts.memory_bytes.or(memory.map(|memory| memory.total)) {
        out.push(&metrics::HW_GPU_SLICE_MEMORY_LIMIT, labels(), size(limit));
    }
    if let Some(memory) = memory {
        out.push(&metrics::HW_GPU_SLICE_MEMORY_USAGE, labels(), size(memory.used));
    }
    if let Some(count) = facts.multiprocessors {
        out.push(&metrics::HW_GPU_SLICE_MULTIPROCESSORS, labels(), Count::new(f64::from(count)));
    }
    for (share, value) in means {
        if let Share::SliceUnit(uuid, unit) = share
            && *uuid == facts.uuid
        {
            let labels = [Attribute::new(key::HW_GPU_UNIT, *unit)].into_iter().chain(labels()).collect();
            out.push(&metrics::HW_GPU_SLICE_ACTIVITY, labels, *value);
        }
    }
}

fn size(bytes: u64) -> Bytes {
    Bytes::new(bytes as f64)
}
