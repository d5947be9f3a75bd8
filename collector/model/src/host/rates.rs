//! What a joule and an hour of this machine mean: the rates in force, and the meaning of one window by them.

use serde::{Deserialize, Serialize};
use wattline_core::{
    DeviceKind, GramsCo2e, GramsPerHour, GramsPerKwh, Joules, LitersPerKwh, MicroJoules, Microliters, NanoUsd,
    Nanograms, Quantity, Ratio, Seconds, Uncertainty, Usd, UsdPerHour, UsdPerKwh,
};

/// Nanograms of a gram and nano-dollars of a dollar.
const NANO: f64 = 1e9;
/// Microlitres of a litre.
const MICRO: f64 = 1e6;

/// What a joule and an hour of this machine mean in carbon, money and water.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Carbon intensity of the grid where the machine stands.
    pub intensity: GramsPerKwh,
    /// Carbon intensity by the user's contract: another view of the same joules, never added.
    pub market: Option<GramsPerKwh>,
    /// Energy of the facility for each joule of the machine; at least 1.
    pub pue: Ratio,
    /// Price of electricity. It is booked only where the machine has no rent, which includes electricity; `None`
    /// where the machine is rented and the rent is unknown.
    pub electricity: Option<UsdPerKwh>,
    /// Uncertainty of operational carbon for a known energy.
    pub carbon_uncertainty: Uncertainty,
    /// Water that electricity takes.
    pub water: WaterRates,
    /// What the machine costs by the hour.
    pub holding: Holding,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            intensity: GramsPerKwh::ZERO,
            market: None,
            pue: Ratio::new(1.0),
            electricity: None,
            carbon_uncertainty: Uncertainty::NONE,
            water: WaterRates::default(),
            holding: Holding::default(),
        }
    }
}

impl Rates {
    /// True when every joule and every hour means the same by both. How sure it is may differ: that grows by the second
    /// while a live value is stale, and ends no window.
    pub(super) fn is_priced_as(&self, other: &Self) -> bool {
        *self == Self { carbon_uncertainty: self.carbon_uncertainty, ..other.clone() }
    }
}

/// Water for each kilowatt-hour, where it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaterRates {
    /// Evaporated at the site. By definition for each kilowatt-hour of the machines, so without PUE (water usage
    /// effectiveness, ISO/IEC 30134-9).
    pub site: Option<LitersPerKwh>,
    /// Evaporated at the plants of the grid, for each kilowatt-hour of the facility, so with PUE.
    pub grid: Option<LitersPerKwh>,
}

/// What the machine costs and has cost to make, by the hour, used or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Holding {
    /// The list price of the machine, electricity included.
    pub rent: Option<UsdPerHour>,
    /// What making the machine emitted.
    pub embodied: Option<Embodied>,
    /// The parts of the machine that rent and embodied carbon are divided over. Without parts, or where no weight is
    /// above zero, nothing says whose they are, and they are unattributed.
    pub parts: Vec<HeldPart>,
}

/// What making a machine emitted, spread over its life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Embodied {
    /// Emissions of making the machine for each hour of its life.
    pub per_hour: GramsPerHour,
    /// How wrong they may be.
    pub uncertainty: Uncertainty,
}

/// A part of the machine with its weight in what the machine costs to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldPart {
    /// The kind of device.
    pub kind: DeviceKind,
    /// Its weight in the rent. Only the proportions of weights count; what is not positive counts as zero.
    pub weight_rent: Ratio,
    /// Its weight in the embodied carbon, likewise.
    pub weight_embodied: Ratio,
}

/// What some energy and some time of the machine meant. Of what has no rate, nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// Carbon of electricity, by the grid's average where the machine stands.
    pub operational: Nanograms,
    /// Carbon of making the machine.
    pub embodied: Option<Nanograms>,
    /// The bill for electricity.
    pub electricity: Option<NanoUsd>,
    /// The machine's list price.
    pub rent: Option<NanoUsd>,
    /// Carbon of electricity by the user's contract: `operational` seen otherwise, and not added to it.
    pub market: Option<Nanograms>,
    /// Water evaporated at the site.
    pub water_site: Option<Microliters>,
    /// Water evaporated at the plants of the grid.
    pub water_grid: Option<Microliters>,
}

impl Meaning {
    pub(super) fn add(&mut self, window: &Self) {
        fn grow<T: Copy + Default + std::ops::AddAssign>(sum: &mut Option<T>, amount: Option<T>) {
            if let Some(amount) = amount {
                *sum.get_or_insert_default() += amount;
            }
        }
        let Self { operational, embodied, electricity, rent, market, water_site, water_grid } = window;
        self.operational += *operational;
        grow(&mut self.embodied, *embodied);
        grow(&mut self.electricity, *electricity);
        grow(&mut self.rent, *rent);
        grow(&mut self.market, *market);
        grow(&mut self.water_site, *water_site);
        grow(&mut self.water_grid, *water_grid);
    }
}

/// Turns windows into whole units. The fraction of a unit that a window leaves is owed to the next, so that what is
/// rounded never adds up, however many windows there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rounding {
    operational: Owed,
    embodied: Owed,
    electricity: Owed,
    rent: Owed,
    market: Owed,
    water_site: Owed,
    water_grid: Owed,
}

/// A fraction of a unit, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Owed(f64);

impl Rounding {
    /// What a window meant in which the machine drew `energy`.
    pub(super) fn meaning(&mut self, energy: MicroJoules, elapsed: Seconds, rates: &Rates) -> Meaning {
        let Rates { intensity, market, pue, electricity, carbon_uncertainty: _, water, holding } = rates;
        let Holding { rent, embodied, parts: _ } = holding;
        let machine = energy.quantity();
        let facility: Joules = machine * pue.get();
        let carbon = |owed: &mut Owed, amount: GramsCo2e| Nanograms::new(owed.whole(amount, NANO));
        let money = |owed: &mut Owed, amount: Usd| NanoUsd::new(owed.whole(amount, NANO));
        // Electricity is in the rent.
        let electricity = electricity.filter(|_| rent.is_none());
        Meaning {
            operational: carbon(&mut self.operational, facility * *intensity),
            embodied: embodied.map(|embodied| carbon(&mut self.embodied, elapsed * embodied.per_hour)),
            electricity: electricity.map(|price| money(&mut self.electricity, facility * price)),
            rent: rent.map(|price| money(&mut self.rent, elapsed * price)),
            market: market.map(|intensity| carbon(&mut self.market, facility * intensity)),
            water_site: water.site.map(|rate| Microliters::new(self.water_site.whole(machine * rate, MICRO))),
            water_grid: water.grid.map(|rate| Microliters::new(self.water_grid.whole(facility * rate, MICRO))),
        }
    }
}

impl Owed {
    /// The whole units of `amount` and of what is owed. Negative, NaN and infinite amounts are none.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and `as` saturates")]
    fn whole(&mut self, amount: impl Quantity, units_each: f64) -> u64 {
        let units = amount.get() * units_each;
        if !(units.is_finite() && units > 0.0) {
            return 0;
        }
        let exact = units + self.0;
        self.0 = exact.fract();
        exact.floor() as u64
    }
}

#[cfg(test)]
pub(super) mod tests;
