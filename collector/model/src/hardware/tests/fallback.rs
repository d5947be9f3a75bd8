use proptest::prelude::*;

use super::super::instance::ROWS;
use super::super::{Basis, Fitted, Match, Parts, embodied, instance, nearest_instances};

fn found(name: &str) -> Match {
    instance("aws", name).unwrap_or_else(|| panic!("{name} has no answer"))
}

#[test]
fn an_unknown_size_is_the_nearest_one_multiplied() {
    let half = found("p5.24xlarge");
    assert_eq!(half.basis, Basis::Size);
    assert_eq!((half.instance.vcpus, half.instance.memory_gib, half.instance.host_vcpus), (96, 1024.0, 192));
    assert_eq!(half.instance.accelerators, [Fitted { count: 4.0, ..found("p5.48xlarge").instance.accelerators[0] }]);
    let eighth = found("trn2.24xlarge").instance;
    assert_eq!((eighth.accelerators[0].count, eighth.neuron_cores), (8.0, 64));
    let part = found("g6f.8xlarge").instance;
    assert_eq!((part.accelerators[0].accelerator.id, part.accelerators[0].count), ("nvidia-l4", 1.0));
    let small = found("m7g.nano").instance;
    assert_eq!((small.vcpus, small.memory_gib, small.whole_cores), (1, 0.5, true));
    // No metal of M5a is described: it is the whole server.
    let metal = found("m5a.metal").instance;
    assert_eq!((metal.vcpus, metal.bare_metal), (96, true));
    // A size that can be read and that nobody lists.
    let listed = found("m7i.8xlarge").instance;
    let unlisted = found("m7i.7xlarge");
    assert_eq!((unlisted.basis, unlisted.instance.vcpus, listed.vcpus), (Basis::Size, 28, 32));
    assert_eq!(unlisted.stands_in(), Some("m7i.8xlarge"));
}

#[test]
fn a_size_that_cannot_be_read_is_no_size_of_its_family() {
    for size in
        ["xlrge", "0xlarge", "1025xlarge", "07xlarge", "mega", "xl", "metal-", "metal-0xl", "metal-24xlarge", "7"]
    {
        for family in ["m7i", "m9i", "zz"] {
            assert!(instance("aws", &format!("{family}.{size}")).is_none(), "{family}.{size}");
        }
    }
    for name in ROWS.keys() {
        let family = ROWS[name].family.name;
        // Another generation of the series stands in, so every size of the table was read.
        let unknown = name.replacen(family, &format!("{family}zz"), 1);
        assert!(instance("aws", &unknown).is_some(), "{unknown}");
    }
}

#[test]
fn the_type_that_stands_in_is_told() {
    for (name, stands_in) in [
        ("m5.large", None),
        ("db.r7g.large", None),
        ("q1x.2xlarge", None),
        ("p5.24xlarge", Some("p5.48xlarge")),
        ("u-24tb1.metal", Some("u-24tb1.112xlarge")),
        ("p7.48xlarge", Some("p6-b200.48xlarge")),
        ("m9i.large", Some("m8i.large")),
        ("m9i-flex.large", Some("m8i-flex.large")),
        ("ml.p7-b400.48xlarge", Some("p6-b300.48xlarge")),
    ] {
        assert_eq!(found(name).stands_in(), stands_in, "{name}");
        if let Some(stands_in) = stands_in {
            assert_eq!(nearest_instances(name)[0], stands_in, "{name}");
        }
    }
}

#[test]
fn an_unknown_family_is_the_nearest_generation_of_its_letters() {
    for (name, like) in [
        ("m9i.large", "m8i.large"),
        ("c10gn.4xlarge", "c8gn.4xlarge"),
        ("m9a.xlarge", "m8a.xlarge"),
        ("r5zz.xlarge", "r5.xlarge"),
        ("trn4.48xlarge", "trn3.48xlarge"),
        ("p7-b400.48xlarge", "p6-b300.48xlarge"),
        ("g8.48xlarge", "g7.48xlarge"),
        ("u8i-48tb.224xlarge", "u7i-12tb.224xlarge"),
    ] {
        let (unknown, known) = (found(name), found(like));
        assert_eq!(unknown.basis, Basis::Family, "{name}");
        assert_eq!(unknown.instance.cpu_family, known.instance.cpu_family, "{name}");
        assert_eq!(unknown.instance.vcpus, known.instance.vcpus, "{name}");
        assert_eq!(unknown.instance.accelerators, known.instance.accelerators, "{name}");
    }
}

#[test]
fn a_type_of_which_nothing_is_known_has_the_vcpus_of_its_size() {
    let match_ = found("q1x.2xlarge");
    assert_eq!((match_.basis, match_.instance.vcpus, match_.instance.memory_gib), (Basis::Default, 8, 32.0));
    assert_eq!(found("zz.nano").instance.vcpus, 1);
    assert_eq!(found("zz.metal").instance.vcpus, 96);
    assert!(found("zz.metal").instance.bare_metal && found("zz9.metal-24xl").instance.bare_metal);
}

#[test]
fn a_weaker_answer_is_less_certain() {
    let sigma = |name| found(name).uncertainty.sigma();
    assert!(sigma("m5.large") < sigma("m5.nano"));
    assert!(sigma("m5.nano") < sigma("m10i.large"));
    assert!(sigma("m10i.large") < sigma("q1.large"));
}

#[test]
fn text_that_is_no_instance_type_has_no_answer() {
    let long = format!("m5.{}", "x".repeat(100_000));
    for text in
        ["", ".", "m5", "m5.", ".large", "5.large", "m5.lar ge", "m5.large.x", "example.com", "a,b.large", &long]
    {
        assert!(instance("aws", text).is_none(), "{text:.20}");
    }
}

proptest! {
    #[test]
    fn no_text_at_all_ends_the_program(text in "\\PC{0,60}") {
        let _ = instance("aws", &text);
    }

    #[test]
    fn no_size_that_cannot_be_read_is_more_than_a_default(
        family in prop::sample::select(vec!["m5", "m7i", "p5", "u-24tb1", "m9i", "mac2", "zz1"]),
        size in "[0-9]{0,5}(xlarge|xlrge|large|metal|xl)|metal-[0-9]{0,5}(xl|large)?|[a-z0-9-]{1,9}",
    ) {
        let digits = size.strip_suffix("xlarge").or_else(|| size.strip_prefix("metal-")?.strip_suffix("xl"));
        let is_counted = digits.is_some_and(|digits| (1..=1024_u32).any(|count| count.to_string() == digits));
        let words = ["nano", "micro", "small", "medium", "large", "xlarge", "metal"];
        if !is_counted && !words.contains(&size.as_str()) {
            let found = instance("aws", &format!("{family}.{size}"));
            prop_assert!(found.is_none_or(|found| found.basis == Basis::Default), "{family}.{size}");
        }
    }

    #[test]
    fn whatever_looks_like_a_type_is_above_zero_and_finite(
        series in "[a-z]{1,5}",
        generation in 0_u32..30,
        rest in "[a-z0-9-]{0,6}",
        size in prop_oneof![
            Just("nano".to_owned()), Just("medium".to_owned()), Just("xlarge".to_owned()), Just("metal".to_owned()),
            (1_u32..1000).prop_map(|n| format!("{n}xlarge")),
            (1_u32..1000).prop_map(|n| format!("metal-{n}xl")),
        ],
    ) {
        let name = format!("{series}{generation}{rest}.{size}");
        let Match { instance, uncertainty, .. } = found(&name);
        prop_assert!(instance.vcpus >= 1 && instance.cores >= 1 && instance.host_vcpus >= instance.vcpus);
        prop_assert!(instance.host_sockets >= 1 && (!instance.bare_metal || instance.host_vcpus == instance.vcpus));
        prop_assert!(instance.memory_gib > 0.0 && instance.memory_gib.is_finite());
        prop_assert!(uncertainty.sigma() > 0.0 || ROWS.contains_key(name.as_str()));
        prop_assert!(instance.accelerators.iter().all(|fitted| fitted.count > 0.0));
        let total = embodied(&Parts::of(&instance)).total();
        prop_assert!(total.low.get() > 0.0 && total.low <= total.central && total.central <= total.high);
        prop_assert!(total.high.is_finite());
    }
}
