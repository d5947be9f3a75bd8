//! The counters of one control group.

use std::io;
use std::sync::Arc;

use wattline_core::reading::CgroupReading;
use wattline_core::{HostRoot, Instant, Seconds, Workload};

use super::layout::Layout;
use super::text::{field, io_stat, throttled_io};
use crate::kept::{self, Budget, KeptFile};

/// A control group that is a workload.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: u64,
    pub(super) workload: Arc<Workload>,
    /// The workload group around it.
    pub(super) inside: Option<u64>,
    cpu: KeptFile,
    memory: KeptFile,
    memory_absent: bool,
    inactive_file: Option<u64>,
    slow_due: Instant,
}

/// What a group is read with.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) root: &'a HostRoot,
    pub(super) budget: &'a Budget,
    pub(super) layout: &'a Layout,
    pub(super) at: Instant,
    pub(super) slow_period: Seconds,
    pub(super) buffer: &'a mut Vec<u8>,
}

impl Group {
    pub(super) fn new(id: u64, workload: Arc<Workload>, inside: Option<u64>) -> Self {
        Self {
            id,
            workload,
            inside,
            cpu: KeptFile::default(),
            memory: KeptFile::default(),
            memory_absent: false,
            inactive_file: None,
            slow_due: Instant::default(),
        }
    }

    /// Reads the counters of the group at `path`. Of memory and block devices, what a file that is missing or unfit
    /// would say stays unknown; without CPU time there is no reading.
    pub(super) fn read(&mut self, path: &str, with: &mut Reader<'_>) -> io::Result<CgroupReading> {
        let mut reading = CgroupReading {
            id: self.id,
            workload: Arc::clone(&self.workload),
            inside: self.inside,
            cpu_ns: 0,
            cpu_user_ns: None,
            cpu_system_ns: None,
            throttled_ns: None,
            memory_bytes: None,
            working_set_bytes: None,
            read_bytes: None,
            written_bytes: None,
        };
        let slow = with.at >= self.slow_due;
        match with.layout {
            Layout::Unified { mount } => self.read_unified(&format_args!("{mount}{path}"), slow, with, &mut reading)?,
            Layout::Split { .. } => self.read_split(path, slow, with, &mut reading)?,
        }
        if slow {
            self.slow_due = next_due(self.slow_due, self.id, with);
        }
        let working_set = |bytes: u64| bytes.saturating_sub(self.inactive_file.unwrap_or(0));
        reading.working_set_bytes = reading.memory_bytes.filter(|_| self.inactive_file.is_some()).map(working_set);
        Ok(reading)
    }

    fn read_unified(
        &mut self,
        directory: &std::fmt::Arguments<'_>,
        slow: bool,
        with: &mut Reader<'_>,
        reading: &mut CgroupReading,
    ) -> io::Result<()> {
        let micros = |text: &[u8], key: &str| field(text, key).map(|micros| micros.saturating_mul(1_000));
        self.cpu.read(with.root, with.budget, || format!("{directory}/cpu.stat"), with.buffer)?;
        reading.cpu_ns = micros(with.buffer, "usage_usec").ok_or_else(|| unfit("usage_usec"))?;
        reading.cpu_user_ns = micros(with.buffer, "user_usec");
        reading.cpu_system_ns = micros(with.buffer, "system_usec");
        reading.throttled_ns = micros(with.buffer, "throttled_usec");
        reading.memory_bytes = self.read_memory(slow, with, || format!("{directory}/memory.current"));
        if slow {
            self.inactive_file =
                once(with, format!("{directory}/memory.stat")).and_then(|text| field(text, "inactive_file"));
            let io = once(with, format!("{directory}/io.stat")).map(io_stat);
            (reading.read_bytes, reading.written_bytes) = io.unzip();
        }
        Ok(())
    }

    fn read_split(
        &mut self,
        path: &str,
        slow: bool,
        with: &mut Reader<'_>,
        reading: &mut CgroupReading,
    ) -> io::Result<()> {
        let layout = with.layout;
        let Layout::Split { cpuacct, cpu, memory, blkio } = layout else { return Ok(()) };
        self.cpu.read(with.root, with.budget, || format!("{cpuacct}{path}/cpuacct.usage"), with.buffer)?;
        reading.cpu_ns = kept::number(with.buffer).ok_or_else(|| unfit("cpuacct.usage"))?;
        if let Some(memory) = memory {
            reading.memory_bytes = self.read_memory(slow, with, || format!("{memory}{path}/memory.usage_in_bytes"));
        }
        if slow {
            if let Some(memory) = memory {
                let text = once(with, format!("{memory}{path}/memory.stat"));
                self.inactive_file = text.and_then(|text| field(text, "total_inactive_file"));
            }
            if let Some(cpu) = cpu {
                reading.throttled_ns =
                    once(with, format!("{cpu}{path}/cpu.stat")).and_then(|text| field(text, "throttled_time"));
            }
            if let Some(blkio) = blkio {
                // Only the first of the two includes the groups below, and only newer kernels have it.
                let stem = format!("{blkio}{path}/blkio.throttle.io_service_bytes");
                let io = once(with, format!("{stem}_recursive")).map(throttled_io);
                let io = io.or_else(|| once(with, stem).map(throttled_io));
                (reading.read_bytes, reading.written_bytes) = io.unzip();
            }
        }
        Ok(())
    }

    /// A group whose memory is not accounted is asked again in the slow round only.
    fn read_memory(&mut self, slow: bool, with: &mut Reader<'_>, path: impl FnOnce() -> String) -> Option<u64> {
        if self.memory_absent && !slow {
            return None;
        }
        let bytes =
            self.memory.read(with.root, with.budget, path, with.buffer).ok().and_then(|()| kept::number(with.buffer));
        self.memory_absent = bytes.is_none();
        bytes
    }
}

/// When a group's dear files are read again. The first time comes at a part of the period that its id decides, so
/// that the groups found together are not all read together for ever.
fn next_due(last: Instant, id: u64, with: &Reader<'_>) -> Instant {
    let share = if last == Instant::default() { (id % 16 + 1) as f64 / 16.0 } else { 1.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a period, not negative; `as` saturates"
    )]
    let pause = (with.slow_period.get() * share * 1e9) as u64;
    Instant::from_nanos(with.at.nanos().saturating_add(pause).max(1))
}

/// Reads a file that is not kept open.
fn once<'a>(with: &'a mut Reader<'_>, path: String) -> Option<&'a [u8]> {
    KeptFile::default().read(with.root, &Budget::new(0), || path, with.buffer).ok()?;
    Some(with.buffer)
}

fn unfit(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no number for {what}"))
}
