//! A grid and a price that change: each joule is multiplied by what held when it was drawn.

use wattline::config::Config;
use wattline::pipeline::Pipeline;
use wattline_core::reading::{
    CpuReading, CpuTimes, EnergyReading, EnergySource, IntensityKind, IntensityReading, Scope,
};
use wattline_core::{Device, DeviceKind, GramsPerKwh, Instant, Reading, Readings, Tick, Timestamp};

/// Noon of 1 July 2026 in UTC: 08:00 in New York.
const NOON: u64 = 1_782_907_200;

fn tick(second: u64) -> Tick {
    Tick {
        at: Instant::from_nanos((100 + second) * 1_000_000_000),
        wall: Timestamp::from_unix_nanos((NOON + second) * 1_000_000_000),
    }
}

/// What the host shows at a second, having drawn `watts` all along with all CPUs idle.
fn drawn(second: u64, watts: u64) -> Readings {
    let mut readings = Readings::new("host", tick(second));
    let meter = |id: &'static str, kind| {
        Reading::Energy(EnergyReading {
            scope: Scope::Device(Device::new(kind, id)),
            source: EnergySource::Rapl,
            counter_uj: second * watts * 1_000_000,
            range: None,
        })
    };
    readings.items.extend([
        meter("package-0", DeviceKind::Cpu),
        meter("dram-0", DeviceKind::Memory),
        Reading::Cpu(CpuReading {
            total: CpuTimes { idle_ns: second * 1_000_000_000, ..CpuTimes::default() },
            per_cpu: Vec::new(),
            online: 1,
        }),
    ]);
    readings
}

fn intensity(second: u64, from: u64, until: u64, grams: f64) -> Readings {
    let mut readings = Readings::new("intensity", tick(second));
    let at = |second: u64| Timestamp::from_unix_nanos((NOON + second) * 1_000_000_000);
    readings.items.push(Reading::Intensity(IntensityReading {
        zone: "DE".into(),
        source: "test".into(),
        kind: IntensityKind::Average,
        grams: GramsPerKwh::new(grams),
        from: at(from),
        until: at(until),
        estimated: false,
    }));
    readings
}

/// Two meters of 100 W each and a modelled third for the enclosure.
const MACHINE_WATTS: f64 = 200.0 * 1.33;

fn config(more: &str) -> Config {
    // A window longer than the test, so that only a change can end one.
    Config::parse(&format!("[sampling]\nwindow = \"1h\"\n[carbon]\npue = 1.0\nembodied = false\n{more}")).unwrap()
}

#[test]
fn intensity_is_integrated_over_time_and_not_the_last_value_times_the_total() {
    let mut pipeline = Pipeline::new(&config(""), None);
    pipeline.ingest(&intensity(0, 0, 300, 100.0));
    for second in 0..=600 {
        // The second interval is published when the first is over, with another value.
        if second == 300 {
            pipeline.ingest(&intensity(second, 300, 900, 500.0));
        }
        pipeline.ingest(&drawn(second, 100));
    }
    pipeline.settle_now(Timestamp::default());
    let grams = pipeline.host().books().meaning().operational.quantity().get();
    // By hand: 266 W for 300 s at 100 g/kWh and for 300 s at 500 g/kWh.
    let by_hand = MACHINE_WATTS * 300.0 / 3.6e6 * (100.0 + 500.0);
    assert!((grams - by_hand).abs() < 1e-6 * by_hand, "{grams} and not {by_hand}");
    let by_last_value = MACHINE_WATTS * 600.0 / 3.6e6 * 500.0;
    assert!((grams - by_last_value).abs() > 1.0, "the two differ, or this test sees nothing");
}

#[test]
fn a_price_by_the_time_of_use_changes_in_the_middle_of_a_window() {
    let tariff = "[cost.electricity]\nzone = \"America/New_York\"\ndefault = 0.10\n\
                  periods = [{ from = \"08:05\", to = \"09:00\", price = 0.40 }]\n";
    let mut config = config(tariff);
    config.cost.lists = wattline::config::Lists::read(&config.cost).unwrap().into();
    let mut pipeline = Pipeline::new(&config, None);
    for second in 0..=600 {
        pipeline.ingest(&drawn(second, 100));
    }
    pipeline.settle_now(Timestamp::default());
    let usd = pipeline.host().books().meaning().electricity.unwrap().quantity().get();
    let by_hand = MACHINE_WATTS * 300.0 / 3.6e6 * (0.10 + 0.40);
    assert!((usd - by_hand).abs() < 1e-6 * by_hand, "{usd} and not {by_hand}");
}

#[test]
fn a_machine_that_is_described_again_loses_no_rate_meanwhile() {
    let mut pipeline = Pipeline::new(&config(""), None);
    pipeline.ingest(&intensity(0, 0, 900, 100.0));
    for second in 0..=600 {
        if second % 7 == 3 {
            // As when the cloud's metadata service answers.
            pipeline.describe(&wattline_core::Inventory::default());
        }
        pipeline.ingest(&drawn(second, 100));
    }
    pipeline.settle_now(Timestamp::default());
    let meaning = pipeline.host().books().meaning();
    let kwh = MACHINE_WATTS * 600.0 / 3.6e6;
    let grams = meaning.operational.quantity().get();
    let usd = meaning.electricity.unwrap().quantity().get();
    assert!((grams - kwh * 100.0).abs() < 1e-6 * grams, "{grams} and not {}", kwh * 100.0);
    assert!((usd - kwh * 0.12).abs() < 1e-6 * usd, "{usd} and not {}", kwh * 0.12);
}

#[test]
fn a_stale_value_grows_less_certain_and_ends_no_window() {
    let mut pipeline = Pipeline::new(&config(""), None);
    pipeline.ingest(&intensity(0, 0, 300, 100.0));
    for second in 0..=1200 {
        pipeline.ingest(&drawn(second, 100));
    }
    assert!(pipeline.meaning().rates().carbon_uncertainty.sigma() > 0.106, "stale for a quarter of an hour");
    // The first reading of a grid that was not known before ends the window that was open, which was empty.
    assert_eq!(pipeline.host().books().settled_at(), None);
}

#[test]
fn a_figure_of_ones_own_counts_from_the_moment_that_it_is_configured() {
    let mut pipeline = Pipeline::new(&config(""), None);
    pipeline.ingest(&intensity(0, 0, 900, 100.0));
    for second in 0..=600 {
        if second == 300 {
            pipeline.settle_now(Timestamp::default());
            pipeline.reconfigure(&config("intensity = 500.0\n"));
            assert_eq!(pipeline.meaning().intensity().tier.as_str(), "configured");
        }
        pipeline.ingest(&drawn(second, 100));
    }
    pipeline.settle_now(Timestamp::default());
    let grams = pipeline.host().books().meaning().operational.quantity().get();
    // By hand: 299 s at 100 g/kWh until the last reading before the change, and 301 s at 500.
    let by_hand = MACHINE_WATTS / 3.6e6 * (299.0 * 100.0 + 301.0 * 500.0);
    assert!((grams - by_hand).abs() < 1e-6 * by_hand, "{grams} and not {by_hand}");
}

#[test]
fn a_provider_that_falls_silent_leaves_the_tables_in_charge_after_its_last_word_is_too_old() {
    let mut pipeline = Pipeline::new(&config("zone = \"DE\"\n"), None);
    pipeline.ingest(&intensity(0, 0, 300, 100.0));
    let tier = |pipeline: &Pipeline| pipeline.meaning().intensity().tier.as_str();
    for (second, expected) in [(10, "live"), (400, "live"), (300 + 6 * 3600 - 1, "live"), (300 + 6 * 3600 + 1, "zone")]
    {
        pipeline.ingest(&drawn(second, 100));
        assert_eq!(tier(&pipeline), expected, "after {second} s");
    }
    pipeline.ingest(&intensity(30_000, 30_000, 33_600, 120.0));
    pipeline.ingest(&drawn(30_001, 100));
    assert_eq!((tier(&pipeline), pipeline.meaning().intensity().estimated), ("live", false));
}
