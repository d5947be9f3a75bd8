use std::collections::BTreeMap;

use proptest::prelude::*;
use wattline_core::reading::CpuTimes;
use wattline_core::{Device, GramsPerHour, MicroJoules, UsdPerHour};

use super::*;
use crate::host::boards::BoardUse;
use crate::host::rates::{Embodied, Holding, Rates, Rounding};

const TEN_SECONDS: Seconds = Seconds::new(10.0);
const SECOND_NS: u64 = 1_000_000_000;

fn workload(name: &'static str) -> Arc<Workload> {
    Arc::new(Workload::Unit(name.into()))
}

/// Ten seconds of four CPUs, of which `web` used ten CPU seconds and nobody seen five, and eight gibibytes of memory,
/// of which `web` held two and nobody seen one.
fn use_() -> Use {
    Use {
        cpu: Shares { parts: vec![(workload("web"), 10 * SECOND_NS)], unseen: 5 * SECOND_NS },
        memory: Shares { parts: vec![(workload("web"), 2 << 30)], unseen: 1 << 30 },
        modes: Some(CpuTimes { user_ns: 15 * SECOND_NS, idle_ns: 25 * SECOND_NS, ..CpuTimes::default() }),
        online: 4,
        memory_total: 8 << 30,
        witnessed: true,
        ..Use::default()
    }
}

fn part(kind: DeviceKind, weight: f64) -> HeldPart {
    HeldPart { kind, weight_rent: Ratio::new(weight), weight_embodied: Ratio::new(weight) }
}

/// A million nano-dollars, divided: what stands under each kind of device, workload and state.
fn divided(parts: &[HeldPart], use_: &Use) -> BTreeMap<(DeviceKind, String, EnergyState), u64> {
    let meaning = Meaning { rent: Some(NanoUsd::new(1_000_000)), ..Meaning::default() };
    let mut rows = BTreeMap::new();
    for booking in divide(&meaning, parts, use_, TEN_SECONDS) {
        let row = (booking.kind, booking.workload.to_string(), booking.state);
        *rows.entry(row).or_default() += booking.rent.get();
        assert_eq!(booking.embodied, Nanograms::ZERO, "embodied carbon is unknown");
    }
    rows
}

fn rows<const N: usize>(
    kind: DeviceKind,
    rows: [(&str, EnergyState, u64); N],
) -> BTreeMap<(DeviceKind, String, EnergyState), u64> {
    rows.into_iter().map(|(name, state, nano_usd)| ((kind, name.to_owned(), state), nano_usd)).collect()
}

#[test]
fn a_processor_is_held_by_the_cpu_time_used_of_all_there_was() {
    let expected = rows(
        DeviceKind::Cpu,
        [
            ("web", EnergyState::Active, 250_000),
            ("(none)", EnergyState::Unattributed, 125_000),
            ("(none)", EnergyState::Idle, 625_000),
        ],
    );
    assert_eq!(divided(&[part(DeviceKind::Cpu, 1.0)], &use_()), expected);
}

#[test]
fn memory_is_held_by_the_bytes_held_of_those_installed() {
    let expected = rows(
        DeviceKind::Memory,
        [
            ("web", EnergyState::Active, 250_000),
            ("(none)", EnergyState::Unattributed, 125_000),
            ("(none)", EnergyState::Idle, 625_000),
        ],
    );
    assert_eq!(divided(&[part(DeviceKind::Memory, 1.0)], &use_()), expected);
}

#[test]
fn kinds_are_divided_by_weight_and_those_nobody_watches_are_unattributed() {
    let parts = [part(DeviceKind::Cpu, 30.0), part(DeviceKind::Memory, 10.0), part(DeviceKind::Gpu, 160.0)];
    let divided = divided(&parts, &use_());
    let of = |kind| divided.iter().filter(|((of, ..), _)| *of == kind).map(|(_, usd)| *usd).sum::<u64>();
    assert_eq!((of(DeviceKind::Cpu), of(DeviceKind::Memory), of(DeviceKind::Gpu)), (150_000, 50_000, 800_000));
    let gpu = (DeviceKind::Gpu, "(none)".to_owned(), EnergyState::Unattributed);
    assert_eq!(divided.get(&gpu), Some(&800_000), "nobody saw whether it worked");
}

#[test]
fn a_window_without_a_witness_is_unattributed() {
    let blind = Use { witnessed: false, modes: None, memory_total: 0, ..use_() };
    for kind in [DeviceKind::Cpu, DeviceKind::Memory] {
        let expected = rows(kind, [("(none)", EnergyState::Unattributed, 1_000_000)]);
        assert_eq!(divided(&[part(kind, 1.0)], &blind), expected);
    }
}

#[test]
fn what_is_left_of_a_window_that_was_half_watched_is_not_called_idle() {
    let half = CpuTimes { user_ns: 15 * SECOND_NS, idle_ns: 5 * SECOND_NS, ..CpuTimes::default() };
    let expected =
        rows(DeviceKind::Cpu, [("web", EnergyState::Active, 250_000), ("(none)", EnergyState::Unattributed, 750_000)]);
    assert_eq!(divided(&[part(DeviceKind::Cpu, 1.0)], &Use { modes: Some(half), ..use_() }), expected);
}

#[test]
fn more_use_than_capacity_shares_what_there_is() {
    let overfull = Use { memory_total: 1 << 30, ..use_() };
    let expected = rows(
        DeviceKind::Memory,
        [("web", EnergyState::Active, 666_667), ("(none)", EnergyState::Unattributed, 333_333)],
    );
    assert_eq!(divided(&[part(DeviceKind::Memory, 1.0)], &overfull), expected);
}

#[test]
fn without_weights_nothing_says_whose_it_is() {
    let expected = rows(DeviceKind::Enclosure, [("(none)", EnergyState::Unattributed, 1_000_000)]);
    assert_eq!(divided(&[], &use_()), expected);
    for nonsense in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(divided(&[part(DeviceKind::Cpu, nonsense)], &use_()), expected, "{nonsense}");
    }
}

#[test]
fn the_enclosure_follows_the_others_states_and_all() {
    let divided = divided(&[part(DeviceKind::Cpu, 1.0), part(DeviceKind::Enclosure, 1.0)], &use_());
    let expected = rows(
        DeviceKind::Enclosure,
        [
            ("web", EnergyState::Active, 125_000),
            ("(none)", EnergyState::Unattributed, 62_500),
            ("(none)", EnergyState::Idle, 312_500),
        ],
    );
    for (row, nano_usd) in expected {
        assert_eq!(divided.get(&row), Some(&nano_usd), "{row:?}");
    }
}

#[test]
fn one_of_ninety_six_cpus_for_a_day_answers_for_a_ninety_sixth_of_a_day() {
    // Cloud Carbon Footprint, EmbodiedEmissionsEstimator.test.ts: 1.7957 t over 35,040 h, 24 h of 1 of 96 vCPUs:
    // 1.2811786529680366e-5 t.
    let day = Seconds::from_hours(24.0);
    let per_hour = GramsPerHour::new(1_795_700.0 / 35_040.0);
    let embodied = Some(Embodied { per_hour, ..Embodied::default() });
    let rates = Rates { holding: Holding { embodied, ..Holding::default() }, ..Rates::default() };
    let meaning = Rounding::default().meaning(MicroJoules::ZERO, day, &rates);
    let day_ns = 86_400 * SECOND_NS;
    let modes = CpuTimes { user_ns: day_ns, idle_ns: 95 * day_ns, ..CpuTimes::default() };
    let cpu = Shares { parts: vec![(workload("web"), day_ns)], unseen: 0 };
    let busy = Use { cpu, modes: Some(modes), online: 96, ..use_() };
    let bookings = divide(&meaning, &[part(DeviceKind::Cpu, 1.0)], &busy, day);
    let grams: f64 = bookings
        .iter()
        .filter(|booking| booking.state == EnergyState::Active)
        .map(|booking| booking.embodied.quantity().get())
        .sum();
    assert!((grams - 12.811_786_529_680_366).abs() < 1e-9, "{grams} g");
}

fn any_shares() -> impl Strategy<Value = Shares> {
    let amount = || prop_oneof![4 => 0u64..40_000_000_000, 1 => any::<u64>()];
    (prop::collection::vec(amount(), 0..6), amount()).prop_map(|(parts, unseen)| Shares {
        parts: parts
            .into_iter()
            .enumerate()
            .map(|(number, used)| (Arc::new(Workload::Unit(format!("unit-{number}").into())), used))
            .collect(),
        unseen,
    })
}

prop_compose! {
    fn any_use()(
        cpu in any_shares(),
        memory in any_shares(),
        user_ns in 0u64..80_000_000_000,
        idle_ns in 0u64..80_000_000_000,
        online in 0u32..8,
        memory_total in prop_oneof![1 => Just(0), 4 => 0u64..1 << 40],
        witnessed: bool,
    ) -> Use {
        let modes = witnessed.then_some(CpuTimes { user_ns, idle_ns, ..CpuTimes::default() });
        Use { cpu, memory, modes, online, memory_total, witnessed, ..Use::default() }
    }
}

pub(in crate::host) fn any_parts() -> impl Strategy<Value = Vec<HeldPart>> {
    let kinds = vec![
        DeviceKind::Cpu,
        DeviceKind::Memory,
        DeviceKind::Gpu,
        DeviceKind::Accelerator,
        DeviceKind::Disk,
        DeviceKind::Enclosure,
    ];
    let weight = || prop_oneof![6 => 0.0..100.0f64, 1 => any::<f64>()].prop_map(Ratio::new);
    let part = (prop::sample::select(kinds), weight(), weight());
    let part = part.prop_map(|(kind, weight_rent, weight_embodied)| HeldPart { kind, weight_rent, weight_embodied });
    prop::collection::vec(part, 0..6)
}

proptest! {
    #[test]
    fn bookings_add_up_to_what_was_divided(
        embodied in prop::option::of(0u64..1 << 50),
        rent in prop::option::of(0u64..1 << 50),
        parts in any_parts(),
        use_ in any_use(),
        seconds in 0.0..100.0f64,
    ) {
        let (embodied, rent) = (embodied.map(Nanograms::new), rent.map(NanoUsd::new));
        let meaning = Meaning { embodied, rent, ..Meaning::default() };
        let bookings = divide(&meaning, &parts, &use_, Seconds::new(seconds));
        let booked = bookings.iter().map(|booking| booking.embodied).sum::<Nanograms>();
        prop_assert_eq!(booked, embodied.unwrap_or_default());
        prop_assert_eq!(bookings.iter().map(|booking| booking.rent).sum::<NanoUsd>(), rent.unwrap_or_default());
        for booking in &bookings {
            let is_nobodys = matches!(booking.state, EnergyState::Idle | EnergyState::Unattributed);
            prop_assert_eq!(is_nobodys, *booking.workload == Workload::Nobody);
        }
    }
}

#[test]
fn boards_are_held_by_the_time_that_somebody_holds_them() {
    let time = |name: Option<&'static str>, state, seconds| BoardTime {
        workload: name.map(workload),
        state,
        nanos: seconds * SECOND_NS,
    };
    let board =
        |id: &'static str, held| BoardUse { device: Device::new(DeviceKind::Gpu, id), claims: Vec::new(), held };
    let (active, reserved, idle) = (EnergyState::Active, EnergyState::Reserved, EnergyState::Idle);
    let worked = board("a", vec![time(Some("vllm"), active, 4), time(Some("vllm"), reserved, 6)]);
    let rested = board("b", vec![time(None, idle, 10)]);
    let use_ = Use { boards: vec![worked.clone(), rested.clone()], ..use_() };
    let gpus = [part(DeviceKind::Gpu, 1.0)];
    let expected = [("vllm", active, 200_000), ("vllm", reserved, 300_000), ("(none)", idle, 500_000)];
    assert_eq!(divided(&gpus, &use_), rows(DeviceKind::Gpu, expected));
    // One of the two was watched for half of the window only.
    let half = board("b", vec![time(None, idle, 5)]);
    let use_ = Use { boards: vec![worked, half], ..use_ };
    assert_eq!(
        divided(&gpus, &use_).get(&(DeviceKind::Gpu, "(none)".to_owned(), EnergyState::Unattributed)),
        Some(&250_000)
    );
}

#[test]
fn a_rent_is_divided_by_its_own_weights() {
    let parts = [
        HeldPart { kind: DeviceKind::Gpu, weight_rent: Ratio::new(9.0), weight_embodied: Ratio::new(1.0) },
        HeldPart { kind: DeviceKind::Cpu, weight_rent: Ratio::new(1.0), weight_embodied: Ratio::new(1.0) },
    ];
    let holding = Holding {
        rent: Some(UsdPerHour::new(3.6)),
        embodied: Some(Embodied { per_hour: GramsPerHour::new(36.0), ..Embodied::default() }),
        parts: parts.to_vec(),
    };
    let rates = Rates { holding, ..Rates::default() };
    let meaning = Rounding::default().meaning(MicroJoules::ZERO, TEN_SECONDS, &rates);
    let bookings = divide(&meaning, &parts, &use_(), TEN_SECONDS);
    let gpu = bookings.iter().find(|booking| booking.kind == DeviceKind::Gpu).unwrap();
    assert_eq!((gpu.rent, gpu.embodied), (NanoUsd::new(9_000_000), Nanograms::new(50_000_000)));
}
