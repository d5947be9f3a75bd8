//! Cumulative samples as deltas: what came since the destination was told last.
//!
//! The sum of all deltas of a series is what the series counts, exactly, in the units that the books count in: what is
//! remembered is the amount that was told, so that no rounding error is carried on. Of a histogram that holds for its
//! counts; its sum is rounded as sums of binary fractions are.
//!
//! - The first delta of a series is all of it since its own start, so that nothing is lost.
//! - A counter that did not move gives no point: a missing delta and a delta of nothing mean the same to every store,
//!   and every point is paid for. The next one begins where the last one ended, so that there is no gap.
//! - Gauges and up-down counters pass as they are. They tell what there is, not what came.
//! - Of a histogram's delta the smallest and the largest value are left out, because nobody knows them.
//!
//! Source: OpenTelemetry specification, metrics data model, "Temporality", "Resets and gaps".

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use wattline_core::sample::Period;
use wattline_core::{ExponentialHistogram, Instrument, Sample, Seconds, Timestamp};

use crate::series::{Amount, SeriesId, Told, is_over};

/// Turns the snapshots of one destination into deltas. What it knows belongs to what was sent: it is saved with the
/// request that was made of its answer, and restored with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deltas {
    since: Timestamp,
    series: BTreeMap<SeriesId, Kept>,
}

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    told: Told,
    /// When the series was there last, moved or not.
    seen: Timestamp,
}

/// What was saved cannot be read, or is of a version that does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was told to the destination cannot be read")]
pub struct Unreadable;

impl Deltas {
    /// Within this time every counter of the machine has been read.
    const SETTLING: Seconds = Seconds::new(300.0);
    /// Ended series are forgotten sooner when there are more series than this.
    const MOST: usize = 100_000;

    /// Nothing was told yet. Of a series that began before `since` and is there soon after it, only what comes from then
    /// on is told: a store that has no start times would show the traffic since boot as that of one minute. A series
    /// that shows itself later has counted nothing before, whatever start it bears, as the first loss that the agent
    /// counts. With [`Timestamp::default`] all is told.
    pub const fn new(since: Timestamp) -> Self {
        Self { since, series: BTreeMap::new() }
    }

    /// What is new in a snapshot. Samples are taken as told: whoever does not send the answer has lost it.
    pub fn convert(&mut self, samples: &[Sample]) -> Vec<Sample> {
        let mut deltas = Vec::with_capacity(samples.len());
        for sample in samples {
            match sample.metric.instrument {
                Instrument::Gauge | Instrument::UpDownCounter => deltas.push(sample.clone()),
                Instrument::Counter | Instrument::Histogram => deltas.extend(self.delta(sample)),
            }
        }
        self.forget(samples.iter().map(|sample| sample.period.at).max());
        deltas
    }

    fn delta(&mut self, sample: &Sample) -> Option<Sample> {
        // What no backend takes is the encoder's to count.
        let Some(amount) = Amount::of(sample) else { return Some(sample.clone()) };
        let Period { start, at } = sample.period;
        let (period, amount) = match self.series.entry(SeriesId::of(sample)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(Kept { told: Told { start, at, amount: amount.clone() }, seen: at });
                if start < self.since && at <= self.since.ahead(Self::SETTLING) {
                    return None;
                }
                (Period { start: start.min(at), at }, amount)
            }
            std::collections::btree_map::Entry::Occupied(kept) => {
                let kept = kept.into_mut();
                kept.seen = at;
                let growth = kept.told.advance(sample, amount);
                (Period { start: growth.since, at }, growth.amount)
            }
        };
        (!amount.is_nothing()).then(|| Sample { period, value: amount.value(sample.metric), ..sample.clone() })
    }

    fn forget(&mut self, now: Option<Timestamp>) {
        let Some(now) = now else { return };
        self.series.retain(|_, kept| !is_over(kept.seen, now));
        if self.series.len() > Self::MOST {
            self.series.retain(|_, kept| kept.seen >= now);
        }
    }

    /// Series that are remembered.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// All that [`Self::restore`] needs: about 50 bytes a series.
    pub fn save(&self) -> Vec<u8> {
        let Self { since, series } = self;
        let series = series.iter().map(|(id, kept)| SavedSeries::new(*id, &kept.told, kept.seen)).collect();
        Saved { version: VERSION, since: since.unix_nanos(), series }.encode_to_vec()
    }

    /// What was saved. When it cannot be read, [`Self::new`] with the time of now tells nothing twice.
    pub fn restore(saved: &[u8]) -> Result<Self, Unreadable> {
        let Saved { version, since, series } = Saved::decode(saved).map_err(|_malformed| Unreadable)?;
        if version != VERSION {
            return Err(Unreadable);
        }
        let series = series.into_iter().map(|saved| {
            let (id, told, seen) = saved.read()?;
            Ok((id, Kept { told, seen }))
        });
        Ok(Self { since: Timestamp::from_unix_nanos(since), series: series.collect::<Result<_, Unreadable>>()? })
    }
}

const VERSION: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Saved {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(fixed64, tag = "2")]
    since: u64,
    #[prost(message, repeated, tag = "3")]
    series: Vec<SavedSeries>,
}

/// A series as it is saved.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SavedSeries {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    start: u64,
    #[prost(fixed64, tag = "3")]
    at: u64,
    #[prost(fixed64, tag = "4")]
    seen: u64,
    #[prost(sint64, tag = "5")]
    units: i64,
    #[prost(message, optional, tag = "6")]
    counts: Option<SavedCounts>,
}

/// A histogram as it is saved, without its smallest and largest value.
#[derive(Clone, PartialEq, Message)]
struct SavedCounts {
    #[prost(sint32, tag = "1")]
    scale: i32,
    #[prost(sint32, tag = "2")]
    offset: i32,
    #[prost(uint64, repeated, tag = "3")]
    counts: Vec<u64>,
    #[prost(uint64, tag = "4")]
    zero_count: u64,
    #[prost(double, tag = "5")]
    sum: f64,
}

impl SavedSeries {
    pub(crate) fn new(id: SeriesId, told: &Told, seen: Timestamp) -> Self {
        let (units, counts) = match &told.amount {
            Amount::Units(units) => (*units, None),
            Amount::Counts(counts) => {
                let (scale, offset, zero_count, sum) =
                    (counts.scale(), counts.offset(), counts.zero_count(), counts.sum());
                (0, Some(SavedCounts { scale, offset, counts: counts.counts().to_vec(), zero_count, sum }))
            }
        };
        Self {
            id: id.0.to_le_bytes().to_vec(),
            start: told.start.unix_nanos(),
            at: told.at.unix_nanos(),
            seen: seen.unix_nanos(),
            units,
            counts,
        }
    }

    pub(crate) fn read(self) -> Result<(SeriesId, Told, Timestamp), Unreadable> {
        let Self { id, start, at, seen, units, counts } = self;
        let id = SeriesId(u128::from_le_bytes(id.try_into().map_err(|_length| Unreadable)?));
        let amount = match counts {
            None => Amount::Units(units),
            Some(SavedCounts { scale, offset, counts, zero_count, sum }) => Amount::Counts(Arc::new(
                ExponentialHistogram::from_counts(scale, offset, counts, zero_count, sum).ok_or(Unreadable)?,
            )),
        };
        let time = Timestamp::from_unix_nanos;
        Ok((id, Told { start: time(start), at: time(at), amount }, time(seen)))
    }
}

#[cfg(test)]
mod tests;
