//! A view between two runs of the agent.

use prost::Message;
use wattline_core::Timestamp;

use super::View;
use super::merge::{Merge, Source};
use super::rank::{Rank, Ranks};
use crate::series::{SeriesId, Told};
use crate::temporality::{SavedSeries, Unreadable};

const VERSION: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Saved {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    sources: Vec<SavedSeries>,
    #[prost(message, repeated, tag = "3")]
    targets: Vec<SavedSeries>,
    #[prost(message, repeated, tag = "4")]
    retired: Vec<SavedSeries>,
    #[prost(message, repeated, tag = "5")]
    ranks: Vec<SavedRank>,
    #[prost(fixed64, tag = "6")]
    ranked_at: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SavedRank {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(double, tag = "2")]
    score: f64,
    #[prost(double, tag = "3")]
    energy: f64,
    #[prost(bool, tag = "4")]
    is_own: bool,
}

impl View {
    /// All that [`Self::restore`] needs: what was told. It belongs to what was sent, and is saved with it.
    pub fn save(&self) -> Vec<u8> {
        let Merge { sources, targets, retired } = &self.merge;
        let told = |(id, told): (&SeriesId, &Told)| SavedSeries::new(*id, told, told.at);
        Saved {
            version: VERSION,
            sources: sources.iter().map(|(id, source)| SavedSeries::new(*id, &source.told, source.seen)).collect(),
            targets: targets.iter().map(told).collect(),
            retired: retired.iter().map(told).collect(),
            ranks: self.ranks.ranks.iter().map(|(id, rank)| SavedRank::new(*id, *rank)).collect(),
            ranked_at: self.ranks.at.unix_nanos(),
        }
        .encode_to_vec()
    }

    /// Goes on from what was told before. When it cannot be read, the view stays as it is: its series begin anew.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), Unreadable> {
        let Saved { version, sources, targets, retired, ranks, ranked_at } =
            Saved::decode(saved).map_err(|_malformed| Unreadable)?;
        if version != VERSION {
            return Err(Unreadable);
        }
        let source = |saved: SavedSeries| saved.read().map(|(id, told, seen)| (id, Source { told, seen }));
        let told = |saved: SavedSeries| saved.read().map(|(id, told, _)| (id, told));
        let merge = Merge {
            sources: sources.into_iter().map(source).collect::<Result<_, _>>()?,
            targets: targets.into_iter().map(told).collect::<Result<_, _>>()?,
            retired: retired.into_iter().map(told).collect::<Result<_, _>>()?,
        };
        let ranks = ranks.into_iter().map(SavedRank::read).collect::<Result<_, _>>()?;
        self.merge = merge;
        self.ranks = Ranks { ranks, at: Timestamp::from_unix_nanos(ranked_at) };
        Ok(())
    }
}

impl SavedRank {
    fn new(id: SeriesId, rank: Rank) -> Self {
        let Rank { score, energy, is_own } = rank;
        Self { id: id.0.to_le_bytes().to_vec(), score, energy, is_own }
    }

    fn read(self) -> Result<(SeriesId, Rank), Unreadable> {
        let Self { id, score, energy, is_own } = self;
        let id = SeriesId(u128::from_le_bytes(id.try_into().map_err(|_length| Unreadable)?));
        if !(score.is_finite() && energy.is_finite()) {
            return Err(Unreadable);
        }
        Ok((id, Rank { score, energy, is_own }))
    }
}
