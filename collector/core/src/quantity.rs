//! Physical quantities as types: the unit cannot be mistaken because it cannot be forgotten.
//!
//! A quantity wraps one `f64` in SI base or the field's own unit. Only the products that mean something exist;
//! everything else does not compile.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// Joules in one kilowatt-hour. The only place where the factor stands.
pub const JOULES_PER_KWH: f64 = 3.6e6;

/// Seconds in one hour.
const SECONDS_PER_HOUR: f64 = 3600.0;

/// A quantity that can be exported: it knows its unit in UCUM as OpenTelemetry writes it.
pub trait Quantity: Copy {
    /// The unit as it stands in an OTLP metric. Only units that survive the way into Prometheus are used.
    const UNIT: &'static str;

    /// The number in [`Self::UNIT`].
    fn get(self) -> f64;
}

macro_rules! quantities {
    ($($(#[$doc:meta])* $name:ident = $unit:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0.0);

            /// Wraps a number that is already in this unit.
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The number in this unit.
            pub const fn get(self) -> f64 {
                self.0
            }

            /// The larger of the two; a NaN loses.
            #[must_use]
            pub const fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The smaller of the two; a NaN loses.
            #[must_use]
            pub const fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }

            /// True for a number that is neither infinite nor NaN.
            pub const fn is_finite(self) -> bool {
                self.0.is_finite()
            }
        }

        impl Quantity for $name {
            const UNIT: &'static str = $unit;

            fn get(self) -> f64 {
                self.0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }
    )*};
}

quantities! {
    /// Energy.
    Joules = "J";
    /// Power.
    Watts = "W";
    /// A length of time.
    Seconds = "s";
    /// Tokens of a language model.
    Tokens = "{token}";
    /// An amount of data.
    Bytes = "By";
    /// A share of a whole; 1 is all of it.
    Ratio = "1";
    /// A mass of greenhouse gas as the mass of carbon dioxide that warms as much over a hundred years.
    GramsCo2e = "g";
    /// Carbon intensity of electricity. The unit is an annotation: `g/kWh` would be mangled on its way into Prometheus.
    GramsPerKwh = "{gCO2e/kWh}";
    /// Money. The unit is an annotation and the currency stands in the metric's name.
    Usd = "{USD}";
    /// A price of electricity.
    UsdPerKwh = "{USD/kWh}";
    /// What holding something costs, used or not.
    UsdPerHour = "{USD/h}";
    /// What having made something emitted, spread over the time it is held.
    GramsPerHour = "{gCO2e/h}";
    /// A volume of water. The unit is an annotation: Prometheus would mangle a litre.
    Liters = "{L}";
    /// Water used for each kilowatt-hour.
    LitersPerKwh = "{L/kWh}";
    /// A temperature.
    Celsius = "Cel";
    /// A frequency.
    Hertz = "Hz";
    /// A number of things; the metric table says of which.
    Count = "{count}";
}

impl Mul<Seconds> for Watts {
    type Output = Joules;
    fn mul(self, time: Seconds) -> Joules {
        Joules(self.0 * time.0)
    }
}

impl Div<Seconds> for Joules {
    type Output = Watts;
    fn div(self, time: Seconds) -> Watts {
        Watts(self.0 / time.0)
    }
}

impl Mul<GramsPerKwh> for Joules {
    type Output = GramsCo2e;
    fn mul(self, intensity: GramsPerKwh) -> GramsCo2e {
        GramsCo2e(self.0 / JOULES_PER_KWH * intensity.0)
    }
}

impl Mul<UsdPerKwh> for Joules {
    type Output = Usd;
    fn mul(self, price: UsdPerKwh) -> Usd {
        Usd(self.0 / JOULES_PER_KWH * price.0)
    }
}

impl Mul<LitersPerKwh> for Joules {
    type Output = Liters;
    fn mul(self, factor: LitersPerKwh) -> Liters {
        Liters(self.0 / JOULES_PER_KWH * factor.0)
    }
}

impl Mul<UsdPerHour> for Seconds {
    type Output = Usd;
    fn mul(self, price: UsdPerHour) -> Usd {
        Usd(self.hours() * price.0)
    }
}

impl Mul<GramsPerHour> for Seconds {
    type Output = GramsCo2e;
    fn mul(self, rate: GramsPerHour) -> GramsCo2e {
        GramsCo2e(self.hours() * rate.0)
    }
}

impl Seconds {
    /// A time given in hours.
    pub fn from_hours(hours: f64) -> Self {
        Self(hours * SECONDS_PER_HOUR)
    }

    /// This time in hours.
    pub fn hours(self) -> f64 {
        self.0 / SECONDS_PER_HOUR
    }
}

impl Joules {
    /// Energy given in kilowatt-hours, as published formulas do.
    pub fn from_kwh(kwh: f64) -> Self {
        Self(kwh * JOULES_PER_KWH)
    }

    /// This energy in kilowatt-hours.
    pub fn kwh(self) -> f64 {
        self.0 / JOULES_PER_KWH
    }
}

impl Ratio {
    /// `part` of `whole`, and nothing of nothing.
    pub fn of(part: f64, whole: f64) -> Self {
        if whole > 0.0 { Self(part / whole) } else { Self(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kilowatt_hour_at_four_hundred_grams_is_four_hundred_grams() {
        let energy = Watts::new(1000.0) * Seconds::new(3600.0);
        assert!((energy.kwh() - 1.0).abs() < 1e-15);
        let carbon = energy * GramsPerKwh::new(400.0);
        assert!((carbon.get() - 400.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_priced_by_the_hour_is_priced_by_the_second() {
        assert!(((Seconds::from_hours(0.5) * UsdPerHour::new(3.0)).get() - 1.5).abs() < 1e-15);
        assert!(((Seconds::new(7200.0) * GramsPerHour::new(20.0)).get() - 40.0).abs() < 1e-12);
        assert!(((Joules::from_kwh(2.0) * LitersPerKwh::new(0.25)).get() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn units_survive_the_way_into_prometheus() {
        for unit in [
            Joules::UNIT,
            Watts::UNIT,
            Seconds::UNIT,
            GramsCo2e::UNIT,
            Bytes::UNIT,
            Hertz::UNIT,
            Celsius::UNIT,
            Ratio::UNIT,
        ] {
            assert!(["J", "W", "s", "g", "By", "Hz", "Cel", "1", "%"].contains(&unit), "{unit}");
        }
    }
}
