//! The rows of the books.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::Text;
use wattline_core::{
    Device, DeviceKind, Instant, Method, MicroJoules, NanoUsd, Nanograms, Timestamp, Uncertainty, Watts, Workload,
};

/// What a joule was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EnergyState {
    /// It worked for the workload.
    Active,
    /// The workload held the device and let it wait.
    Reserved,
    /// The device rested and nobody held it.
    Idle,
    /// It was measured, and no witness says for whom.
    Unattributed,
}

impl EnergyState {
    /// The value of `energy.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reserved => "reserved",
            Self::Idle => "idle",
            Self::Unattributed => "unattributed",
        }
    }
}

/// One row for a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// The device.
    pub device: Device,
    /// How its energy is known.
    pub method: Method,
    /// The meter or the model, with its version.
    pub model: Text,
    /// Energy since `start`.
    pub energy: MicroJoules,
    /// Mean power of the last window.
    #[serde(skip)]
    pub power: Watts,
    /// How wrong the energy may be.
    pub uncertainty: Uncertainty,
    /// From when it counts.
    pub start: Timestamp,
    /// It had a part in the last window.
    #[serde(skip)]
    pub(super) is_current: bool,
}

/// One row for a workload on one kind of device, or on one device, in one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadRow {
    /// The kind of device.
    pub kind: DeviceKind,
    /// The device, of a kind whose users hold single ones.
    #[serde(default)]
    pub id: Option<Text>,
    /// The workload.
    pub workload: Arc<Workload>,
    /// What its energy was doing.
    pub state: EnergyState,
    /// How it is known.
    pub method: Method,
    /// Energy since `start`.
    pub energy: MicroJoules,
    /// Operational carbon since `start`.
    pub operational: Nanograms,
    /// Its part of the bill for electricity since `start`.
    pub electricity: NanoUsd,
    /// Energy of the last window.
    #[serde(skip)]
    pub last: MicroJoules,
    /// From when it counts.
    pub start: Timestamp,
    pub(super) moved: Instant,
}

/// One row for what a workload holds of one kind of device in one state, whether it draws energy or not.
///
/// Its series have methods of their own, which never change: [`Self::EMBODIED_METHOD`] and [`Self::RENT_METHOD`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldRow {
    /// The kind of device.
    pub kind: DeviceKind,
    /// The workload.
    pub workload: Arc<Workload>,
    /// `Active` is what it used, `Idle` what nobody used.
    pub state: EnergyState,
    /// Embodied carbon since `start`.
    pub embodied: Nanograms,
    /// Rent since `start`.
    pub rent: NanoUsd,
    /// From when it counts.
    pub start: Timestamp,
    pub(super) moved: Instant,
}

impl HeldRow {
    /// Embodied carbon comes from a model of how such machines are made, and is spread over a life that is a guess.
    pub const EMBODIED_METHOD: Method = Method::Modelled;
    /// A rent is a price from a list or a setting. What the bill will say, nobody asked.
    pub const RENT_METHOD: Method = Method::Assumed;
}

/// What rows held that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Energy.
    pub energy: MicroJoules,
    /// Operational carbon.
    pub operational: Nanograms,
    /// Embodied carbon.
    pub embodied: Nanograms,
    /// The bill for electricity.
    pub electricity: NanoUsd,
    /// Rent.
    pub rent: NanoUsd,
}

impl Retired {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let Self { energy, operational, embodied, electricity, rent } = *other;
        Self {
            energy: self.energy + energy,
            operational: self.operational + operational,
            embodied: self.embodied + embodied,
            electricity: self.electricity + electricity,
            rent: self.rent + rent,
        }
    }
}
