//! What a kilowatt-hour from each type of plant emits over its life cycle.
//!
//! Medians of IPCC, Fifth Assessment Report (2014), Working Group III, Annex III, Table A.III.2. It has none for oil;
//! that one is of IPCC, Special Report on Renewable Energy Sources (2011), Annex II, Table A.II.4. Types of plant are
//! the code list `PsrType` of ENTSO-E.

/// A type of plant: its code, and grams of CO2e for each kilowatt-hour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fuel {
    pub(crate) code: &'static str,
    /// `None` where no median is published, or where one would be wrong; see [`FUELS`].
    pub(crate) grams: Option<f64>,
}

/// The types. Brown coal, coal-derived gas, oil shale and peat have no median of their own and take that of coal, which
/// is rather too low for them. Solar is taken as of utility scale. What storage gives back was generated, and counted,
/// before; waste is half grown and half fossil, in shares that differ by country; `other` is anything. Those four are
/// left out of the mean.
pub(crate) const FUELS: &[Fuel] = &[
    fuel("B01", Some(230.0)), // biomass
    fuel("B02", Some(820.0)), // brown coal
    fuel("B03", Some(820.0)), // coal-derived gas
    fuel("B04", Some(490.0)), // gas
    fuel("B05", Some(820.0)), // hard coal
    fuel("B06", Some(840.0)), // oil
    fuel("B07", Some(820.0)), // oil shale
    fuel("B08", Some(820.0)), // peat
    fuel("B09", Some(38.0)),  // geothermal
    fuel("B10", None),        // pumped storage
    fuel("B11", Some(24.0)),  // run of river
    fuel("B12", Some(24.0)),  // water reservoir
    fuel("B13", Some(17.0)),  // marine
    fuel("B14", Some(12.0)),  // nuclear
    fuel("B15", None),        // other renewable
    fuel("B16", Some(48.0)),  // solar
    fuel("B17", None),        // waste
    fuel("B18", Some(12.0)),  // wind offshore
    fuel("B19", Some(11.0)),  // wind onshore
    fuel("B20", None),        // other
    fuel("B25", None),        // energy storage
];

const fn fuel(code: &'static str, grams: Option<f64>) -> Fuel {
    Fuel { code, grams }
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
            assert!(FUELS.iter().skip(index + 1).all(|other| other.code != fuel.code));
            assert!(fuel.grams.is_none_or(|grams| (11.0..=840.0).contains(&grams)), "{fuel:?}");
        }
        assert_eq!(of("B14").and_then(|fuel| fuel.grams), Some(12.0));
        assert!(of("A05").is_none());
    }
}
