//! How a figure was obtained, and how wrong it may be.

use std::fmt;

/// How a figure was obtained, from strongest to weakest. A mixture bears its weakest part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Read from a counter or a meter of the device itself.
    #[default]
    Measured,
    /// A measured total, split by a witness such as CPU time.
    Apportioned,
    /// Computed from a model of the device and its use.
    Modelled,
    /// A constant that nobody checked on this machine.
    Assumed,
    /// Made up by the simulated node.
    Simulated,
}

impl Method {
    /// The value of the attribute `energy.method`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Apportioned => "apportioned",
            Self::Modelled => "modelled",
            Self::Assumed => "assumed",
            Self::Simulated => "simulated",
        }
    }

    /// The method of a mixture of the two.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        self.max(other)
    }

    /// The method of a part of this figure: what was measured whole is apportioned in parts.
    #[must_use]
    pub fn split(self) -> Self {
        self.max(Self::Apportioned)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The standard deviation of the natural logarithm of a figure: independent errors that multiply.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Uncertainty(f64);

impl Uncertainty {
    /// A figure without error.
    pub const NONE: Self = Self(0.0);
    /// Standard deviations that hold 90 % of a normal distribution.
    const NINETY_PERCENT: f64 = 1.645;

    /// From the standard deviation of the logarithm, which is not negative.
    pub const fn from_sigma(sigma: f64) -> Self {
        Self(sigma)
    }

    /// The standard deviation of the logarithm.
    pub const fn sigma(self) -> f64 {
        self.0
    }

    /// The uncertainty of a product of two independent figures.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self(self.0.hypot(other.0))
    }

    /// The uncertainty of a sum whose parts err together, which is the careful assumption for parts of one machine:
    /// the mean weighted by amount. Nothing of nothing is certain.
    pub fn of_sum(parts: impl IntoIterator<Item = (f64, Self)>) -> Self {
        let (mut whole, mut weighted) = (0.0, 0.0);
        for (amount, uncertainty) in parts {
            whole += amount;
            weighted += amount * uncertainty.0;
        }
        if whole > 0.0 { Self(weighted / whole) } else { Self::NONE }
    }

    /// The factor f of the 90 % range: the true figure x lies between x/f and x*f in nine cases of ten.
    pub fn factor(self) -> f64 {
        (Self::NINETY_PERCENT * self.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_bears_its_weakest_method() {
        assert_eq!(Method::Measured.with(Method::Modelled), Method::Modelled);
        assert_eq!(Method::Measured.split(), Method::Apportioned);
        assert_eq!(Method::Assumed.split(), Method::Assumed);
    }

    #[test]
    fn factors_match_the_published_table() {
        // The 90 % factors of the power tiers: sigma 0.29 is x/1.6, 0.6 is x/2.7.
        assert!((Uncertainty::from_sigma(0.29).factor() - 1.61).abs() < 0.01);
        assert!((Uncertainty::from_sigma(0.6).factor() - 2.68).abs() < 0.01);
        let both = Uncertainty::from_sigma(0.14).times(Uncertainty::from_sigma(0.25));
        assert!((both.sigma() - 0.2865).abs() < 1e-4);
    }
}
