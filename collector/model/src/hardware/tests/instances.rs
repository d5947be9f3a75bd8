use std::collections::{BTreeMap, BTreeSet};

use super::super::instance::{FAMILIES, FAMILY_ROWS, ROWS, TABLE};
use super::super::{Basis, Parts, accelerator, instance, nearest_instances, price};
use crate::grid::table::check;

/// The table that another module owns; only its first column, the key, is looked at.
const CPU_FAMILIES: &str = include_str!("../../../data/cpu_family.csv");

#[test]
fn every_row_of_types_and_families_parses() {
    check::<17>(TABLE, ROWS.len());
    check::<9>(FAMILIES, FAMILY_ROWS.len());
    assert!(ROWS.len() >= 1390, "{}", ROWS.len());
}

#[test]
fn every_type_is_found_and_has_a_processor_memory_and_a_host() {
    let keys: BTreeSet<&str> = CPU_FAMILIES.lines().filter_map(|line| Some(line.split_once(',')?.0)).collect();
    for (name, row) in ROWS.iter() {
        let found = instance("aws", &name.to_ascii_uppercase()).unwrap();
        assert_eq!((found.basis, found.uncertainty.sigma()), (Basis::Exact, 0.0), "{name}");
        let instance = found.instance;
        assert_eq!(instance.name.as_str(), *name);
        assert!(keys.contains(instance.cpu_family), "{name}: no processor family {}", instance.cpu_family);
        assert!(instance.cpu_family != "unknown" || name.starts_with("mac") || name.starts_with("trn3"), "{name}");
        assert!(instance.vcpus >= 1 && instance.cores >= 1 && instance.cores <= instance.vcpus, "{name}");
        assert_eq!(instance.whole_cores, instance.cores == instance.vcpus && row.threads_per_core == 1, "{name}");
        assert!(instance.memory_gib >= 0.5 && instance.memory_gib <= 32_768.0, "{name}: {}", instance.memory_gib);
        assert!(instance.host_vcpus >= instance.vcpus && instance.host_sockets >= 1, "{name}");
        assert!((0.0..=1.0).contains(&instance.share_of_host()) && instance.share_of_host() > 0.0, "{name}");
        assert!(instance.network_gbps > 0.0 && instance.network_gbps <= 6400.0, "{name}");
        assert!(!instance.cpu_name.is_empty() && ["x86_64", "arm64", "unknown"].contains(&instance.arch), "{name}");
    }
}

#[test]
fn every_family_is_used_and_sells_what_its_types_show() {
    let mut types: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in ROWS.values() {
        types.entry(row.family.name).or_default().push(row.name);
        // A u-6tb1 in half of its sizes has multithreading off; all others sell what their family sells.
        let sells_cores = row.threads_per_core == 1;
        assert!(sells_cores == row.family.sells_cores || row.name == "u-6tb1.56xlarge", "{}", row.name);
    }
    assert_eq!(types.keys().collect::<Vec<_>>(), FAMILY_ROWS.keys().collect::<Vec<_>>());
}

#[test]
fn the_maker_of_the_processor_agrees_with_its_family() {
    for row in TABLE.rows::<17>() {
        let (name, maker) = (row[0], row[5]);
        let family = ROWS[name].family.processors;
        let expected = match maker {
            "Intel" => family.starts_with("xeon") || name == "mac1.metal",
            "AMD" => family.starts_with("epyc"),
            "AWS" | "NVIDIA" => family == "neoverse-altra" && row[4] == "arm64",
            _ => family == "unknown",
        };
        assert!(expected, "{name} has a processor of {maker} and the power of {family}");
    }
}

/// The memory that EC2 gives for all accelerators of a type is read on its own: a count that is wrong by a factor, and
/// a GPU that is only a part of one, show as memory that does not fit. Mebibytes against makers' gigabytes differ by up
/// to 7 %.
#[test]
fn counts_of_accelerators_agree_with_the_memory_that_ec2_states() {
    for row in TABLE.rows::<17>() {
        let (name, mib) = (row[0], row[9].parse::<f64>().unwrap());
        let stated_gb = mib / 1024.0;
        let counted_gb: f64 =
            ROWS[name].instance().accelerators.iter().map(|one| one.count * one.accelerator.memory_gb).sum();
        assert_eq!(mib > 0.0, counted_gb > 0.0, "{name}");
        assert!(
            (stated_gb - counted_gb).abs() <= 0.08 * counted_gb,
            "{name}: {stated_gb} GB stated, {counted_gb} counted"
        );
    }
}

/// Counts as AWS publishes them: aws.amazon.com/ec2/instance-types/{g4,g5,g6,g6e,g7e,p3,p4,p5,p6,inf1,inf2,trn1,trn2},
/// and the Neuron documentation for Trn2 and Trn3.
#[test]
fn accelerators_are_as_aws_publishes_them() {
    for (name, key, count, neuron_cores) in [
        ("g4dn.metal", "nvidia-t4", 8.0, 0),
        ("g4ad.16xlarge", "amd-v520", 4.0, 0),
        ("g5.12xlarge", "nvidia-a10g", 4.0, 0),
        ("g5.16xlarge", "nvidia-a10g", 1.0, 0),
        ("g5g.metal", "nvidia-t4g", 2.0, 0),
        ("g6f.large", "nvidia-l4", 0.125, 0),
        ("g6f.xlarge", "nvidia-l4", 0.125, 0),
        ("g6f.2xlarge", "nvidia-l4", 0.25, 0),
        ("gr6f.4xlarge", "nvidia-l4", 0.5, 0),
        ("g6e.48xlarge", "nvidia-l40s", 8.0, 0),
        ("g7e.12xlarge", "nvidia-rtx-pro-6000", 2.0, 0),
        ("p2.16xlarge", "nvidia-k80", 16.0, 0),
        ("p3dn.24xlarge", "nvidia-v100-sxm3-32gb", 8.0, 0),
        ("p4de.24xlarge", "nvidia-a100-sxm4-80gb", 8.0, 0),
        ("p5.4xlarge", "nvidia-h100-sxm", 1.0, 0),
        ("p5en.48xlarge", "nvidia-h200-sxm", 8.0, 0),
        ("p6-b300.48xlarge", "nvidia-b300-sxm", 8.0, 0),
        ("p6e-gb200.36xlarge", "nvidia-gb200", 4.0, 0),
        ("inf1.24xlarge", "aws-inferentia", 16.0, 64),
        ("inf2.48xlarge", "aws-inferentia2", 12.0, 24),
        ("trn1n.32xlarge", "aws-trainium", 16.0, 32),
        ("trn2.3xlarge", "aws-trainium2", 1.0, 8),
        ("trn2u.48xlarge", "aws-trainium2", 16.0, 128),
        ("trn3.48xlarge", "aws-trainium3", 16.0, 128),
        ("dl1.24xlarge", "intel-gaudi", 8.0, 0),
        ("dl2q.24xlarge", "qualcomm-ai100", 8.0, 0),
        ("f1.16xlarge", "xilinx-vu9p", 8.0, 0),
        ("f2.6xlarge", "xilinx-vu47p", 1.0, 0),
        ("vt1.24xlarge", "xilinx-u30", 8.0, 0),
    ] {
        let instance = instance("aws", name).unwrap().instance;
        let [fitted] = instance.accelerators[..] else { panic!("{name}: {:?}", instance.accelerators) };
        assert_eq!((fitted.accelerator, fitted.count), (accelerator(key).unwrap(), count), "{name}");
        assert_eq!(instance.neuron_cores, neuron_cores, "{name}");
    }
}

#[test]
fn a_logical_cpu_is_a_core_where_aws_sells_cores() {
    let of = |name| {
        let instance = instance("aws", name).unwrap().instance;
        (instance.vcpus, instance.cores, instance.whole_cores, instance.host_vcpus)
    };
    assert_eq!(of("m7g.large"), (2, 2, true, 64));
    assert_eq!(of("m6a.large"), (2, 1, false, 192));
    assert_eq!(of("m7a.large"), (2, 2, true, 192));
    assert_eq!(of("c8i.large"), (2, 1, false, 384));
    assert_eq!(of("hpc6id.32xlarge"), (64, 64, true, 64));
    // EC2 user guide, CPU options: each vCPU is a thread, except for T2, Graviton, Apple's and some of AMD's.
    assert_eq!(of("t2.micro"), (1, 1, true, 36));
    // The oldest hypervisor showed threads as cores.
    assert_eq!(of("m1.xlarge"), (4, 2, false, 32));
    assert_eq!(of("m3.medium"), (1, 1, false, 40));
    // All cores of the server, one thread of each.
    assert_eq!(of("u-6tb1.56xlarge"), (224, 224, true, 224));
    assert_eq!(of("u-6tb1.112xlarge"), (448, 224, false, 448));
}

#[test]
fn names_are_read_in_any_case_and_with_the_beginnings_of_other_services() {
    for name in ["ML.P5.48xlarge", "db.r7g.large", " cache.t4g.micro ", "m5.large\n"] {
        assert_eq!(instance("AWS", name).unwrap().basis, Basis::Exact, "{name}");
    }
    assert!(instance("gcp", "m5.large").is_none());
    assert!(instance("", "m5.large").is_none());
}

#[test]
fn a_type_of_another_service_keeps_its_name_and_has_no_price_of_ec2() {
    for (name, service, ec2) in [
        ("ml.p5.48xlarge", Some("SageMaker"), "p5.48xlarge"),
        ("DB.r7g.large", Some("RDS"), "r7g.large"),
        ("cache.t4g.micro", Some("ElastiCache"), "t4g.micro"),
        ("db.m7i.7xlarge", Some("RDS"), "m7i.7xlarge"),
        ("m5.large", None, "m5.large"),
    ] {
        let [found, same] = [name, ec2].map(|name| instance("aws", name).unwrap());
        assert_eq!((found.service(), found.instance.name.as_str()), (service, name.to_lowercase().as_str()));
        assert_eq!((found.instance.vcpus, found.basis), (same.instance.vcpus, same.basis), "{name}");
        let priced = price("aws", "us-east-1", &found.instance.name).is_some();
        assert_eq!(priced, service.is_none(), "{name}");
    }
}

/// `metal-24xl` of M7i is a server of one processor: its 96 threads are the 48 cores of one Xeon 8488C, and `metal-48xl`
/// has two. Source: aws.amazon.com/ec2/instance-types and Intel's cores for each processor.
#[test]
fn bare_metal_has_the_sockets_of_its_own_server() {
    let of = |name| instance("aws", name).unwrap().instance;
    for (name, sockets) in [
        ("m7i.metal-24xl", 1),
        ("m7i.metal-48xl", 2),
        ("m8g.metal-24xl", 1),
        ("m8g.metal-48xl", 2),
        ("c8i.metal-48xl", 1),
        ("c8i.metal-96xl", 2),
        ("r7iz.metal-16xl", 1),
        ("m8azn.metal-12xl", 1),
        ("m5.metal", 2),
        ("m6g.metal", 1),
        ("mac1.metal", 1),
        ("u-24tb1.metal", 8),
        ("m7i.metal-12xl", 1),
        ("zz1.metal-12xl", 1),
        ("zz1.metal", 2),
    ] {
        assert_eq!(of(name).host_sockets, sockets, "{name}");
    }
    for (name, row) in ROWS.iter().filter(|(name, _)| name.contains("metal")) {
        let (metal, family) = (of(name), row.family);
        assert!(metal.bare_metal && metal.host_vcpus == metal.vcpus && metal.share_of_host() >= 1.0, "{name}");
        // As many CPUs on each socket as the family's largest server has.
        let [of_type, of_family] = [(metal.vcpus, metal.host_sockets), (family.host_vcpus, family.sockets)];
        assert_eq!(of_type.0 * of_family.1, of_family.0 * of_type.1, "{name}");
        let packages = Parts::of(&metal).packages;
        assert!((packages - f64::from(metal.host_sockets)).abs() < 1e-12, "{name}: {packages}");
    }
}

#[test]
fn the_nearest_names_are_offered() {
    assert_eq!(nearest_instances("m5.xlarg")[0], "m5.xlarge");
    assert_eq!(nearest_instances("p5.48xlrage")[0], "p5.48xlarge");
    assert_eq!(nearest_instances("u-24tb1.metl")[0], "u-24tb1.112xlarge");
    assert!(nearest_instances("m7i.xlrge").iter().all(|near| near.starts_with("m7i.")));
    assert!(nearest_instances("DB.m7i.0xlarge").iter().all(|near| near.starts_with("m7i.")));
    assert_eq!(nearest_instances("").len(), 5);
    assert_eq!(nearest_instances(&"x".repeat(1_000_000)).len(), 5);
}
