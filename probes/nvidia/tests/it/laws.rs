//! What holds whatever a driver answers.

use proptest::prelude::*;
use wattline_core::Ratio;
use wattline_core::reading::AcceleratorReading;

use crate::machine::{Machine, TWO};

/// Two GPUs of which the first is in slices, with somebody on both.
const BUSY: &str = "
0.mig = 1:1
0.mig_slots = 7
0.0.uuid = MIG-a
0.0.name = NVIDIA H100 80GB HBM3 MIG 1g.10gb
0.0.attributes = 16:9856
0.0.memory = 10334765056:0:1000
0.0.compute = 77:5000:2:0
0.gi2.gpm = 1
0.gi2.gpm.2 = 40
1.compute = 10:1:-:-,20:1:-:-
1.graphics = 20:1:-:-
1.process_utilization = 10:-:20:5:0:0
init = 0
";

/// What a line may say: a number, numbers, words, or a code of NVML's or of nobody's.
fn answers() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        prop::collection::vec(any::<u32>(), 0..7).prop_map(|numbers| numbers
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(":")),
        "[a-zA-Z0-9.:, -]{0,90}",
        (0..40_u32).prop_map(|code| format!("!{code}")),
        Just("!999".to_owned()),
    ]
}

fn shares(gpu: &AcceleratorReading) -> Vec<Ratio> {
    let utilization = gpu.utilization;
    let activity = gpu.activity.into_iter().chain(gpu.slices.iter().filter_map(|slice| slice.activity));
    let processes = gpu.processes.iter().flatten().filter_map(|process| process.utilization);
    let of_activity =
        activity.flat_map(|activity| [activity.graphics, activity.multiprocessor, activity.tensor, activity.memory]);
    let of_device = [utilization.general, utilization.memory, utilization.encoder, utilization.decoder];
    let of_processes = processes.flat_map(|used| [used.multiprocessor, used.memory, used.encoder, used.decoder]);
    of_device.into_iter().chain(of_activity).flatten().chain(of_processes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_of_a_driver_ends_the_thread_or_makes_a_share_of_more_than_all(
        changes in prop::collection::vec((any::<prop::sample::Index>(), answers()), 1..40),
    ) {
        let script = format!("{TWO}{BUSY}");
        let keys: Vec<&str> = script.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
        let mut machine = Machine::new(&script);
        for (key, answer) in &changes {
            machine.say(&format!("{} = {answer}", key.get(&keys)));
            for gpu in machine.gpus() {
                prop_assert!(shares(&gpu).iter().all(|share| (0.0..=1.0).contains(&share.get())), "{gpu:?}");
            }
            prop_assert!(!machine.health().contains("please report this"), "{}", machine.health());
        }
        // However it was, the driver is taken up again when it is well.
        machine.fake.write(&script).unwrap();
        machine.until(130, |gpus| gpus.len() == 2 && gpus.iter().all(|gpu| gpu.energy_mj.is_some() || !gpu.facts.missing.is_empty()));
    }
}
