//! Arrows point at what is known: which crate may know which.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate of the workspace may know of the others. A new crate is named here or the test fails.
const KNOWS: &[(&str, &[&str])] = &[
    ("wattline-core", &[]),
    ("wattline-aws", &["wattline-core"]),
    ("wattline-ledger", &["wattline-core"]),
    ("wattline-model", &["wattline-core"]),
    ("wattline-wire", &["wattline-core"]),
    ("wattline-listen", &["wattline-core"]),
    ("wattline-probe-host", &["wattline-core", "wattline-wire"]),
    ("wattline-probe-intensity", &["wattline-core", "wattline-wire"]),
    ("wattline-probe-llm", &["wattline-aws", "wattline-core", "wattline-wire", "wattline-listen"]),
    ("wattline-probe-nvidia", &["wattline-core"]),
    ("wattline-fake-nvml", &[]),
    ("wattline-export-delivery", &["wattline-aws", "wattline-core", "wattline-ledger", "wattline-wire"]),
    ("wattline-export-cloudwatch", DESTINATION),
    ("wattline-export-otlp", DESTINATION),
    ("wattline-export-prometheus", DESTINATION),
    ("wattline-export-file", DESTINATION),
];

/// What a crate of one destination may know.
const DESTINATION: &[&str] = &["wattline-core", "wattline-ledger", "wattline-wire", "wattline-export-delivery"];

/// Crates from outside that would let a pure crate act.
const ACTS: &[&str] = &["tokio", "reqwest", "ureq", "hyper", "axum", "rustix", "libc"];
/// The crates that are pure: no I/O, no clock, no task.
const PURE: &[&str] = &["wattline-model", "wattline-wire"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    metadata
        .packages
        .iter()
        .map(|package| {
            let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
            (package.name.to_string(), normal.map(|dependency| dependency.name.clone()).collect())
        })
        .collect()
}

#[test]
fn crates_know_only_what_the_house_allows() {
    let dependencies = dependencies();
    let allowed: BTreeMap<&str, &[&str]> = KNOWS.iter().copied().collect();
    for (name, known) in &dependencies {
        // The agent knows all, and the tests know all.
        if name == "wattline" || name == "wattline-tests" {
            continue;
        }
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the table of this test"));
        for other in known.iter().filter(|other| other.starts_with("wattline")) {
            assert!(allowed.contains(&other.as_str()), "{name} knows {other}, which it must not");
        }
    }
}

#[test]
fn pure_crates_cannot_act() {
    let dependencies = dependencies();
    for name in PURE {
        for other in &dependencies[*name] {
            assert!(!ACTS.contains(&other.as_str()), "{name} depends on {other}, which acts");
        }
    }
}
