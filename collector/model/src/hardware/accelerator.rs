//! GPUs, Neuron devices and other accelerators: what they draw and what making them emitted.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::{GramsCo2e, Ratio, Uncertainty, Watts};

use super::embodied::Made;
use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/accelerator.csv"));

/// The words before a device's name that say who makes it and no more.
const MAKERS: [&str; 9] = ["nvidia", "tesla", "amd", "intel", "habana", "aws", "annapurna", "qualcomm", "xilinx"];

/// The standard deviation of the logarithm of power at a known utilisation; the tier T1c.
const KNOWN_UTILIZATION_SIGMA: f64 = 0.35;

/// What is added, in quadrature, where the utilisation is assumed to be a half: 0.35 becomes the 0.6 of tier T2g.
const ASSUMED_UTILIZATION_SIGMA: f64 = 0.487;

/// How well the overhead of the chassis is known: between 1.15 and 1.74 in published systems. Ours.
const CHASSIS_SIGMA: f64 = 0.15;

/// A kind of accelerator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accelerator {
    /// The key of its row: `nvidia-h100-sxm`.
    pub id: &'static str,
    /// What its maker calls it.
    pub name: &'static str,
    /// Its memory in gigabytes, as its maker counts them.
    pub memory_gb: f64,
    /// The limit that the maker gives, or the most that it draws.
    pub max: Watts,
    /// Where `max` is from.
    pub max_basis: WattsBasis,
    /// What it draws at rest.
    pub idle: Watts,
    /// Its own watts with those of the fans, switches, network and conversion around it, for each of its own. From 1.15
    /// (cards) to 1.35 (boards of eight, Trainium): a server with eight H100 draws up to 10.2 kW.
    pub chassis: Ratio,
    /// What making one emitted: high by ADEME's parametric model (2026), low by the same and NVIDIA's product carbon
    /// footprint of the HGX H100 (2025), which is 0.285 of what the model gives for it.
    pub embodied: Made,
    /// Who published the watts, or how they were estimated.
    pub source: &'static str,
    /// The year of that source.
    pub year: u16,
    aliases: &'static str,
    sigma: f64,
}

/// Where an accelerator's maximum watts are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WattsBasis {
    /// The maker's limit.
    Published,
    /// Our estimate: nobody publishes it. So it is for every Neuron device.
    Estimate,
    /// The user's own figure.
    Configured,
}

impl WattsBasis {
    /// The word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Estimate => "estimate",
            Self::Configured => "configured",
        }
    }
}

impl Accelerator {
    /// The device's own power at a utilisation, on the straight line between rest and the maximum. `utilization` is
    /// held between 0 and 1; a NaN counts as 0.
    pub fn watts(&self, utilization: Ratio) -> Watts {
        // `max` and `min` drop a NaN, so this is a number whatever comes in.
        let share = utilization.max(Ratio::ZERO).min(Ratio::new(1.0)).get();
        self.idle + (self.max - self.idle) * share
    }

    /// The same with what the chassis draws because of it.
    pub fn system_watts(&self, utilization: Ratio) -> Watts {
        self.watts(utilization) * self.chassis.get()
    }

    /// How wrong [`Self::watts`] may be at a utilisation that was measured.
    pub const fn uncertainty(&self) -> Uncertainty {
        Uncertainty::from_sigma(self.sigma)
    }

    /// How wrong [`Self::watts`] may be where the utilisation is only assumed, as a half.
    pub fn uncertainty_assumed(&self) -> Uncertainty {
        self.uncertainty().times(Uncertainty::from_sigma(ASSUMED_UTILIZATION_SIGMA))
    }

    /// How wrong [`Self::system_watts`] may be, from how wrong the device's own watts may be.
    #[must_use]
    pub fn system_uncertainty(device: Uncertainty) -> Uncertainty {
        device.times(Uncertainty::from_sigma(CHASSIS_SIGMA))
    }

    /// The same kind with a maximum that the user knows better: measured, or the limit that the platform sets. Rest is
    /// not above it. A figure that is no power above zero changes nothing.
    #[must_use]
    pub fn with_max_watts(self, max: Watts) -> Self {
        if !max.is_finite() || max <= Watts::ZERO {
            return self;
        }
        let sigma = self.sigma.min(KNOWN_UTILIZATION_SIGMA);
        Self { max, idle: self.idle.min(max), max_basis: WattsBasis::Configured, sigma, ..self }
    }

    fn parse(row: &[&'static str; 17]) -> Option<Self> {
        let [
            id,
            name,
            aliases,
            memory,
            max,
            basis,
            idle,
            _,
            chassis,
            sigma,
            low,
            central,
            high,
            embodied_sigma,
            source,
            year,
            _,
        ] = row;
        let grams = |kilograms: &str| kilograms.parse().ok().map(|kilograms: f64| GramsCo2e::new(kilograms * 1000.0));
        Some(Self {
            id,
            name,
            memory_gb: memory.parse().ok()?,
            max: Watts::new(max.parse().ok()?),
            max_basis: match *basis {
                "published" => WattsBasis::Published,
                "estimate" => WattsBasis::Estimate,
                _ => return None,
            },
            idle: Watts::new(idle.parse().ok()?),
            chassis: Ratio::new(chassis.parse().ok()?),
            embodied: Made {
                low: grams(low)?,
                central: grams(central)?,
                high: grams(high)?,
                uncertainty: Uncertainty::from_sigma(embodied_sigma.parse().ok()?),
            },
            source,
            year: year.parse().ok()?,
            aliases,
            sigma: sigma.parse().ok()?,
        })
    }
}

/// An accelerator by any of its names, as NVML, EC2, the Neuron tools and people say them: `NVIDIA H100 80GB HBM3`,
/// `Tesla T4`, `l4`, `Trainium2`. Case, punctuation and the maker's name do not matter; all other words do, because a
/// word more is often another device.
pub fn accelerator(name: &str) -> Option<&'static Accelerator> {
    BY_NAME.get(plain(name).as_str()).copied().or_else(|| by_id(name.trim()))
}

/// All accelerators of the table, by key.
pub fn accelerators() -> impl Iterator<Item = &'static Accelerator> {
    ROWS.iter()
}

pub(super) fn by_id(id: &str) -> Option<&'static Accelerator> {
    ROWS.iter().find(|row| row.id == id)
}

pub(super) static ROWS: LazyLock<Vec<Accelerator>> =
    LazyLock::new(|| TABLE.rows().filter_map(|row| Accelerator::parse(&row)).collect());

/// Every name in its plain form. Where two kinds have one, the later row has it; a test holds that none do.
static BY_NAME: LazyLock<BTreeMap<String, &'static Accelerator>> = LazyLock::new(|| {
    let names = |row: &'static Accelerator| names(row).map(move |name| (plain(name), row));
    ROWS.iter().flat_map(names).collect()
});

pub(super) fn names(row: &Accelerator) -> impl Iterator<Item = &'static str> + use<> {
    row.aliases.split(';').chain([row.name])
}

/// Small letters and digits, one space between words, without the maker in front.
pub(super) fn plain(name: &str) -> String {
    let small = name.to_ascii_lowercase();
    let words = small.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let known: Vec<&str> = words.skip_while(|word| MAKERS.contains(word)).collect();
    known.join(" ")
}
