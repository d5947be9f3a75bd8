//! GPUs that are cut into slices.

use wattline_core::Ratio;
use wattline_core::reading::InstanceId;

use crate::machine::{Machine, TWO};

/// The first GPU in two slices, of which the second holds a process.
const CUT: &str = "
0.mig = 1:1
0.mig_slots = 7
0.utilization = !3
0.gpm = 1
0.0.uuid = MIG-bbbb
0.2.uuid = MIG-aaaa
0.0.name = NVIDIA H100 80GB HBM3 MIG 1g.10gb
0.2.name = NVIDIA H100 80GB HBM3 MIG 3g.40gb
0.0.attributes = 16:9856
0.2.attributes = 60:40448
0.0.memory = 10334765056:0:1000
0.2.memory = 42412802048:0:5000
0.0.compute = 
0.2.compute = 77:5000:2:0
0.gi2.gpm = 1
0.gi2.gpm.1 = 50
0.gi2.gpm.2 = 40
0.gi2.gpm.5 = 30
0.gi2.gpm.10 = 20
";

#[test]
fn each_slice_tells_what_it_is_and_who_is_in_it() {
    let mut machine = Machine::new(TWO);
    machine.say(CUT);
    let gpus = machine.gpus();
    let (gpu, whole) = (&gpus[0], &gpus[1]);
    assert_eq!((gpu.facts.sliced, whole.facts.sliced), (Some(true), Some(false)));
    assert_eq!(whole.slices.len(), 0);
    let told: Vec<_> = gpu
        .slices
        .iter()
        .map(|slice| (&*slice.facts.uuid, slice.facts.profile.as_deref(), slice.facts.multiprocessors, slice.facts.id))
        .collect();
    let id = InstanceId { gpu_instance: 2, compute_instance: 0 };
    assert_eq!(
        told,
        [("MIG-aaaa", Some("3g.40gb"), Some(60), Some(id)), ("MIG-bbbb", Some("1g.10gb"), Some(16), None)]
    );
    assert_eq!(gpu.slices[0].facts.memory_bytes, Some(40_448 << 20));
    assert_eq!(gpu.slices[1].memory.unwrap().used, 1000);
    let processes = gpu.processes.as_ref().unwrap();
    assert_eq!((processes.len(), processes[0].pid, processes[0].slice), (1, 77, Some(id)));
    assert_eq!(processes[0].utilization, None, "a device in slices does not tell it by process");
    assert!(machine.health().contains("1 x NVIDIA H100 80GB HBM3 in 2 slices"), "{}", machine.health());
}

#[test]
fn activity_is_told_of_a_slice_as_soon_as_a_process_was_seen_in_it_and_goes_on_without() {
    let mut machine = Machine::new(TWO);
    machine.say(CUT);
    let shares = |machine: &mut Machine| {
        let gpu = machine.gpus().remove(0);
        assert_eq!(gpu.activity, None, "of the whole device");
        let of = |slice: &wattline_core::reading::SliceReading| slice.activity.and_then(|activity| activity.tensor);
        gpu.slices.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(shares(&mut machine), [None, None]);
    assert_eq!(shares(&mut machine), [Some(Ratio::new(0.3)), None]);
    machine.say("0.2.compute = ");
    assert_eq!(shares(&mut machine), [Some(Ratio::new(0.3)), None]);
}

#[test]
fn a_gpu_that_is_cut_or_made_whole_is_asked_anew_what_it_can_tell() {
    let mut machine = Machine::new(TWO);
    machine.say(CUT);
    machine.gpus();
    assert_eq!(machine.gpus()[0].utilization.general, None);
    machine.say("0.mig = 0:0\n0.utilization = 9:0");
    machine.until(10, |gpus| gpus[0].slices.is_empty());
    assert_eq!(machine.gpus()[0].utilization.general, Some(Ratio::new(0.09)));
    machine.say("0.mig = 1:1\n0.utilization = !3");
    machine.until(10, |gpus| gpus[0].slices.len() == 2);
}

#[test]
fn samples_of_units_are_given_back() {
    let mut machine = Machine::new(TWO);
    machine.say(CUT);
    // The library holds no more than 300 of them.
    for _ in 0..400 {
        machine.gpus();
    }
    let gpus = machine.gpus();
    assert!(gpus[0].slices[0].activity.is_some() && gpus[1].activity.is_some());
}
