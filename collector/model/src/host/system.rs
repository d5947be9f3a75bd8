//! The machine's own counters on their way to figures: units change, nothing else does.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::attribute::{Attribute, Text, key};
use wattline_core::reading::{
    CpuReading, CpuTimes, DiskReading, FilesystemReading, LoadReading, MemoryReading, NetworkReading, PagingReading,
    PressureReading, ProcessCount,
};
use wattline_core::sample::Period;
use wattline_core::{
    Bytes, Count, Instant, Inventory, Quantity, Ratio, Reading, Sample, Seconds, Subject, Tick, Timestamp, metrics,
    sample::Metric,
};

/// Filesystems are measured rarely; one that was not for this long is not mounted any more.
const FILESYSTEM_GONE: Seconds = Seconds::new(600.0);

/// The newest readings of each kind.
#[derive(Debug, Default)]
pub(crate) struct System {
    cpu: Option<CpuReading>,
    modes: Option<CpuTimes>,
    memory: Option<MemoryReading>,
    load: Option<LoadReading>,
    paging: Option<PagingReading>,
    processes: Option<ProcessCount>,
    disks: BTreeMap<Arc<str>, DiskReading>,
    networks: BTreeMap<Arc<str>, NetworkReading>,
    /// With the window in which each was measured last.
    filesystems: BTreeMap<Arc<str>, (FilesystemReading, Instant)>,
    pressure: BTreeMap<&'static str, PressureReading>,
    /// Names that the open window has shown; what a whole window did not show is gone.
    shown: Shown,
    first: Option<Tick>,
}

#[derive(Debug, Default)]
struct Shown {
    disks: Vec<Arc<str>>,
    networks: Vec<Arc<str>>,
}

impl System {
    pub(crate) fn take(&mut self, reading: &Reading, at: Instant) {
        match reading {
            Reading::Cpu(cpu) => self.cpu = Some(cpu.clone()),
            Reading::Memory(memory) => self.memory = Some(*memory),
            Reading::Load(load) => self.load = Some(*load),
            Reading::Paging(paging) => self.paging = Some(*paging),
            Reading::Processes(count) => self.processes = Some(*count),
            Reading::Disk(disk) => {
                self.shown.disks.push(Arc::clone(&disk.device));
                self.disks.insert(Arc::clone(&disk.device), disk.clone());
            }
            Reading::Network(network) => {
                self.shown.networks.push(Arc::clone(&network.interface));
                self.networks.insert(Arc::clone(&network.interface), network.clone());
            }
            Reading::Filesystem(filesystem) => {
                self.filesystems.insert(Arc::clone(&filesystem.mountpoint), (filesystem.clone(), at));
            }
            Reading::Pressure(pressure) => {
                self.pressure.insert(pressure.resource, pressure.clone());
            }
            _ => {}
        }
    }

    pub(crate) fn close_window(&mut self, modes: Option<CpuTimes>, tick: Tick) {
        self.modes = modes;
        self.first.get_or_insert(tick);
        let Shown { disks, networks } = std::mem::take(&mut self.shown);
        self.filesystems.retain(|_, (_, measured)| tick.at.since(*measured) <= FILESYSTEM_GONE);
        self.disks.retain(|name, _| disks.contains(name));
        self.networks.retain(|name, _| networks.contains(name));
    }

    pub(crate) fn samples(&self, inventory: &Inventory, now: Timestamp, samples: &mut Vec<Sample>) {
        let start = inventory.boot_time.or(self.first.map(|tick| tick.wall)).unwrap_or(now).min(now);
        let mut out = Out { host: Arc::new(Subject::Host), period: Period { start, at: now }, samples };
        self.cpu_samples(&mut out);
        self.memory_samples(&mut out);
        self.activity_samples(inventory.boot_time, &mut out);
        for disk in self.disks.values() {
            disk_samples(disk, &mut out);
        }
        for network in self.networks.values() {
            network_samples(network, &mut out);
        }
        for (filesystem, _) in self.filesystems.values() {
            filesystem_samples(filesystem, &mut out);
        }
    }

    fn cpu_samples(&self, out: &mut Out<'_>) {
        let Some(cpu) = &self.cpu else { return };
        let time = |out: &mut Out<'_>, times: &CpuTimes, number: Option<u32>| {
            for (mode, ns) in times.modes() {
                let mut attributes = vec![Attribute::new(key::CPU_MODE, mode)];
                attributes.extend(number.map(|number| Attribute::new(key::CPU_LOGICAL_NUMBER, number.to_string())));
                out.push(&metrics::SYSTEM_CPU_TIME, attributes, Seconds::new(ns as f64 / 1e9));
            }
        };
        if cpu.per_cpu.is_empty() {
            time(out, &cpu.total, None);
        }
        for (number, times) in &cpu.per_cpu {
            time(out, times, Some(*number));
        }
        out.push(&metrics::SYSTEM_CPU_COUNT, Vec::new(), Count::new(f64::from(cpu.online)));
        if let Some(modes) = self.modes {
            for (mode, ns) in modes.modes() {
                let share = Ratio::of(ns as f64, modes.total_ns() as f64);
                out.push(&metrics::SYSTEM_CPU_UTILIZATION, vec![Attribute::new(key::CPU_MODE, mode)], share);
            }
        }
    }

    fn memory_samples(&self, out: &mut Out<'_>) {
        let Some(memory) = self.memory else { return };
        let MemoryReading { total, free, available, buffers, cached, slab: _, swap_total, swap_free } = memory;
        let used = total.saturating_sub(free).saturating_sub(buffers).saturating_sub(cached);
        for (state, bytes) in [("used", used), ("free", free), ("buffers", buffers), ("cached", cached)] {
            let label = || vec![Attribute::new(key::MEMORY_STATE, state)];
            out.push(&metrics::SYSTEM_MEMORY_USAGE, label(), size(bytes));
            out.push(&metrics::SYSTEM_MEMORY_UTILIZATION, label(), Ratio::of(bytes as f64, total as f64));
        }
        out.push(&metrics::SYSTEM_MEMORY_LIMIT, Vec::new(), size(total));
        if let Some(available) = available {
            out.push(&metrics::SYSTEM_MEMORY_AVAILABLE, Vec::new(), size(available));
        }
        if swap_total > 0 {
            for (state, bytes) in [("used", swap_total.saturating_sub(swap_free)), ("free", swap_free)] {
                out.push(&metrics::SYSTEM_PAGING_USAGE, vec![Attribute::new(key::PAGING_STATE, state)], size(bytes));
            }
        }
    }

    fn activity_samples(&self, boot: Option<Timestamp>, out: &mut Out<'_>) {
        if let Some(LoadReading { one, five, fifteen }) = self.load {
            out.push(&metrics::SYSTEM_LOAD_1M, Vec::new(), Count::new(one));
            out.push(&metrics::SYSTEM_LOAD_5M, Vec::new(), Count::new(five));
            out.push(&metrics::SYSTEM_LOAD_15M, Vec::new(), Count::new(fifteen));
        }
        if let Some(PagingReading { minor_faults, major_faults, swapped_in, swapped_out }) = self.paging {
            let faults = [("minor", minor_faults), ("major", major_faults)];
            out.each(&metrics::SYSTEM_PAGING_FAULTS, key::PAGING_FAULT_TYPE, faults);
            let operations = [("in", swapped_in), ("out", swapped_out)];
            out.each(&metrics::SYSTEM_PAGING_OPERATIONS, key::PAGING_DIRECTION, operations);
        }
        if let Some(ProcessCount { all, running, blocked, created }) = self.processes {
            let rest = all.saturating_sub(running).saturating_sub(blocked);
            for (state, count) in [("running", running), ("sleeping", rest), ("blocked", blocked)] {
                let label = vec![Attribute::new(key::PROCESS_STATE, state)];
                out.push(&metrics::SYSTEM_PROCESS_COUNT, label, Count::new(count as f64));
            }
            out.push(&metrics::SYSTEM_PROCESS_CREATED, Vec::new(), Count::new(created as f64));
        }
        for PressureReading { resource, some_us, full_us } in self.pressure.values() {
            for (kind, us) in [("some", Some(*some_us)), ("full", *full_us)] {
                let Some(us) = us else { continue };
                let labels =
                    vec![Attribute::new(key::PRESSURE_RESOURCE, *resource), Attribute::new(key::PRESSURE_KIND, kind)];
                out.push(&metrics::SYSTEM_PRESSURE, labels, Seconds::new(us as f64 / 1e6));
            }
        }
        if let Some(boot) = boot {
            out.push(&metrics::SYSTEM_UPTIME, Vec::new(), out.period.at.since(boot));
        }
    }
}

struct Out<'a> {
    host: Arc<Subject>,
    period: Period,
    samples: &'a mut Vec<Sample>,
}

impl Out<'_> {
    fn push<Q: Quantity>(&mut self, metric: &'static Metric<Q>, attributes: Vec<Attribute>, value: Q) {
        self.samples.push(metric.sample(&self.host, attributes, self.period, value));
    }

    fn each<const N: usize>(
        &mut self,
        metric: &'static Metric<Count>,
        name: &'static str,
        values: [(&'static str, Option<u64>); N],
    ) {
        for (value, count) in values {
            if let Some(count) = count {
                self.push(metric, vec![Attribute::new(name, value)], Count::new(count as f64));
            }
        }
    }
}

fn size(bytes: u64) -> Bytes {
    Bytes::new(bytes as f64)
}

fn disk_samples(disk: &DiskReading, out: &mut Out<'_>) {
    let DiskReading { device, read_bytes, written_bytes, reads, writes, io_time_ms } = disk;
    let device = || Attribute::new(key::SYSTEM_DEVICE, Arc::clone(device));
    for (direction, bytes, operations) in [("read", read_bytes, reads), ("write", written_bytes, writes)] {
        let labels = || vec![device(), Attribute::new(key::DISK_IO_DIRECTION, direction)];
        out.push(&metrics::SYSTEM_DISK_IO, labels(), size(*bytes));
        out.push(&metrics::SYSTEM_DISK_OPERATIONS, labels(), Count::new(*operations as f64));
    }
    out.push(&metrics::SYSTEM_DISK_IO_TIME, vec![device()], Seconds::new(*io_time_ms as f64 / 1e3));
}

fn network_samples(network: &NetworkReading, out: &mut Out<'_>) {
    let received = (network.received_bytes, network.received_packets, network.receive_errors, network.receive_drops);
    let sent = (network.sent_bytes, network.sent_packets, network.send_errors, network.send_drops);
    for (direction, (bytes, packets, errors, drops)) in [("receive", received), ("transmit", sent)] {
        let labels = || {
            vec![
                Attribute::new(key::NETWORK_INTERFACE_NAME, Arc::clone(&network.interface)),
                Attribute::new(key::NETWORK_IO_DIRECTION, direction),
            ]
        };
        out.push(&metrics::SYSTEM_NETWORK_IO, labels(), size(bytes));
        out.push(&metrics::SYSTEM_NETWORK_PACKETS, labels(), Count::new(packets as f64));
        out.push(&metrics::SYSTEM_NETWORK_ERRORS, labels(), Count::new(errors as f64));
        out.push(&metrics::SYSTEM_NETWORK_DROPPED, labels(), Count::new(drops as f64));
    }
}

fn filesystem_samples(filesystem: &FilesystemReading, out: &mut Out<'_>) {
    let FilesystemReading { device, mountpoint, kind, read_only, used, free, reserved } = filesystem;
    for (state, bytes) in [("used", used), ("free", free), ("reserved", reserved)] {
        let labels = vec![
            Attribute::new(key::SYSTEM_DEVICE, Text::from(Arc::clone(device))),
            Attribute::new(key::FILESYSTEM_MODE, if *read_only { "ro" } else { "rw" }),
            Attribute::new(key::FILESYSTEM_MOUNTPOINT, Text::from(Arc::clone(mountpoint))),
            Attribute::new(key::FILESYSTEM_STATE, state),
            Attribute::new(key::FILESYSTEM_TYPE, Text::from(Arc::clone(kind))),
        ];
        out.push(&metrics::SYSTEM_FILESYSTEM_USAGE, labels, size(*bytes));
    }
}
