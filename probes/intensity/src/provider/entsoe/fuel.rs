//! What a kilowatt-hour from each type of plant emits over its life cycle.
//!
//! Medians of IPCC, Fifth Assessment Report (2014), Working Group III, Annex III, Table A.III.2. It has none for oil;
//! that one is of IPCC, Special Report on Renewable Energy Sources (2011), Annex II, Table A.II.4. Types of plant are
//! the code list `PsrType` of ENTSO-E.

/// A type of plant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fuel {
    pub(crate) code: &'static str,
    pub(crate) factor: Factor,
}

/// What its electricity counts as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Factor {
    /// Grams of CO2e for each kilowatt-hour.
    Grams(f64),
    /// No median is published, or one would be wrong.
    Unknown,
    /// It was generated, and counted, before: what storage gives back is as clean as the rest.
    Stored,
}

/// The types. Brown coal, coal-derived gas, oil shale and peat have no median of their own and take that of coal, which
/// is rather too low for them. Solar is taken as of utility scale. Waste is half grown and half fossil, in shares that
/// differ by country, and the two kinds of `other` are anything.
pub(crate) const FUELS: &[Fuel] = &[
    fuel("B01", Factor::Grams(230.0)), // biomass
    fuel("B02", Factor::Grams(820.0)), // brown coal
    fuel("B03", Factor::Grams(820.0)), // coal-derived gas
    fuel("B04", Factor::Grams(490.0)), // gas
    fuel("B05", Factor::Grams(820.0)), // hard coal
    fuel("B06", Factor::Grams(840.0)), // oil
    fuel("B07", Factor::Grams(820.0)), // oil shale
    fuel("B08", Factor::Grams(820.0)), // peat
    fuel("B09", Factor::Grams(38.0)),  // geothermal
    fuel("B10", Factor::Stored),       // pumped storage
    fuel("B11", Factor::Grams(24.0)),  // run of river
    fuel("B12", Factor::Grams(24.0)),  // water reservoir
    fuel("B13", Factor::Grams(17.0)),  // marine
    fuel("B14", Factor::Grams(12.0)),  // nuclear
    fuel("B15", Factor::Unknown),      // other renewable
    fuel("B16", Factor::Grams(48.0)),  // solar
    fuel("B17", Factor::Unknown),      // waste
    fuel("B18", Factor::Grams(12.0)),  // wind offshore
    fuel("B19", Factor::Grams(11.0)),  // wind onshore
    fuel("B20", Factor::Unknown),      // other
    fuel("B25", Factor::Stored),       // energy storage
];

const fn fuel(code: &'static str, factor: Factor) -> Fuel {
    Fuel { code, factor }
}

/// The factor of a code; that of one which the list does not have is unknown.
pub(crate) fn factor(code: &str) -> Factor {
    FUELS.iter().find(|fuel| fuel.code == code).map_or(Factor::Unknown, |fuel| fuel.factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_once_and_factors_lie_between_those_of_wind_and_oil() {
        for (index, fuel) in FUELS.iter().enumerate() {
            assert!(FUELS.iter().skip(index + 1).all(|other| other.code != fuel.code));
            if let Factor::Grams(grams) = fuel.factor {
                assert!((11.0..=840.0).contains(&grams), "{fuel:?}");
            }
        }
        assert_eq!((factor("B14"), factor("A05")), (Factor::Grams(12.0), Factor::Unknown));
    }
}
