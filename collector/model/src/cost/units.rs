//! Prices of services that are sold by the unit: published list prices, which a configuration may replace.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::{Usd, UsdPerHour};

use super::{did_you_mean, nearest};
use crate::grid::table::Table;

const TABLE: Table = Table::new(include_str!("../../data/unit_price.csv"));

static PUBLISHED: LazyLock<UnitPrices> = LazyLock::new(|| UnitPrices {
    prices: TABLE.rows().filter_map(UnitPrice::parse).map(|price| (price.name, price)).collect(),
});

/// The highest price taken for one that was meant, in USD for one unit.
const MOST_USD: f64 = 1e6;

/// The price of one unit of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitPrice {
    /// The service, as `agentcore.runtime.vcpu_hour`.
    pub name: &'static str,
    /// What is counted: `vCPU-hour`, `invocation`.
    pub unit: &'static str,
    /// Price of one unit.
    pub usd: Usd,
    /// Where it was published; `configuration` for a price of the user's own.
    pub source: &'static str,
    /// When it was last seen quoted from there, as `YYYY-MM-DD`; empty for a price of the user's own.
    pub date: &'static str,
}

impl UnitPrice {
    fn parse([name, unit, usd, date, source, _year, _licence]: [&'static str; 7]) -> Option<Self> {
        Some(Self { name, unit, usd: Usd::new(usd.parse().ok()?), source, date })
    }
}

/// All prices by the unit.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitPrices {
    prices: BTreeMap<&'static str, UnitPrice>,
}

/// Why a price of the user's own is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UnitPriceError {
    /// Nothing is sold under this name.
    #[error("cost.units: {name:?}: expected a name that `wattline factors` lists{}", did_you_mean(nearest))]
    UnknownUnit {
        /// What was written.
        name: String,
        /// Names that are most like it.
        nearest: Vec<&'static str>,
    },
    /// The price is negative, no number, or absurd.
    #[error("cost.units: {name:?} = {usd}: expected USD for one {unit}, 0 to {MOST_USD}")]
    Price {
        /// The service.
        name: &'static str,
        /// What was written.
        usd: f64,
        /// What is counted.
        unit: &'static str,
    },
}

impl UnitPrices {
    /// The published list prices.
    pub fn published() -> &'static Self {
        &PUBLISHED
    }

    /// The published prices, with those of the user in place of their namesakes.
    pub fn with(own: &BTreeMap<String, f64>) -> Result<Self, UnitPriceError> {
        let mut all = Self::published().clone();
        for (name, &usd) in own {
            let Some(price) = all.prices.get_mut(name.as_str()) else {
                let nearest = nearest(name, Self::published().prices.keys().copied());
                return Err(UnitPriceError::UnknownUnit { name: name.clone(), nearest });
            };
            if !(0.0..=MOST_USD).contains(&usd) {
                return Err(UnitPriceError::Price { name: price.name, usd, unit: price.unit });
            }
            *price = UnitPrice { usd: Usd::new(usd), source: "configuration", date: "", ..*price };
        }
        Ok(all)
    }

    /// The price of one unit; `None` for a name under which nothing is sold.
    pub fn get(&self, name: &str) -> Option<&UnitPrice> {
        self.prices.get(name)
    }

    /// What so many units cost; `None` for an unknown name, and for an amount that is negative or no number.
    pub fn cost(&self, name: &str, amount: f64) -> Option<Usd> {
        let price = self.get(name)?;
        (amount.is_finite() && amount >= 0.0).then(|| price.usd * amount)
    }

    /// The price of an hour of what is sold by the hour, such as one vCPU or one gigabyte of memory.
    pub fn hourly(&self, name: &str) -> Option<UsdPerHour> {
        self.get(name).filter(|price| price.unit.ends_with("-hour")).map(|price| UsdPerHour::new(price.usd.get()))
    }

    /// All prices, by name.
    pub fn iter(&self) -> impl Iterator<Item = &UnitPrice> {
        self.prices.values()
    }

    /// The version of the published table.
    pub fn version() -> &'static str {
        TABLE.head("version").unwrap_or("unknown")
    }
}

impl Default for UnitPrices {
    fn default() -> Self {
        Self::published().clone()
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::Seconds;

    use super::*;

    fn own(name: &str, usd: f64) -> Result<UnitPrices, UnitPriceError> {
        UnitPrices::with(&BTreeMap::from([(name.to_owned(), usd)]))
    }

    #[test]
    fn every_row_parses_and_no_name_stands_twice() {
        crate::grid::table::check::<7>(TABLE, PUBLISHED.prices.len());
        assert!(PUBLISHED.iter().all(|price| price.usd.get() > 0.0 && price.source.starts_with("https://")));
    }

    #[test]
    fn what_is_sold_by_the_hour_is_charged_by_the_second() {
        // By hand: 18 / 3600 of 0.0895 USD, and 60 / 3600 of 0.00945 USD.
        let prices = UnitPrices::published();
        let cpu = Seconds::new(18.0) * prices.hourly("agentcore.runtime.vcpu_hour").unwrap();
        let memory = Seconds::new(60.0) * prices.hourly("agentcore.runtime.gb_hour").unwrap();
        assert!((cpu.get() - 0.000_447_5).abs() < 1e-12 && (memory.get() - 0.000_157_5).abs() < 1e-12);
        let million = prices.cost("agentcore.gateway.invocation", 1e6).unwrap();
        assert!((million.get() - 5.0).abs() < 1e-12);
        assert_eq!(prices.hourly("agentcore.gateway.invocation"), None);
    }

    #[test]
    fn a_price_of_ones_own_replaces_its_namesake_only() {
        let prices = own("agentcore.runtime.vcpu_hour", 0.05).unwrap();
        assert_eq!(prices.cost("agentcore.runtime.vcpu_hour", 2.0), Some(Usd::new(0.1)));
        assert_eq!(prices.get("agentcore.runtime.vcpu_hour").unwrap().source, "configuration");
        let name = "agentcore.runtime.gb_hour";
        assert_eq!(prices.get(name), UnitPrices::published().get(name));
    }

    #[test]
    fn a_wrong_name_or_price_is_refused_by_name() {
        let told = |name, usd| own(name, usd).unwrap_err().to_string();
        assert_eq!(
            told("agentcore.runtime.vcpu_hours", 1.0),
            "cost.units: \"agentcore.runtime.vcpu_hours\": expected a name that `wattline factors` lists; did you mean \
             agentcore.runtime.vcpu_hour?"
        );
        assert_eq!(
            told("agentcore.policy.request", -1.0),
            "cost.units: \"agentcore.policy.request\" = -1: expected USD for one request, 0 to 1000000"
        );
        assert!(own("agentcore.policy.request", f64::NAN).is_err());
    }

    #[test]
    fn what_cannot_be_counted_has_no_cost() {
        let prices = UnitPrices::published();
        assert_eq!(prices.cost("nobody.sells.this", 1.0), None);
        for amount in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(prices.cost("agentcore.policy.request", amount), None);
        }
        assert_eq!(prices.cost("agentcore.policy.request", 0.0), Some(Usd::ZERO));
    }
}
