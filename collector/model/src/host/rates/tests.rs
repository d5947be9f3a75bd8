use proptest::prelude::*;

use super::*;

fn kwh(kwh: f64) -> MicroJoules {
    MicroJoules::round(Joules::from_kwh(kwh))
}

fn meaning(energy: MicroJoules, hours: f64, rates: &Rates) -> Meaning {
    Rounding::default().meaning(energy, Seconds::from_hours(hours), rates)
}

#[test]
fn water_is_by_its_definition_at_the_site_and_at_the_plants() {
    // The inputs of SPRUCE's WaterAWSTest.java: 100 kWh in us-east-1, PUE 1.15, 2.3127 L/kWh at the plants, which give
    // its 265.96 L, and 0.12 L/kWh at the site. That is for each kilowatt-hour of the machines by definition: 12.0 L.
    // SPRUCE multiplies it by PUE and has 13.8 L.
    let water = WaterRates { site: Some(LitersPerKwh::new(0.12)), grid: Some(LitersPerKwh::new(2.3127)) };
    let rates = Rates { pue: Ratio::new(1.15), water, ..Rates::default() };
    let Meaning { water_site, water_grid, .. } = meaning(kwh(100.0), 1.0, &rates);
    assert_eq!(water_site.map(Microliters::get), Some(12_000_000));
    let litres = water_grid.map_or(0.0, |water| water.quantity().get());
    assert!((litres - 265.96).abs() < 0.005, "{litres} L");
}

#[test]
fn electricity_is_drawn_by_the_facility_and_emits_by_the_grid() {
    // SPRUCE's OperationalEmissionsTest.java has 4,146.8 g for 10 kWh at 321.04 g/kWh and PUE 1.15, with 1.04 for power
    // supplies and 1.08 for lines, which here are in the meter and in nobody's books.
    let rates = Rates { intensity: GramsPerKwh::new(321.04), pue: Ratio::new(1.15), ..Rates::default() };
    let grams = meaning(kwh(10.0), 1.0, &rates).operational.quantity().get();
    assert!((grams * 1.04 * 1.08 - 4_146.8).abs() < 0.1, "{grams} g");
}

#[test]
fn making_a_machine_is_spread_over_its_life() {
    // Impact Framework, sci-embodied scenario-1.yaml: 1,000 kg and two disks of 100 kg, an hour of four years.
    let per_hour = GramsPerHour::new(1_200_000.0 / 35_040.0);
    let embodied = Some(Embodied { per_hour, ..Embodied::default() });
    let rates = Rates { holding: Holding { embodied, ..Holding::default() }, ..Rates::default() };
    let grams = meaning(MicroJoules::ZERO, 1.0, &rates).embodied.map_or(0.0, |grams| grams.quantity().get());
    assert!((grams - 34.246_575_342_465_75).abs() < 1e-9, "{grams} g");
}

#[test]
fn electricity_is_in_the_rent() {
    let rented = |rent: Option<f64>, electricity: Option<f64>| {
        let holding = Holding { rent: rent.map(UsdPerHour::new), ..Holding::default() };
        let rates = Rates { electricity: electricity.map(UsdPerKwh::new), holding, ..Rates::default() };
        let Meaning { electricity, rent, .. } = meaning(kwh(1.0), 1.0, &rates);
        (rent.map(|rent| rent.quantity().get()), electricity.map(|cost| cost.quantity().get()))
    };
    assert_eq!(rented(Some(0.5), Some(0.25)), (Some(0.5), None));
    assert_eq!(rented(None, Some(0.25)), (None, Some(0.25)));
    assert_eq!(rented(None, None), (None, None), "an unknown rent is not made up");
}

#[test]
fn a_contract_is_another_view_of_the_same_joules() {
    let rates = Rates { intensity: GramsPerKwh::new(400.0), market: Some(GramsPerKwh::new(30.0)), ..Rates::default() };
    let Meaning { operational, market, embodied, .. } = meaning(kwh(2.0), 1.0, &rates);
    assert_eq!((operational.get(), market.map(Nanograms::get)), (800_000_000_000, Some(60_000_000_000)));
    assert_eq!(embodied, None);
}

pub(in crate::host) fn any_rates() -> impl Strategy<Value = Rates> {
    let maybe = |range: std::ops::Range<f64>| prop::option::of(range);
    let drawn = (0.0..2000.0f64, maybe(0.0..2000.0), 1.0..2.0f64, maybe(0.0..1.0), 0.0..1.0f64);
    let held = (maybe(0.0..300.0), maybe(0.0..5000.0), crate::host::holding::tests::any_parts());
    (drawn, maybe(0.0..3.0), maybe(0.0..3.0), held).prop_map(
        |((intensity, market, pue, electricity, sigma), site, grid, (rent, embodied, parts))| Rates {
            intensity: GramsPerKwh::new(intensity),
            market: market.map(GramsPerKwh::new),
            pue: Ratio::new(pue),
            electricity: electricity.map(UsdPerKwh::new),
            carbon_uncertainty: Uncertainty::from_sigma(sigma),
            water: WaterRates { site: site.map(LitersPerKwh::new), grid: grid.map(LitersPerKwh::new) },
            holding: Holding {
                rent: rent.map(UsdPerHour::new),
                embodied: embodied.map(|grams| Embodied {
                    per_hour: GramsPerHour::new(grams),
                    uncertainty: Uncertainty::from_sigma(sigma),
                }),
                parts,
            },
        },
    )
}

proptest! {
    #[test]
    fn rounding_does_not_add_up(windows in prop::collection::vec((0u64..1 << 30, 0.1..20.0f64, any_rates()), 1..200)) {
        let mut rounding = Rounding::default();
        let mut sum = Meaning::default();
        let (mut operational, mut rent, mut water) = (0.0, 0.0, 0.0);
        for (uj, seconds, rates) in &windows {
            let (energy, elapsed) = (MicroJoules::new(*uj), Seconds::new(*seconds));
            sum.add(&rounding.meaning(energy, elapsed, rates));
            let kwh = *uj as f64 / 1e6 / 3.6e6;
            operational += kwh * rates.pue.get() * rates.intensity.get() * 1e9;
            rent += rates.holding.rent.map_or(0.0, |rent| rent.get() * seconds / 3600.0 * 1e9);
            water += rates.water.site.map_or(0.0, |water| water.get() * kwh * 1e6);
        }
        for (booked, exact) in [
            (sum.operational.get(), operational),
            (sum.rent.unwrap_or_default().get(), rent),
            (sum.water_site.unwrap_or_default().get(), water),
        ] {
            prop_assert!((booked as f64 - exact).abs() <= 1.0 + exact * 1e-12, "{} of {}", booked, exact);
        }
    }

    #[test]
    fn no_number_breaks_a_meaning(uj: u64, seconds: f64, intensity: f64, pue: f64, rent: f64, grams: f64) {
        let embodied = Some(Embodied { per_hour: GramsPerHour::new(grams), ..Embodied::default() });
        let rates = Rates {
            intensity: GramsPerKwh::new(intensity),
            pue: Ratio::new(pue),
            holding: Holding { rent: Some(UsdPerHour::new(rent)), embodied, parts: Vec::new() },
            ..Rates::default()
        };
        let mut rounding = Rounding::default();
        rounding.meaning(MicroJoules::new(uj), Seconds::new(seconds), &rates);
        let Rounding { operational, embodied, rent, .. } = rounding;
        for owed in [operational, embodied, rent] {
            prop_assert!((0.0..1.0).contains(&owed.0), "{owed:?}");
        }
    }
}
