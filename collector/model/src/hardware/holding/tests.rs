use wattline_core::reading::{CloudInstance, CpuModel};

use super::*;

fn own(prices: &PriceFile) -> OwnHolding<'_> {
    OwnHolding {
        counts_embodied: true,
        embodied: None,
        lifetime: crate::hardware::DEFAULT_LIFETIME,
        rent: None,
        prices,
    }
}

fn rented(name: &str, region: &str, cpus: u32, gib: u64) -> Inventory {
    Inventory {
        cpu: CpuModel { logical_count: Some(cpus), ..CpuModel::default() },
        memory_bytes: Some(gib << 30),
        virtualization: Virtualization::Guest("kvm".to_owned()),
        cloud: Some(CloudInstance {
            provider: "aws".to_owned(),
            platform: "aws_ec2".to_owned(),
            region: Some(region.to_owned()),
            availability_zone: None,
            account_id: None,
            instance_id: None,
            instance_type: Some(name.to_owned()),
            life_cycle: None,
        }),
        ..Inventory::default()
    }
}

#[test]
fn a_rent_is_that_of_the_type_in_the_region_and_no_other() {
    let none = PriceFile::default();
    let of = |name, region| holding(&rented(name, region, 2, 8), &own(&none));
    let known = of("m5.large", "us-east-1");
    assert!((known.holding.rent.unwrap().get() - 0.096).abs() < 1e-9, "{known:?}");
    assert!(of("m5.large", "eu-north-1").holding.rent.is_none(), "the price of another region is none");
    assert!(of("m99.large", "us-east-1").holding.rent.is_none());
    let file = PriceFile::parse("region,instance_type,usd_per_hour\neu-north-1,m5.large,0.102\n").unwrap();
    let found = holding(&rented("m5.large", "eu-north-1", 2, 8), &own(&file));
    assert!((found.holding.rent.unwrap().get() - 0.102).abs() < 1e-9);
}

#[test]
fn a_spot_instance_has_no_list_price() {
    let mut inventory = rented("m5.large", "us-east-1", 2, 8);
    inventory.cloud.as_mut().unwrap().life_cycle = Some("spot".to_owned());
    assert!(holding(&inventory, &own(&PriceFile::default())).holding.rent.is_none());
    let none = PriceFile::default();
    let own = OwnHolding { rent: Some(UsdPerHour::new(0.03)), ..own(&none) };
    assert!((holding(&inventory, &own).holding.rent.unwrap().get() - 0.03).abs() < 1e-12);
}

/// The part of the rent that accelerators bear, and the sum of all weights in USD an hour.
fn borne_by_accelerators(name: &str, cpus: u32, gib: u64, own: &OwnHolding<'_>, region: &str) -> (f64, f64) {
    let parts = holding(&rented(name, region, cpus, gib), own).holding.parts;
    let is_accelerator = |kind| matches!(kind, DeviceKind::Gpu | DeviceKind::Accelerator);
    let sum = |only: bool| -> f64 {
        parts.iter().filter(|part| !only || is_accelerator(part.kind)).map(|part| part.weight_rent.get()).sum()
    };
    (sum(true) / sum(false), sum(false))
}

#[test]
fn accelerators_bear_most_of_a_training_machine() {
    let none = PriceFile::default();
    for (name, cpus, gib) in [
        ("p4d.24xlarge", 96, 1152),
        ("p5.48xlarge", 192, 2048),
        ("p5en.48xlarge", 192, 2048),
        ("trn1.32xlarge", 128, 512),
        ("g5.xlarge", 4, 16),
        ("g5.12xlarge", 48, 192),
    ] {
        let usd = price("aws", "us-east-1", name).unwrap().usd_per_hour.get();
        let (share, sum) = borne_by_accelerators(name, cpus, gib, &own(&none), "us-east-1");
        assert!(share > 0.5 && share < 0.95, "{name}: {share}");
        // Small machines weigh the least price of an accelerator, which may be more than what they cost.
        assert!((sum - usd).abs() < 1e-6 * usd || (sum > usd && name.starts_with("g5")), "{name}: {sum} of {usd}");
    }
}

#[test]
fn a_discount_or_another_region_divides_the_rent_as_the_list_does() {
    let none = PriceFile::default();
    let share = |own: &OwnHolding<'_>, region| borne_by_accelerators("p5.48xlarge", 192, 2048, own, region).0;
    let discounted = OwnHolding { rent: Some(UsdPerHour::new(12.0)), ..own(&none) };
    let listed = share(&own(&none), "us-east-1");
    assert!((share(&discounted, "us-east-1") - listed).abs() < 1e-12);
    assert!((share(&discounted, "eu-north-1") - listed).abs() < 1e-12);
    // Of a type that no list has, the user's own rent is all that is known of its price.
    let own = OwnHolding { rent: Some(UsdPerHour::new(100.0)), ..own(&none) };
    let (share, sum) = borne_by_accelerators("p7.48xlarge", 192, 2048, &own, "us-east-1");
    assert!(share > 0.8 && (sum - 100.0).abs() < 1e-6, "{share} of {sum}");
}

#[test]
fn a_machine_without_accelerators_has_no_part_for_them() {
    let held = holding(&rented("m5.large", "us-east-1", 1, 1), &own(&PriceFile::default()));
    assert!(held.holding.parts.iter().all(|part| !matches!(part.kind, DeviceKind::Gpu | DeviceKind::Accelerator)));
}

#[test]
fn what_stands_in_and_what_differs_is_told() {
    let none = PriceFile::default();
    let of = |name, cpus| holding(&rented(name, "us-east-1", cpus, 8), &own(&none));
    let told = |held: Held| (held.basis, held.stands_in, held.service, held.vcpus_differ);
    assert_eq!(told(of("m5.large", 2)), (Some(Basis::Exact), None, None, None));
    assert_eq!(told(of("m5.large", 1)), (Some(Basis::Exact), None, None, Some((2, 1))));
    assert_eq!(told(of("u-24tb1.metal", 448)), (Some(Basis::Size), Some("u-24tb1.112xlarge"), None, None));
    assert_eq!(told(of("q1x.large", 2)), (Some(Basis::Default), None, None, None));
    assert_eq!(told(of("m5.xlrge", 2)), (None, None, None, None));
    let database = of("db.m5.large", 2);
    assert!(database.price.is_none(), "RDS does not cost what EC2 does");
    assert_eq!(told(database), (Some(Basis::Exact), None, Some("RDS"), None));
}

#[test]
fn a_guest_of_an_unknown_host_wears_its_share_of_one() {
    let guest = Inventory {
        cpu: CpuModel { logical_count: Some(2), ..CpuModel::default() },
        memory_bytes: Some(8 << 30),
        virtualization: Virtualization::Guest("kvm".to_owned()),
        ..Inventory::default()
    };
    let whole = Inventory { virtualization: Virtualization::None, ..guest.clone() };
    let of = |inventory| holding(inventory, &own(&PriceFile::default())).holding.embodied.unwrap();
    assert!(of(&guest).per_hour.get() * 5.0 < of(&whole).per_hour.get());
    assert!(of(&guest).uncertainty.sigma() > of(&whole).uncertainty.sigma());
}

#[test]
fn what_the_maker_declared_is_spread_over_the_lifetime() {
    // By hand: 1,000 kg over four years of 8,760 hours are 28.54 g an hour (SCI specification, worked example).
    let none = PriceFile::default();
    let own = OwnHolding { embodied: Some(GramsCo2e::new(1e6)), ..own(&none) };
    let found = holding(&Inventory::default(), &own).holding.embodied.unwrap();
    assert!((found.per_hour.get() - 28.538_812_785).abs() < 1e-6, "{found:?}");
}
