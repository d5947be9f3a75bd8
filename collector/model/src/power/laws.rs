//! What holds for any machine, however little or however wrong what is said of it.

use proptest::prelude::*;

use super::family::FAMILIES;
use super::tdp::{DESIGNS, normal};
use super::*;

fn names() -> impl Strategy<Value = String> {
    let listed = prop::sample::select(DESIGNS.keys().copied().collect::<Vec<_>>());
    let as_the_kernel_writes = listed.clone().prop_map(|name| {
        let name = name.replace("intel xeon", "Intel(R) Xeon(R) CPU").replace("amd epyc", "AMD EPYC");
        format!("{name} 16-Core Processor @ 2.40GHz")
    });
    prop_oneof![listed.prop_map(str::to_owned), as_the_kernel_writes, "\\PC{0,24}"]
}

fn keys() -> impl Strategy<Value = String> {
    let known = prop::sample::select(FAMILIES.iter().map(|family| family.key).collect::<Vec<_>>());
    prop_oneof![known.prop_map(str::to_owned), "[a-z0-9-]{0,12}"]
}

fn sizes() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.25..512.0f64, 1.0..4096.0f64]
}

fn terms() -> impl Strategy<Value = Terms> {
    any::<[bool; 4]>().prop_map(|[memory, storage, network, enclosure]| Terms { memory, storage, network, enclosure })
}

/// Parts own no text, so the text they borrow is made beside them.
type Words = (Option<String>, Option<String>);

fn parts() -> impl Strategy<Value = (Words, Parts<'static>)> {
    let words = (prop::option::of(keys()), prop::option::of(names()));
    let counts = (sizes(), any::<bool>(), prop::option::of(any::<u32>()), sizes());
    (words, counts, prop::option::of(sizes()), any::<bool>(), terms()).prop_map(
        |(words, (logical_cpus, whole_cores, sockets, memory_gb), tdp, guest, terms)| {
            let tdp = tdp.map(Watts::new);
            let numbers =
                Parts { logical_cpus, whole_cores, sockets, memory_gb, tdp, guest, terms, ..Parts::default() };
            (words, numbers)
        },
    )
}

fn power((words, parts): &(Words, Parts<'static>)) -> HostPower {
    let (family, cpu_name) = words;
    HostPower::of_parts(&Parts { family: family.as_deref(), cpu_name: cpu_name.as_deref(), ..*parts })
}

proptest! {
    #[test]
    fn any_parts_draw_a_finite_power_above_zero(parts in parts(), load: f64, used: f64) {
        let model = power(&parts);
        let at = model.at(Ratio::new(load), Ratio::new(used));
        let ComponentPower { cpu, memory, enclosure, cpu_idle, memory_idle, memory_moving: _, enclosure_idle } = at;
        let Terms { memory: with_memory, enclosure: with_enclosure, storage, network } = parts.1.terms;
        for (part, is_on) in [(cpu, true), (cpu_idle, true), (memory, with_memory), (enclosure, with_enclosure)] {
            prop_assert!(part.is_finite() && (part.get() > 0.0) == is_on, "{at:?}");
        }
        prop_assert!(cpu_idle <= cpu && memory_idle <= memory && enclosure_idle <= enclosure, "{at:?}");
        let (drives, moved) = (model.storage(Bytes::new(load), Bytes::new(1e12)), model.network(Bytes::new(used)));
        prop_assert!(drives.get() >= 0.0 && (drives.get() > 0.0) == storage, "{drives:?}");
        prop_assert!(moved.get() >= 0.0 && moved.is_finite() && (network || moved.get() == 0.0), "{moved:?}");
        let sigma = model.uncertainty().sigma();
        prop_assert!((0.2..1.0).contains(&sigma), "{sigma}");
        prop_assert_eq!(model.method() == Method::Assumed, model.tier() == Tier::T2);
    }

    #[test]
    fn power_of_parts_does_not_fall_when_load_rises(parts in parts(), one in 0.0..=1.0f64, two in 0.0..=1.0f64) {
        let model = power(&parts);
        let at = |load| model.at(Ratio::new(load), Ratio::new(0.5));
        let (low, high) = (at(one.min(two)), at(one.max(two)));
        prop_assert!(low.cpu <= high.cpu && low.memory <= high.memory && low.enclosure <= high.enclosure);
        prop_assert_eq!((low.cpu_idle, low.memory_idle), (high.cpu_idle, high.memory_idle));
    }

    #[test]
    fn a_guest_draws_in_proportion_to_its_threads((words, numbers) in parts(), cpus in 0.25..512.0f64, load in 0.0..=1.0f64) {
        let of = |logical_cpus: f64| {
            let numbers = Parts { guest: true, logical_cpus, memory_gb: 0.0, ..numbers };
            power(&(words.clone(), numbers)).at(Ratio::new(load), Ratio::ZERO)
        };
        let (one, two) = (of(cpus), of(2.0 * cpus));
        prop_assert!((two.cpu.get() / one.cpu.get() - 2.0).abs() < 1e-6, "{one:?} {two:?}");
    }

    #[test]
    fn a_better_known_machine_is_better_known(name in names(), cpus in 1.0..256.0f64) {
        // What the design power adds can only narrow the range.
        let bare = Parts { cpu_name: Some(&name), logical_cpus: cpus, sockets: Some(1), ..Parts::default() };
        let family = identify::by_name(&name);
        let without = Parts { cpu_name: None, family, ..bare };
        prop_assert!(HostPower::of_parts(&bare).uncertainty() <= HostPower::of_parts(&without).uncertainty());
    }
}

#[test]
fn every_processor_and_every_family_draws_more_at_more_load() {
    let by_name = DESIGNS.keys().map(|name| (None, Some(*name)));
    let by_family = FAMILIES.iter().flat_map(|family| {
        DESIGNS.keys().step_by(40).map(|name| (Some(family.key), Some(*name))).chain([(Some(family.key), None)])
    });
    for (family, cpu_name) in by_name.chain(by_family) {
        for (logical_cpus, guest, whole_cores) in [(2.0, true, false), (64.0, true, true), (192.0, false, false)] {
            let sockets = Some(2);
            let parts = Parts { family, cpu_name, logical_cpus, whole_cores, sockets, guest, ..Parts::default() };
            let model = HostPower::of_parts(&parts);
            let watts = [0.0, 0.05, 0.1, 0.5, 0.9, 1.0].map(|load| model.at(Ratio::new(load), Ratio::ZERO).cpu.get());
            assert!(watts[0] > 0.0 && watts.windows(2).all(|pair| pair[0] < pair[1]), "{parts:?}: {watts:?}");
            // A thread of a real server draws between a tenth of a watt and the 24 W of a fast desktop's.
            let each = watts[5] / logical_cpus;
            assert!(!guest || (0.5..30.0).contains(&each), "{parts:?}: {each} W");
            assert!(guest || cpu_name.is_none() || model.tier() != Tier::T2, "{parts:?}");
        }
    }
}

#[test]
fn names_lose_what_the_kernel_adds() {
    for (name, wanted) in [
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "intel xeon e5-2686 v4"),
        ("Intel(R) Xeon(R) CPU E3-1240 V2 @ 3.40GHz", "intel xeon e3-1240 v2"),
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "intel xeon platinum 8259cl"),
        ("AMD EPYC 8024P 8-Core Processor", "amd epyc 8024p"),
        ("AMD Ryzen Threadripper 1950X 16-Core Processor", "amd ryzen threadripper 1950x"),
        ("AMD Ryzen 5 5600G with Radeon Graphics", "amd ryzen 5 5600g"),
        ("13th Gen Intel(R) Core(TM) i7-13700K", "intel core i7-13700k"),
        ("", ""),
        ("@ 3 GHz", "@ 3 ghz"),
    ] {
        assert_eq!(normal(name), wanted, "{name}");
    }
    for name in DESIGNS.keys() {
        assert_eq!(normal(name), *name, "a name in the table that no processor can have");
    }
}

#[test]
fn every_design_power_parses_and_is_one() {
    crate::grid::table::check::<7>(tdp::TABLE, DESIGNS.len());
    for (name, design) in DESIGNS.iter() {
        assert!((2.0..=600.0).contains(&design.watts.get()), "{name}: {design:?}");
        assert!(design.cores.is_none_or(|cores| (2.0..=192.0).contains(&cores)), "{name}: {design:?}");
    }
}

#[test]
fn the_tier_says_what_is_known() {
    let tier = |family, cpu_name, guest| {
        let parts = Parts { family, cpu_name, logical_cpus: 8.0, sockets: Some(1), guest, ..Parts::default() };
        let power = HostPower::of_parts(&parts);
        (power.tier().as_str(), power.name().as_str())
    };
    assert_eq!(tier(Some("epyc-3"), None, true), ("t1a", "specpower-family/2"));
    assert_eq!(tier(None, Some("AMD EPYC 7R13 Processor"), true), ("t1a", "specpower-family/2"));
    // A family that no row has gives way to the name.
    assert_eq!(tier(Some("epyc-99"), Some("AMD EPYC 7R13 Processor"), true), ("t1a", "specpower-family/2"));
    assert_eq!(tier(None, Some("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz"), false), ("t1b", "design-power/1"));
    // A guest does not know its share of a socket whose cores nobody counted: never the whole of it.
    assert_eq!(tier(None, Some("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz"), true), ("t2", "specpower-fleet/2"));
    assert_eq!(tier(None, None, true), ("t2", "specpower-fleet/2"));
}

#[test]
fn a_stated_design_power_overrules_the_table() {
    let parts = Parts { cpu_name: Some("AMD EPYC 7763"), logical_cpus: 128.0, sockets: Some(1), ..Parts::default() };
    let full = |parts: &Parts<'_>| HostPower::of_parts(parts).at(Ratio::new(1.0), Ratio::ZERO).cpu.get();
    let halved = Parts { tdp: Some(Watts::new(140.0)), ..parts };
    // Weight 1 / 0.20^2 against 1 / 0.60^2 of the family's: nine tenths.
    assert!((full(&halved) / full(&parts) - 0.5f64.powf(0.9)).abs() < 1e-3);
    for nonsense in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
        assert!((full(&Parts { tdp: Some(Watts::new(nonsense)), ..parts }) - full(&parts)).abs() < 1e-9);
    }
}

#[test]
fn terms_that_are_on_are_as_published() {
    // Cloud Carbon Footprint's constants for storage and for the network inside a region.
    let terms = Terms { storage: true, network: true, ..Terms::default() };
    let power = HostPower::of_parts(&Parts { terms, ..Parts::default() });
    assert!((power.storage(Bytes::new(2e12), Bytes::new(1e12)).get() - 3.05).abs() < 1e-9);
    assert!((power.network(Bytes::new(1e9)).get() - 3600.0).abs() < 1e-6);
    let without = HostPower::of_parts(&Parts::default());
    assert_eq!(without.storage(Bytes::new(2e12), Bytes::new(1e12)), Watts::ZERO);
    assert_eq!(without.network(Bytes::new(1e9)), Joules::ZERO);
}
