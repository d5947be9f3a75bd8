//! Where the electricity comes from: grams of carbon dioxide for each kilowatt-hour, what a data centre draws beside its
//! machines, and the water both cost. Yearly averages by location, each year with its own figure; live values and
//! contracts are other sources of the same types.

mod atlas;
pub mod live;
mod local_zone;
mod name;
pub(crate) mod near;
mod pue;
mod region;
mod site;
pub(crate) mod table;
mod tables;
mod water;
mod year;
mod yearly;

#[cfg(test)]
mod tests;

use wattline_core::{GramsPerKwh, Text, Uncertainty};

pub use atlas::Grid;
pub use local_zone::LocalZone;
pub use pue::{Pue, pue};
pub use region::Region;
pub use tables::{TableInfo, tables};
pub use water::{Water, WaterFactor, water};
pub use year::{begin_of_year, civil_year};

/// How near a carbon intensity is to the place asked for, from the nearest to the furthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The user's own figure.
    Configured,
    /// A provider's figure for now.
    Live,
    /// Yearly, of the grid zone that the place draws from.
    Zone,
    /// Yearly, of the cloud region, as the cloud publishes it.
    Region,
    /// Yearly, of the state or province.
    State,
    /// Yearly, of the country; also where its figure stands in for a zone without one.
    Country,
    /// Yearly, of the world: nothing is known of the place.
    World,
}

impl Tier {
    /// The value of the tier as it is exported and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Live => "live",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::State => "state",
            Self::Country => "country",
            Self::World => "world",
        }
    }
}

/// The carbon intensity of electricity at a place, with where it was taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct Intensity {
    /// Grams for each kilowatt-hour, as the grid's average.
    pub grams: GramsPerKwh,
    /// What the figure stands for: a grid zone (`US-MIDA-PJM`), a cloud region, a state (`US-VA`), a country (ISO 3166-1
    /// alpha-3, or alpha-2 as the zone of the whole country), `WORLD`, or the configured name.
    pub zone: Text,
    /// Who published it and for which year: `electricity-maps-2025`, `ember-2024`, `google-2024`; `configured` for the
    /// user's own figure.
    pub source: Text,
    /// The year it averages over; `None` for the user's own figure and for live ones.
    pub year: Option<u16>,
    /// How near it is to the place asked for.
    pub tier: Tier,
    /// True when it stands in for a smaller place that has no figure of its own.
    pub estimated: bool,
    /// How wrong it may be for the place and the year asked for.
    pub uncertainty: Uncertainty,
}

impl Intensity {
    /// The user's own figure, which is believed as it stands: 10 %, as for a live measurement.
    pub fn configured(grams: GramsPerKwh, zone: impl Into<Text>) -> Self {
        Self {
            grams,
            zone: zone.into(),
            source: Text::Static("configured"),
            year: None,
            tier: Tier::Configured,
            estimated: false,
            uncertainty: Uncertainty::from_sigma(0.10),
        }
    }
}

/// What is known of where a machine stands, from the most to the least particular. All of it may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place<'a> {
    /// The user's own figure; passed over when it is negative or no number.
    pub intensity: Option<GramsPerKwh>,
    /// A configured grid zone, state or country: `US-MIDA-PJM`, `US-VA`, `FR`, `FRA`.
    pub zone: Option<&'a str>,
    /// A configured country, ISO 3166-1 alpha-2 or alpha-3.
    pub country: Option<&'a str>,
    /// `cloud.provider`: `aws`, `gcp`, `azure`.
    pub provider: Option<&'a str>,
    /// `cloud.region`, or an availability zone, a Local Zone or a Wavelength Zone of it.
    pub region: Option<&'a str>,
}
