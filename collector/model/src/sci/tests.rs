use proptest::prelude::*;
use wattline_core::{GramsPerHour, GramsPerKwh, Seconds, Watts};

use super::*;

fn view(operational: f64, embodied: f64) -> View {
    View { operational: GramsCo2e::new(operational), embodied: GramsCo2e::new(embodied), ..View::default() }
}

fn per_unit(view: &View, unit: &FunctionalUnit) -> f64 {
    sci(view, unit).map_or(f64::NAN, |scored| scored.per_unit.get())
}

fn requests(count: f64) -> FunctionalUnit {
    FunctionalUnit::Requests(Count::new(count))
}

#[test]
fn the_published_example_of_the_impact_framework_comes_out() {
    // Green Software Foundation, Impact Framework, manifests/outputs/builtins/sci/success.yaml: 5 and 0.02 over 100.
    let scored = sci(&view(5.0, 0.02), &requests(100.0)).unwrap();
    assert!((scored.per_unit.get() - 0.0502).abs() < 1e-15, "{scored:?}");
    assert!((scored.operational_share.get() - 5.0 / 5.02).abs() < 1e-15);
}

#[test]
fn the_standards_server_emits_twenty_eight_grams_in_an_hour() {
    // ISO/IEC 21031 (SCI, M = TE * TS * RS): 1,000 kg over four years, held whole for one hour: about 28 g.
    let per_hour = GramsPerHour::new(1_000_000.0 / (4.0 * 365.0 * 24.0));
    let embodied = Seconds::from_hours(1.0) * per_hour;
    let hour = View { embodied, ..View::default() };
    assert!((per_unit(&hour, &requests(1.0)) - 28.54).abs() < 0.005, "{embodied:?}");
}

#[test]
fn the_example_of_sci_for_ai_is_a_thousand_times_what_it_prints() {
    // SCI for AI, 9.1.1: 5,000 kg and 1,500 kg for 50 billion tokens. It prints 0.13 g for a million tokens, which are
    // 0.13 kg: 130 g. Its classifier (9.2.1) is right: 3,200 kg for 40 million inferences are 0.08 g each.
    let week = view(5_000_000.0, 1_500_000.0);
    let token = per_unit(&week, &FunctionalUnit::Tokens(Tokens::new(50e9)));
    assert!((token * 1e6 - 130.0).abs() < 1e-9, "{} g", token * 1e6);
    let inference = FunctionalUnit::Other { name: "inference".into(), count: Count::new(40e6) };
    assert!((per_unit(&view(3_200_000.0, 0.0), &inference) - 0.08).abs() < 1e-12);
    assert_eq!(inference.name().as_str(), "inference");
}

#[test]
fn the_published_example_of_cloud_carbon_footprint_comes_out() {
    // Cloud Carbon Footprint, packages/core/src/compute/__tests__/ComputeEstimator.test.ts: 350 W for an hour, PUE
    // 1.135, 928 g/kWh.
    let energy = Watts::new(350.0) * Seconds::from_hours(1.0) * 1.135;
    assert!((energy.kwh() - 0.39725).abs() < 1e-12, "{energy:?}");
    let operational = energy * GramsPerKwh::new(928.0);
    assert!((operational.get() - 368.648).abs() < 1e-9, "{operational:?}");
    let hour = View { operational, ..View::default() };
    assert!((per_unit(&hour, &requests(1.0)) - 368.648).abs() < 1e-9);
}

#[test]
fn without_work_there_is_no_intensity() {
    for count in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(sci(&view(1.0, 1.0), &requests(count)), None, "{count}");
        assert_eq!(sci(&view(1.0, 1.0), &FunctionalUnit::Tokens(Tokens::new(count))), None, "{count}");
    }
    for grams in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(sci(&view(grams, 1.0), &requests(1.0)), None, "{grams}");
        assert_eq!(sci(&view(1.0, grams), &requests(1.0)), None, "{grams}");
    }
}

#[test]
fn the_range_is_of_the_larger_part() {
    let mut view = view(99.0, 1.0);
    view.embodied_uncertainty = Uncertainty::from_sigma(1.0);
    let scored = sci(&view, &requests(1.0)).unwrap();
    assert!((scored.high.get() / scored.per_unit.get()) < 1.02, "{scored:?}");
    assert!((scored.low.get() * scored.high.get() - scored.per_unit.get().powi(2)).abs() < 1e-9);
}

proptest! {
    #[test]
    fn the_score_is_linear_in_carbon_and_inverse_in_units(
        operational in 0.0..1e12f64,
        embodied in 0.0..1e12f64,
        count in 1e-3..1e15f64,
        factor in 0.001..1000.0f64,
        sigma in 0.0..3.0f64,
    ) {
        let uncertainty = Uncertainty::from_sigma(sigma);
        let with = |factor: f64| View {
            operational_uncertainty: uncertainty,
            embodied_uncertainty: uncertainty,
            ..view(operational * factor, embodied * factor)
        };
        let one = sci(&with(1.0), &requests(count)).unwrap();
        let more_carbon = sci(&with(factor), &requests(count)).unwrap();
        let more_work = sci(&with(1.0), &requests(count * factor)).unwrap();
        let close = |left: f64, right: f64| (left - right).abs() <= 1e-9 * left.abs().max(right.abs());
        prop_assert!(close(more_carbon.per_unit.get(), one.per_unit.get() * factor));
        prop_assert!(close(more_work.per_unit.get() * factor, one.per_unit.get()));
        prop_assert!(one.low <= one.per_unit && one.per_unit <= one.high);
        prop_assert!((0.0..=1.0).contains(&one.operational_share.get()));
    }

    #[test]
    fn the_score_of_any_numbers_is_finite_or_none(operational: f64, embodied: f64, count: f64, sigma: f64) {
        let mut view = view(operational, embodied);
        view.operational_uncertainty = Uncertainty::from_sigma(sigma);
        if let Some(Sci { per_unit, low, high, operational_share }) = sci(&view, &requests(count)) {
            prop_assert!(per_unit.is_finite() && low.is_finite() && high.is_finite() && operational_share.is_finite());
        }
    }

    #[test]
    fn what_is_provided_is_never_less_than_what_is_used(own in 0u64..1 << 40, others in 0u64..1 << 40, nobodys in 0u64..1 << 40, share: f64) {
        let part = Part { own, others, nobodys };
        let used = own as f64 / 1e9;
        let whole = (own + others + nobodys) as f64 / 1e9;
        for provided in [Provision::InProportion, Provision::Reserved(Ratio::new(share))] {
            let grams = part.of(provided).get();
            prop_assert!(grams >= used && grams <= whole * (1.0 + 1e-12), "{provided:?}: {grams} of {whole}");
        }
    }
}
