//! Which workloads are told apart: those that drew most lately.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::{Subject, Timestamp};

use crate::series::SeriesId;

/// Every workload with what it drew lately, in joules that lose half their weight in an hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ranks {
    pub(super) ranks: BTreeMap<SeriesId, Rank>,
    pub(super) at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rank {
    /// What it drew lately.
    pub(super) score: f64,
    /// All that it drew, as told last.
    pub(super) energy: f64,
    /// It is told apart.
    pub(super) is_own: bool,
}

impl Ranks {
    const HALF_LIFE_S: f64 = 3600.0;
    /// A workload takes the place of another that drew less than half of it. Every change ends a series.
    const CLEARLY_MORE: f64 = 2.0;

    /// Takes the `energy` of each workload, as joules since its start, and chooses anew among those that are `present`.
    pub(super) fn take(
        &mut self,
        energy: impl Iterator<Item = (Arc<Subject>, f64)>,
        present: &[Arc<Subject>],
        now: Timestamp,
        most: usize,
    ) {
        let mut drawn: BTreeMap<SeriesId, f64> = present.iter().map(|subject| (id(subject), 0.0)).collect();
        for (subject, joules) in energy {
            *drawn.entry(id(&subject)).or_default() += joules;
        }
        let decay = (-now.since(self.at).get() / Self::HALF_LIFE_S).exp2();
        self.at = now;
        self.ranks.retain(|id, _| drawn.contains_key(id));
        for (id, energy) in drawn {
            let rank = self.ranks.entry(id).or_default();
            // Less than before means that it began anew.
            let growth = if energy >= rank.energy { energy - rank.energy } else { energy };
            rank.score = rank.score * decay + growth;
            rank.energy = energy;
        }
        self.choose(most);
    }

    fn choose(&mut self, most: usize) {
        let mut order: Vec<(SeriesId, Rank)> = self.ranks.iter().map(|(id, rank)| (*id, *rank)).collect();
        order.sort_by(|(_, one), (_, two)| two.score.total_cmp(&one.score));
        let (own, others): (Vec<_>, Vec<_>) = order.into_iter().partition(|(_, rank)| rank.is_own);
        let free = most.saturating_sub(own.len());
        let (seated, falling) = own.split_at(own.len().min(most));
        let (rising, challengers) = others.split_at(others.len().min(free));
        let mut changes: Vec<(SeriesId, bool)> = Vec::new();
        changes.extend(falling.iter().map(|(id, _)| (*id, false)));
        changes.extend(rising.iter().map(|(id, _)| (*id, true)));
        // The weakest of those inside meets the strongest of those outside.
        for ((inside, least), (outside, best)) in seated.iter().rev().zip(challengers) {
            if best.score <= least.score * Self::CLEARLY_MORE {
                break;
            }
            changes.extend([(*inside, false), (*outside, true)]);
        }
        for (id, is_own) in changes {
            if let Some(rank) = self.ranks.get_mut(&id) {
                rank.is_own = is_own;
            }
        }
    }

    /// Whether the workload is told apart.
    pub(super) fn is_own(&self, subject: &Subject) -> bool {
        self.ranks.get(&id(subject)).is_some_and(|rank| rank.is_own)
    }

    /// Workloads that are told as `other`.
    pub(super) fn folded(&self) -> usize {
        self.ranks.values().filter(|rank| !rank.is_own).count()
    }
}

fn id(subject: &Subject) -> SeriesId {
    SeriesId::new("", subject.identity())
}
