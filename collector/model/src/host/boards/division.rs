//! Among whom a board is divided at one moment: who holds it, and who uses it how much.
//!
//! Those who hold a board hold it by the memory that they occupy. Those who compute use it by the share of time that
//! multiprocessors worked for them; a board that is cut into slices, by the multiprocessors of the slice times how busy they
//! were. A slice that nobody holds is held by nobody, whatever the others do.

use wattline_core::Ratio;
use wattline_core::reading::{AcceleratorProcess, AcceleratorReading, InstanceId, SliceReading};

use super::Claimant;

/// Who holds a board and who uses it, with weights in a list of their own each.
#[derive(Debug, PartialEq)]
pub(super) struct Division {
    pub(super) holders: Vec<(Claimant, u64)>,
    pub(super) users: Vec<(Claimant, u64)>,
    pub(super) witness: Witness,
}

/// What is seen of the holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// They cannot be seen.
    None,
    /// There are none.
    Nobody,
    /// There are, and none of them computes.
    Resting,
    /// There are, and they compute, or may.
    Working,
}

impl Division {
    /// Nothing is known.
    pub(super) const fn unseen() -> Self {
        Self { holders: Vec::new(), users: Vec::new(), witness: Witness::None }
    }

    /// What a reading shows of the time before it.
    pub(super) fn of(reading: &AcceleratorReading) -> Self {
        match &reading.processes {
            None => Self::unseen(),
            Some(processes) if processes.is_empty() => Self { witness: Witness::Nobody, ..Self::unseen() },
            Some(processes) if reading.slices.is_empty() => whole(reading, processes),
            Some(processes) => sliced(reading, processes),
        }
    }
}

/// A board that processes share in time or space.
fn whole(reading: &AcceleratorReading, processes: &[AcceleratorProcess]) -> Division {
    let holders = by_memory(processes.iter(), ONE);
    let used = |part: fn(&AcceleratorProcess) -> Option<f64>| -> Vec<(Claimant, u64)> {
        let parts =
            processes.iter().map(|process| (Claimant::Process(process.pid), weight(part(process).unwrap_or(0.0))));
        parts.filter(|(_, weight)| *weight > 0).collect()
    };
    let by_multiprocessors = used(|process| Some(process.utilization?.multiprocessor.get()));
    let by_video = || used(|process| process.utilization.map(|used| used.encoder.get() + used.decoder.get()));
    let users = if by_multiprocessors.is_empty() { by_video() } else { by_multiprocessors };
    if !users.is_empty() {
        return Division { holders, users, witness: Witness::Working };
    }
    let is_told = processes.iter().any(|process| process.utilization.is_some());
    match (reading.utilization.general, is_told) {
        (Some(Ratio::ZERO), _) | (None, true) => Division { holders, users, witness: Witness::Resting },
        // Somebody computes, and it is told of each that it does not: it was one that is gone.
        (Some(_), true) => Division { holders, users: vec![(Claimant::Unseen, 1)], witness: Witness::Working },
        (Some(_) | None, false) => Division { users: holders.clone(), holders, witness: Witness::Working },
    }
}

/// A board that is cut into slices.
fn sliced(reading: &AcceleratorReading, processes: &[AcceleratorProcess]) -> Division {
    let (mut holders, mut users) = (Vec::new(), Vec::new());
    let is_known = |process: &&AcceleratorProcess| reading.slices.iter().any(|slice| slice.facts.id == process.slice);
    if !processes.iter().any(|process| is_known(&process)) {
        // Who holds which slice is not told: they share the board.
        let holders = by_memory(processes.iter(), ONE);
        return Division { users: holders.clone(), holders, witness: Witness::Working };
    }
    let has_activity = reading.slices.iter().all(|slice| busy(slice).is_some());
    let mut cut = 0;
    for slice in &reading.slices {
        let size = u64::from(slice.facts.multiprocessors.unwrap_or(1));
        cut += size;
        let inside = || processes.iter().filter(|process| is_in(process, slice.facts.id));
        let work = if has_activity { busy(slice).map_or(0.0, Ratio::get) } else { 1.0 };
        if inside().next().is_none() {
            holders.push((Claimant::Nobody, size * ONE));
            // Work without a holder is somebody's who was not seen. Without a witness of work there is none.
            if has_activity && work > 0.0 {
                users.push((Claimant::Unseen, size * weight(work)));
            }
            continue;
        }
        holders.extend(by_memory(inside(), size * ONE));
        users.extend(by_memory(inside(), size * weight(work)));
    }
    let left = u64::from(reading.facts.multiprocessors.unwrap_or(0)).saturating_sub(cut);
    if left > 0 {
        holders.push((Claimant::Nobody, left * ONE));
    }
    users.retain(|(_, weight)| *weight > 0);
    let witness = if users.is_empty() { Witness::Resting } else { Witness::Working };
    Division { holders, users, witness }
}

/// How busy a slice was.
fn busy(slice: &SliceReading) -> Option<Ratio> {
    let activity = slice.activity?;
    activity.multiprocessor.or(activity.graphics)
}

fn is_in(process: &AcceleratorProcess, slice: Option<InstanceId>) -> bool {
    slice.is_some() && process.slice == slice
}

/// The weight of one whole.
const ONE: u64 = 1_000_000;

/// A weight in proportion to a share.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and a NaN becomes zero")]
fn weight(share: f64) -> u64 {
    (share.min(100.0) * ONE as f64).round() as u64
}

/// `whole` divided by the memory that each holds; equally where that is not told of all.
fn by_memory<'a>(processes: impl Iterator<Item = &'a AcceleratorProcess> + Clone, whole: u64) -> Vec<(Claimant, u64)> {
    let is_told = processes.clone().all(|process| process.memory_bytes.is_some_and(|bytes| bytes > 0));
    let held = |process: &AcceleratorProcess| if is_told { process.memory_bytes.unwrap_or(1) } else { 1 };
    let weights: Vec<u64> = processes.clone().map(held).collect();
    let parts = wattline_core::apportion(whole, &weights).unwrap_or_default();
    processes.map(|process| Claimant::Process(process.pid)).zip(parts).collect()
}

#[cfg(test)]
mod tests;
