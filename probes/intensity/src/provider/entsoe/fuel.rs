//! What a kilowatt-hour from each type of plant emits over its life cycle.
//!
//! Medians of IPCC, Fifth Assessment Report (2014), Working Group III, Annex III, Table A.III.2. It has none for oil;
//! that one is of IPCC, Special Report on Renewable Energy Sources (2011), Annex II, Table A.II.4. Types of plant are
//! the code list `PsrType` of ENTSO-E.

/// A type of plant: its code, its name, and grams of CO2e for each kilowatt-hour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fuel {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    /// `None` where no median is published, or where one would be wrong; see [`FUELS`].
    pub(crate) grams: Option<f64>,
}

/// The types. Brown coal, coal-derived gas, oil shale and peat have no median of their own and take that of coal, which
/// is rather too low for them. Solar is taken as of utility scale. What storage gives back was generated, and counted,
/// before; waste is half grown and half fossil, in shares that differ by country; `other` is anything. Those four are
/// left out of the mean.
pub(crate) const FUELS: &[Fuel] = &[
    fuel("B01", "biomass", Some(230.0)),
    fuel("B02", "brown coal", Some(820.0)),
    fuel("B03", "coal-derived gas", Some(820.0)),
    fuel("B04", "gas", Some(490.0)),
    fuel("B05", "hard coal", Some(820.0)),
    fuel("B06", "oil", Some(840.0)),
    fuel("B07", "oil shale", Some(820.0)),
    fuel("B08", "peat", Some(820.0)),
    fuel("B09", "geothermal", Some(38.0)),
    fuel("B10", "pumped storage", None),
    fuel("B11", "run of river", Some(24.0)),
    fuel("B12", "water reservoir", Some(24.0)),
    fuel("B13", "marine", Some(17.0)),
    fuel("B14", "nuclear", Some(12.0)),
    fuel("B15", "other renewable", None),
    fuel("B16", "solar", Some(48.0)),
    fuel("B17", "waste", None),
    fuel("B18", "wind offshore", Some(12.0)),
    fuel("B19", "wind onshore", Some(11.0)),
    fuel("B20", "other", None),
    fuel("B25", "energy storage", None),
];

const fn fuel(code: &'static str, name: &'static str, grams: Option<f64>) -> Fuel {
    Fuel { code, name, grams }
}

/// The type of a code; `None` for one that the list does not have.
pub(crate) fn of(code: &str) -> Option<&'static Fuel> {
    FUELS.iter().find(|fuel| fuel.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_once_and_factors_lie_between_those_of_wind_and_oil() {
        for (index, fuel) in FUELS.iter().enumerate() {
            assert!(FUELS.iter().skip(index + 1).all(|other| other.code != fuel.code && other.name != fuel.name));
            assert!(fuel.grams.is_none_or(|grams| (11.0..=840.0).contains(&grams)), "{fuel:?}");
        }
        assert_eq!(of("B14").and_then(|fuel| fuel.grams), Some(12.0));
        assert!(of("A05").is_none());
    }
}
