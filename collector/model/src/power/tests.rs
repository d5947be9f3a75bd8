use proptest::prelude::*;
use wattline_core::reading::{CloudInstance, CpuModel};

use super::*;

fn cpu(vendor: &str, name: &str, family: u32, model: u32, logical: u32, cores: u32) -> CpuModel {
    CpuModel {
        vendor: Some(vendor.to_owned()),
        name: (!name.is_empty()).then(|| name.to_owned()),
        family: Some(family),
        model: Some(model),
        logical_count: Some(logical),
        core_count: Some(cores),
        socket_count: Some(1),
    }
}

fn guest(cpu: CpuModel) -> Inventory {
    Inventory {
        cpu,
        arch: Some("amd64".to_owned()),
        virtualization: Virtualization::Guest("kvm".to_owned()),
        memory_bytes: Some(8 << 30),
        ..Inventory::default()
    }
}

fn family_of(vendor: &str, name: &str, family: u32, model: u32) -> &'static str {
    identify::of(&guest(cpu(vendor, name, family, model, 4, 2))).unwrap_or(UNKNOWN)
}

fn on_aws(mut inventory: Inventory, instance_type: &str) -> Inventory {
    inventory.cloud = Some(CloudInstance {
        provider: "aws".to_owned(),
        instance_type: Some(instance_type.to_owned()),
        ..CloudInstance::default()
    });
    inventory
}

#[test]
fn every_row_parses_and_has_source_year_and_licence() {
    crate::grid::table::check::<16>(family::TABLE, family::FAMILIES.len());
    for row in family::FAMILIES.iter() {
        assert!(row.idle_watts > 0.0 && row.idle_watts < row.full_watts, "{row:?}");
        let (full, rest) = row.package_watts();
        assert!((0.1..0.4).contains(&rest) && (0.5..1.2).contains(&(full / row.full_watts)), "{row:?}: {full} {rest}");
        assert!(["fleet", "xeon", "epyc"].contains(&row.curve) && curve::points(row.curve).len() == 11, "{row:?}");
    }
    crate::grid::table::check::<7>(curve::TABLE, curve::points("fleet").len());
    for name in ["fleet", "xeon", "epyc"] {
        assert!(curve::points(name).windows(2).all(|pair| pair[0] < pair[1]), "{name} does not rise");
    }
}

#[test]
fn brands_lead_to_their_family() {
    for (name, key) in [
        ("AMD EPYC 7571", "epyc-1"),
        ("AMD EPYC 7R32", "epyc-2"),
        ("AMD EPYC 7B12", "epyc-2"),
        ("AMD EPYC 7R13 Processor", "epyc-3"),
        ("AMD EPYC 7V73X 64-Core Processor", "epyc-3"),
        ("AMD EPYC 9R14", "epyc-4"),
        ("AMD EPYC 8024P 8-Core Processor", "epyc-4"),
        ("AMD EPYC 9R45", "epyc-5"),
        ("AMD EPYC 9655P 96-Core Processor", "epyc-5"),
        ("AMD EPYC-Genoa Processor", "epyc-4"),
        ("AMD EPYC-Milan-v2 Processor", "epyc-3"),
        ("AMD EPYC 4464P 12-Core Processor", "unknown"),
        ("AMD Ryzen 9 7950X 16-Core Processor", "unknown"),
    ] {
        // Numbers that would say something else if the brand did not decide.
        assert_eq!(family_of("AuthenticAMD", name, 0x19, 0x61), key, "{name}");
    }
    for (name, key) in [
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "xeon-broadwell"),
        ("Intel(R) Xeon(R) CPU E5-2666 v3 @ 2.90GHz", "xeon-haswell"),
        ("Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz", "xeon-skylake"),
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "xeon-cascade-lake"),
        ("Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz", "xeon-cascade-lake"),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "xeon-ice-lake"),
        ("Intel(R) Xeon(R) Platinum 8488C", "xeon-sapphire-rapids"),
        ("Intel(R) Xeon(R) Platinum 8592+", "xeon-emerald-rapids"),
        ("Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz", "xeon-sandy-bridge"),
        ("Intel(R) Xeon(R) CPU E7-4870 @ 2.40GHz", "unknown"),
        ("Intel Xeon Processor (Skylake, IBRS)", "xeon-skylake"),
        ("Intel Xeon Sapphire Rapids", "xeon-sapphire-rapids"),
        ("Intel Broadwell E5-2686 v4", "xeon-broadwell"),
        ("Intel Haswell E7 8880v3", "xeon-haswell"),
        ("Intel Core Processor (Haswell, no TSX)", "unknown"),
        ("Intel(R) Xeon(R) 6980P", "xeon-granite-rapids"),
        ("Intel(R) Xeon(R) 6780E", "xeon-sierra-forest"),
        ("Intel(R) Core(TM) i9-14900K", "unknown"),
    ] {
        let mut inventory = guest(cpu("GenuineIntel", name, 6, 85, 4, 2));
        inventory.cpu.model = None;
        assert_eq!(identify::of(&inventory).unwrap_or(UNKNOWN), key, "{name}");
    }
}

#[test]
fn numbers_decide_where_the_brand_is_hidden() {
    for (family, model, key) in [
        (0x17, 0x01, "epyc-1"),
        (0x17, 0x31, "epyc-2"),
        (0x19, 0x01, "epyc-3"),
        (0x19, 0x11, "epyc-4"),
        (0x19, 0xa0, "epyc-4"),
        (0x1a, 0x02, "epyc-5"),
        (0x1a, 0x11, "epyc-5"),
        (0x19, 0x61, "unknown"),
    ] {
        assert_eq!(family_of("AuthenticAMD", "AMD EPYC", family, model), key, "{family:x} {model:x}");
        assert_eq!(family_of("AuthenticAMD", "", family, model), key, "{family:x} {model:x}");
    }
    let hidden = "Intel(R) Xeon(R) Processor @ 2.60GHz";
    for (model, key) in [
        (63, "xeon-haswell"),
        (85, "xeon-cascade-lake"),
        (106, "xeon-ice-lake"),
        (143, "xeon-sapphire-rapids"),
        (207, "xeon-emerald-rapids"),
        (173, "xeon-granite-rapids"),
        (175, "xeon-sierra-forest"),
        (151, "unknown"),
    ] {
        assert_eq!(family_of("GenuineIntel", hidden, 6, model), key, "{model}");
    }
    assert_eq!(family_of("GenuineIntel", "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz", 6, 85), "xeon-skylake");
}

#[test]
fn arm_servers_borrow_the_altra_and_say_how_far_that_is() {
    let graviton = Inventory {
        arch: Some("arm64".to_owned()),
        cpu: cpu("0x41", "", 8, 0xd4f, 4, 4),
        ..guest(CpuModel::default())
    };
    let graviton = on_aws(graviton, "m8g.xlarge");
    let power = HostPower::of(&graviton);
    assert_eq!(power.family().as_str(), "Ampere Altra (Neoverse N1)");
    assert_eq!((power.tier(), power.method()), (Tier::T1a, Method::Modelled));
    // Another maker's chip: 0.60 and 0.25 for its full load, 0.14 for the curve, 0.25 for the server.
    assert!((power.uncertainty().sigma() - 0.7104).abs() < 1e-3, "{:?}", power.uncertainty());
    // One vCPU is one core, and the Altra's watts are for one core: the mean of 1.922 / 1.2 - 1.0 x 0.39 W and
    // 0.93 x 2.264 W.
    assert!((full(&graviton) - 4.0 * 1.59734).abs() < 1e-4);
    let altra = Inventory { cloud: None, ..Inventory { cpu: cpu("0x41", "", 8, 0xd0c, 4, 4), ..graviton } };
    assert!((HostPower::of(&altra).uncertainty().sigma() - 0.6649).abs() < 1e-3);
}

fn full(inventory: &Inventory) -> f64 {
    HostPower::of(inventory).at(Ratio::new(1.0), Ratio::ZERO).cpu.get()
}

#[test]
fn a_virtual_cpu_that_is_a_whole_core_draws_two_threads() {
    let genoa = |logical, cores| guest(cpu("AuthenticAMD", "AMD EPYC 9R14", 0x19, 0x11, logical, cores));
    assert!((full(&genoa(8, 8)) - 2.0 * full(&genoa(8, 4))).abs() < 1e-9);
    // The instance type says it where the topology is hidden.
    assert!((full(&on_aws(genoa(8, 4), "m7a.2xlarge")) - 2.0 * full(&genoa(8, 4))).abs() < 1e-9);
    assert!((full(&on_aws(genoa(8, 4), "m7i.2xlarge")) - full(&genoa(8, 4))).abs() < 1e-9);
    // An older guest without visible threads more likely hides them.
    let milan = |cores| guest(cpu("AuthenticAMD", "AMD EPYC 7R13", 0x19, 0x01, 8, cores));
    assert!((full(&milan(8)) - full(&milan(4))).abs() < 1e-9);
    // On bare metal nothing is hidden. (A part with a known design power draws that, threads or no threads.)
    let metal = |cores| Inventory {
        virtualization: Virtualization::None,
        ..guest(cpu("AuthenticAMD", "AMD EPYC-Milan Processor", 0x19, 0x01, 8, cores))
    };
    assert!((full(&metal(8)) - 2.0 * full(&metal(4))).abs() < 1e-9);
}

#[test]
fn the_parts_of_a_known_guest_are_as_reckoned_by_hand() {
    // m6i.xlarge: 4 threads of Ice Lake, 16 GB. At full load a thread of a published server draws
    // 4.121 / 1.2 - 1.6 x 0.39 = 2.810 W, and one of the parts 8380 and 5320T 0.93 x 3.558 W of design power: the mean is
    // 3.0492 W, 12.197 W for four. By its own design power 0.93 x 300 W x 4 / 64 = 17.4375 W. Weights 1 / 0.60^2 and
    // 1 / (0.20^2 + 0.08^2): 16.740 W. At rest (0.924 / 1.2 - 1.6 x 0.06) / 2.810 = 0.2398 of it.
    let inventory = Inventory {
        memory_bytes: Some(16 << 30),
        ..guest(cpu("GenuineIntel", "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", 6, 106, 4, 2))
    };
    let power = HostPower::of(&inventory);
    assert_eq!((power.name().as_str(), power.method()), ("specpower-family/2", Method::Modelled));
    let full = power.at(Ratio::new(1.0), Ratio::new(0.25));
    assert!((full.cpu.get() - 16.7402).abs() < 1e-3, "{full:?}");
    assert!((full.memory.get() - 16.0 * 0.39).abs() < 1e-9);
    assert!((full.memory_idle.get() - 16.0 * 0.15 * 0.75).abs() < 1e-9);
    assert!((full.enclosure.get() - 0.33 * (full.cpu.get() + full.memory.get())).abs() < 1e-9);
    assert!((full.cpu_idle.get() - 4.0150).abs() < 1e-3, "{full:?}");
    assert_eq!(power.package_watts_idle_prior(), full.cpu_idle);
    assert!((power.uncertainty().sigma() - 0.3510).abs() < 1e-3, "{:?}", power.uncertainty());
    // At half load: being awake takes (0.123 - 0.0505) / 0.809 = 0.0896 of the span, and of the rest the cores take
    // 0.8 x 0.5 + 0.25 = 0.65.
    let half = power.at(Ratio::new(0.5), Ratio::new(0.25));
    assert!((half.cpu.get() - 12.6855).abs() < 1e-3, "{half:?}");
    assert!((half.memory.get() - 16.0 * 0.27).abs() < 1e-9);
}

#[test]
fn an_unknown_machine_draws_what_any_server_does() {
    let power = HostPower::of(&Inventory::default());
    assert_eq!((power.name().as_str(), power.method(), power.tier()), ("specpower-fleet/2", Method::Assumed, Tier::T2));
    assert!((power.uncertainty().sigma() - 0.7513).abs() < 1e-3, "{:?}", power.uncertainty());
    // The geometric mean of 3.24 / 1.2 - 1.231 x 0.39 W and 0.93 x 3.356 W; (0.64 / 1.2 - 1.231 x 0.06) / 2.220 at rest.
    let full = power.at(Ratio::new(1.0), Ratio::ZERO);
    assert!((full.cpu.get() - 2.6321).abs() < 1e-3 && (full.cpu_idle.get() - 0.5448).abs() < 1e-3, "{full:?}");
}

fn inventories() -> impl Strategy<Value = Inventory> {
    let text = || prop::option::of("\\PC{0,24}|AMD EPYC [0-9R]{0,5}|Intel\\(R\\) Xeon\\(R\\) (Gold )?[0-9]{0,4}[PE]?");
    let number = || prop::option::of(prop_oneof![any::<u32>(), 0u32..256]);
    let vendor =
        prop::option::of(prop_oneof![Just("AuthenticAMD".to_owned()), Just("GenuineIntel".to_owned()), "\\PC{0,8}"]);
    let arch = prop::option::of(prop_oneof![Just("arm64".to_owned()), Just("amd64".to_owned())]);
    let virtualization = prop_oneof![
        Just(Virtualization::Unknown),
        Just(Virtualization::None),
        Just(Virtualization::Guest(String::new()))
    ];
    let instance = prop::option::of("[a-z]{0,3}[0-9]{0,2}[a-z]{0,3}(\\.[a-z0-9]{0,9})?|\\PC{0,12}");
    ((vendor, text(), number(), number()), (number(), number(), arch), any::<Option<u64>>(), virtualization, instance)
        .prop_map(|((vendor, name, family, model), (logical, cores, arch), memory_bytes, virtualization, instance)| {
            let cpu =
                CpuModel { vendor, name, family, model, logical_count: logical, core_count: cores, socket_count: None };
            let inventory = Inventory { cpu, arch, memory_bytes, virtualization, ..Inventory::default() };
            match instance {
                Some(instance) => on_aws(inventory, &instance),
                None => inventory,
            }
        })
}

proptest! {
    #[test]
    fn any_machine_draws_a_finite_power_above_zero(inventory in inventories(), load: f64, used: f64) {
        let power = HostPower::of(&inventory).at(Ratio::new(load), Ratio::new(used));
        let ComponentPower { cpu, memory, enclosure, cpu_idle, memory_idle, memory_moving, enclosure_idle } = power;
        prop_assert!(memory_idle + memory_moving <= memory * (1.0 + 1e-12), "{power:?}");
        for part in [cpu, memory, enclosure, cpu_idle] {
            prop_assert!(part.is_finite() && part.get() > 0.0, "{power:?}");
        }
        prop_assert!(cpu_idle <= cpu && memory_idle <= memory && enclosure_idle <= enclosure, "{power:?}");
        prop_assert!(memory_idle.get() >= 0.0 && enclosure_idle.get() > 0.0);
    }

    #[test]
    fn power_does_not_fall_when_load_rises(inventory in inventories(), one in 0.0..=1.0f64, two in 0.0..=1.0f64) {
        let power = HostPower::of(&inventory);
        let (low, high) = (one.min(two), one.max(two));
        let at = |load| power.at(Ratio::new(load), Ratio::new(0.5));
        prop_assert!(at(low).cpu <= at(high).cpu);
        prop_assert!(at(low).enclosure <= at(high).enclosure);
        prop_assert_eq!(at(low).cpu_idle, at(high).cpu_idle);
    }

    #[test]
    fn twice_the_machine_draws_twice_the_power(logical in 1u32..512, load in 0.0..=1.0f64) {
        let of = |logical: u32, gigabytes: u64| {
            let inventory = Inventory {
                memory_bytes: Some(gigabytes << 30),
                ..guest(cpu("AuthenticAMD", "AMD EPYC 7R13", 0x19, 0x01, logical, logical.div_ceil(2)))
            };
            HostPower::of(&inventory).at(Ratio::new(load), Ratio::ZERO)
        };
        let (one, two) = (of(logical, 4), of(2 * logical, 8));
        prop_assert!((two.cpu.get() / one.cpu.get() - 2.0).abs() < 1e-9);
        prop_assert!((two.enclosure.get() / one.enclosure.get() - 2.0).abs() < 1e-9);
    }
}

/// By hand: 16 GB for each thread are four times what m5.metal has, so each gigabyte draws half of 0.39 W at full load.
#[test]
fn a_machine_with_much_memory_has_larger_modules_and_not_more() {
    let watts = |memory_gb| {
        let parts = Parts { logical_cpus: 96.0, memory_gb, ..Parts::default() };
        HostPower::of_parts(&parts).at(Ratio::new(1.0), Ratio::new(1.0)).memory.get()
    };
    assert!((watts(384.0) - 384.0 * 0.39).abs() < 1e-9);
    assert!((watts(1536.0) - 1536.0 * 0.39 / 2.0).abs() < 1e-9);
    assert!(watts(1537.0) > watts(1536.0), "more memory never draws less");
}
