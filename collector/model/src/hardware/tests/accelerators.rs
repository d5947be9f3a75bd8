use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wattline_core::{Ratio, Uncertainty, Watts};

use super::super::accelerator::{ROWS, TABLE, names, plain};
use super::super::parametric::Board;
use super::super::{Accelerator, WattsBasis, accelerator, accelerators, instance};
use crate::grid::table::{Table, check};

const INPUTS: Table = Table::new(include_str!("../../../data/embodied_accelerator.csv"));

#[test]
fn every_row_parses_and_no_two_kinds_have_one_name() {
    check::<17>(TABLE, ROWS.len());
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for row in accelerators() {
        for name in names(row) {
            let owner = owners.insert(plain(name), row.id);
            assert!(owner.is_none_or(|owner| owner == row.id), "{name} is {owner:?} and {}", row.id);
        }
        assert!(row.idle > Watts::ZERO && row.idle < row.max, "{}", row.id);
        assert!([1.15, 1.35].contains(&row.chassis.get()), "{}", row.id);
        assert!(row.memory_gb > 0.0 && row.embodied.low.get() > 1000.0, "{}", row.id);
    }
}

#[test]
fn devices_are_known_by_the_names_that_tools_say() {
    for (name, id) in [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
        ("h100", "nvidia-h100-sxm"),
        ("NVIDIA H100 PCIe", "nvidia-h100-pcie"),
        ("Tesla T4", "nvidia-t4"),
        ("Tesla V100-SXM2-16GB", "nvidia-v100-sxm2-16gb"),
        ("Tesla K80", "nvidia-k80"),
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm4-40gb"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm4-80gb"),
        ("NVIDIA A100 80GB PCIe", "nvidia-a100-pcie-80gb"),
        ("NVIDIA A10G", "nvidia-a10g"),
        ("NVIDIA L40S", "nvidia-l40s"),
        ("NVIDIA H200", "nvidia-h200-sxm"),
        ("NVIDIA B200", "nvidia-b200-sxm"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "nvidia-rtx-pro-6000"),
        ("RTX PRO Server 6000", "nvidia-rtx-pro-6000"),
        ("Radeon Pro V520", "amd-v520"),
        ("Trainium2", "aws-trainium2"),
        ("trn2", "aws-trainium2"),
        ("AWS Inferentia2", "aws-inferentia2"),
        ("Qualcomm AI100", "qualcomm-ai100"),
        ("Gaudi HL-205", "intel-gaudi"),
        ("Virtex UltraScale (VU9P)", "xilinx-vu9p"),
        ("nvidia-l4", "nvidia-l4"),
    ] {
        assert_eq!(accelerator(name).map(|found| found.id), Some(id), "{name}");
    }
    for unknown in ["", "nvidia", "NVIDIA H100 PCIe 96GB", "GeForce RTX 4090", "h1000"] {
        assert!(accelerator(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn the_carbon_of_making_is_what_the_parametric_model_gives() {
    // NVIDIA, HGX H100 product carbon footprint summary (2025): 164 kg for one of its eight GPUs.
    let low_share = 164.0 / Board::DEFAULT.kg();
    let mut seen = BTreeSet::new();
    for row in INPUTS.rows::<13>() {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        let board = Board {
            die_mm2: number(1),
            dies: number(2),
            memory_gb: number(3),
            memory_dies: number(4),
            circuit_cm2: number(5),
            casing_kg: number(6),
            heatsink_kg: number(7),
            mass_kg: number(8),
        };
        let kind = accelerator(row[0]).unwrap();
        assert!((kind.memory_gb - board.memory_gb).abs() < 1e-9, "{}", kind.id);
        let (low, high) = (board.kg() * low_share, board.kg());
        for (table, computed) in
            [(kind.embodied.low, low), (kind.embodied.central, (low * high).sqrt()), (kind.embodied.high, high)]
        {
            assert!((table.get() / 1000.0 - computed).abs() < 0.06, "{}: {table:?}, not {computed}", kind.id);
        }
        let published = row[9] == "published";
        let expected = Uncertainty::from_sigma(if published { 0.38 } else { 0.5 });
        assert_eq!(kind.embodied.uncertainty, expected, "{}", kind.id);
        seen.insert(kind.id);
    }
    check::<13>(INPUTS, seen.len());
    assert_eq!(seen.len(), ROWS.len());
    let h100 = accelerator("h100").unwrap();
    assert_eq!((h100.embodied.low.get(), h100.embodied.high.get()), (164_000.0, 575_100.0));
}

#[test]
fn nobody_publishes_the_watts_of_neuron_devices() {
    for kind in accelerators().filter(|kind| kind.id.starts_with("aws-")) {
        assert_eq!(kind.max_basis, WattsBasis::Estimate, "{}", kind.id);
        assert!(kind.uncertainty().sigma() >= 0.5, "{}", kind.id);
    }
}

#[test]
fn the_users_maximum_replaces_ours() {
    let ours = accelerator("trainium2").unwrap();
    let theirs = ours.with_max_watts(Watts::new(420.0));
    assert_eq!(theirs.watts(Ratio::new(1.0)), Watts::new(420.0));
    assert_eq!((theirs.max_basis, theirs.uncertainty().sigma()), (WattsBasis::Configured, 0.35));
    assert_eq!(ours.with_max_watts(Watts::new(20.0)).idle, Watts::new(20.0));
    for nonsense in [0.0, -5.0, f64::NAN, f64::INFINITY] {
        assert_eq!(ours.with_max_watts(Watts::new(nonsense)), *ours);
    }
}

#[test]
fn assumed_utilisation_is_less_certain_than_known_and_the_chassis_less_than_the_device() {
    let kind = accelerator("h100").unwrap();
    assert_eq!(kind.uncertainty(), Uncertainty::from_sigma(0.35));
    assert!((kind.uncertainty_assumed().sigma() - 0.6).abs() < 0.001);
    assert!(Accelerator::system_uncertainty(kind.uncertainty()) > kind.uncertainty());
}

/// NVIDIA, DGX H100 user guide: 10.2 kW at most for a system with eight of them. The processors and memory of such a
/// host draw up to 1.1 kW by our model; the limit of the supply is above what all that draws.
#[test]
fn eight_gpus_and_their_chassis_stay_below_the_limit_of_the_system() {
    let fitted = instance("aws", "p5.48xlarge").unwrap().instance.accelerators[0];
    let watts = fitted.accelerator.system_watts(Ratio::new(1.0)).get() * fitted.count;
    assert!((watts - 7560.0).abs() < 1e-9 && watts + 1100.0 < 10_200.0, "{watts}");
}

proptest! {
    #[test]
    fn watts_rise_with_utilisation_between_rest_and_the_maximum(
        kind in prop::sample::select(ROWS.as_slice()),
        low in 0.0_f64..=1.0,
        more in 0.0_f64..=1.0,
    ) {
        let high = (low + more).min(1.0);
        let (lower, higher) = (kind.watts(Ratio::new(low)), kind.watts(Ratio::new(high)));
        prop_assert!(kind.idle <= lower && lower <= higher && higher.get() <= kind.max.get() * (1.0 + 1e-12));
        prop_assert!(kind.system_watts(Ratio::new(low)) > lower);
    }

    #[test]
    fn no_utilisation_gives_nonsense(kind in prop::sample::select(ROWS.as_slice()), share in any::<f64>()) {
        let watts = kind.watts(Ratio::new(share));
        prop_assert!(watts >= kind.idle && watts <= kind.max);
    }
}
