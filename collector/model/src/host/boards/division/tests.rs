//! Boards that are cut into slices, and boards that tell little.

use std::sync::Arc;

use wattline_core::reading::{Activity, SliceFacts};

use super::super::tests::{process, reading};
use super::*;

const fn id(number: u32) -> InstanceId {
    InstanceId { gpu_instance: number, compute_instance: 0 }
}

fn slice(number: u32, multiprocessors: u32, busy: Option<f64>) -> SliceReading {
    let facts = SliceFacts {
        uuid: format!("MIG-{number}").into(),
        id: Some(id(number)),
        multiprocessors: Some(multiprocessors),
        ..SliceFacts::default()
    };
    let activity = busy.map(|busy| Activity { graphics: Some(Ratio::new(busy)), ..Activity::default() });
    SliceReading { facts: Arc::new(facts), memory: None, activity }
}

fn sliced_board(slices: Vec<SliceReading>, processes: &[(u32, u32)]) -> AcceleratorReading {
    let inside = |&(pid, slice): &(u32, u32)| AcceleratorProcess {
        slice: Some(id(slice)),
        utilization: None,
        ..process(pid, 4, 0.0)
    };
    let mut board = reading(0, 0.0, Some(processes.iter().map(inside).collect()));
    board.utilization.general = None;
    board.slices = slices;
    board
}

fn shares(list: &[(Claimant, u64)]) -> Vec<(Claimant, f64)> {
    let whole: u64 = list.iter().map(|(_, weight)| weight).sum();
    list.iter().map(|(claimant, weight)| (*claimant, *weight as f64 / whole as f64)).collect()
}

fn share(list: &[(Claimant, u64)], claimant: Claimant) -> f64 {
    shares(list).iter().filter(|(of, _)| *of == claimant).map(|(_, share)| share).sum()
}

#[test]
fn slices_are_used_by_their_size_times_how_busy_they_were() {
    // 4g and 2g of 132 multiprocessors, one of them half busy; a third slice is held by nobody.
    let slices = vec![slice(1, 64, Some(0.5)), slice(2, 32, Some(1.0)), slice(3, 16, Some(0.0))];
    let division = Division::of(&sliced_board(slices, &[(1, 1), (2, 2)]));
    assert_eq!(division.witness, Witness::Working);
    assert!((share(&division.users, Claimant::Process(1)) - 0.5).abs() < 1e-6);
    assert!((share(&division.users, Claimant::Process(2)) - 0.5).abs() < 1e-6);
    assert!((share(&division.holders, Claimant::Process(1)) - 64.0 / 112.0).abs() < 1e-6);
    assert!((share(&division.holders, Claimant::Nobody) - 16.0 / 112.0).abs() < 1e-6);
}

#[test]
fn slices_at_rest_are_held_and_not_used() {
    let slices = vec![slice(1, 64, Some(0.0)), slice(2, 32, Some(0.0))];
    let division = Division::of(&sliced_board(slices, &[(1, 1)]));
    assert_eq!((division.witness, division.users.len()), (Witness::Resting, 0));
}

#[test]
fn work_in_a_slice_that_nobody_is_seen_to_hold_is_unseen() {
    let slices = vec![slice(1, 50, Some(0.5)), slice(2, 50, Some(0.5))];
    let division = Division::of(&sliced_board(slices, &[(1, 1)]));
    assert!((share(&division.users, Claimant::Unseen) - 0.5).abs() < 1e-6);
}

#[test]
fn without_a_witness_of_work_held_slices_work_by_their_size() {
    let slices = vec![slice(1, 60, None), slice(2, 20, None), slice(3, 20, None)];
    let division = Division::of(&sliced_board(slices, &[(1, 1), (2, 2)]));
    assert!((share(&division.users, Claimant::Process(1)) - 0.75).abs() < 1e-6);
    assert!((share(&division.users, Claimant::Process(2)) - 0.25).abs() < 1e-6);
}

#[test]
fn what_was_not_cut_of_the_board_is_nobodys() {
    let mut board = sliced_board(vec![slice(1, 33, Some(1.0))], &[(1, 1)]);
    let mut facts = (*board.facts).clone();
    facts.multiprocessors = Some(132);
    board.facts = Arc::new(facts);
    assert!((share(&Division::of(&board).holders, Claimant::Nobody) - 0.75).abs() < 1e-6);
}

#[test]
fn video_counts_where_no_multiprocessor_worked() {
    let mut one = process(1, 1, 0.0);
    one.utilization.as_mut().unwrap().encoder = Ratio::new(0.4);
    let division = Division::of(&reading(0, 0.4, Some(vec![one, process(2, 1, 0.0)])));
    assert_eq!(shares(&division.users), [(Claimant::Process(1), 1.0)]);
}

#[test]
fn a_device_that_tells_nothing_by_process_is_used_by_who_holds_it() {
    let silent = |pid, gib| AcceleratorProcess { utilization: None, ..process(pid, gib, 0.0) };
    let division = Division::of(&reading(0, 0.7, Some(vec![silent(1, 30), silent(2, 10)])));
    assert_eq!(shares(&division.users), [(Claimant::Process(1), 0.75), (Claimant::Process(2), 0.25)]);
    let division = Division::of(&reading(0, 0.0, Some(vec![silent(1, 30)])));
    assert_eq!(division.witness, Witness::Resting, "the whole board did nothing");
}
