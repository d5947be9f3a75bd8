//! What fails: a GPU, the driver, the library, and calls that do not come back.

use std::path::PathBuf;
use std::time::Duration;

use wattline_core::reading::{AcceleratorState, DownReason};
use wattline_probe_nvidia::{Access, Config, Mode};

use crate::machine::{Machine, TWO};

fn states(machine: &mut Machine) -> Vec<AcceleratorState> {
    machine.gpus().into_iter().map(|gpu| gpu.state).collect()
}

const fn down(reason: DownReason) -> AcceleratorState {
    AcceleratorState::Down(reason)
}

#[test]
fn a_gpu_that_is_lost_or_must_be_reset_is_down_with_its_reason_and_the_others_go_on() {
    for (code, reason) in [(15, DownReason::Lost), (28, DownReason::Lost), (16, DownReason::ResetRequired)] {
        let mut machine = Machine::new(TWO);
        machine.gpus();
        machine.say(&format!("1.all = !{code}"));
        let gpus = machine.gpus();
        assert_eq!((&gpus[0].state, &gpus[1].state), (&AcceleratorState::Works, &down(reason)));
        assert_eq!((gpus[0].energy_mj, gpus[1].energy_mj), (Some(1000), None));
        assert_eq!(&*gpus[1].device.id, "GPU-00000000-0000-0000-0000-000000000001");
        let health = machine.health();
        let expected = format!(
            "failed: GPU 1 (GPU-00000000-0000-0000-0000-000000000001, 00000000:0A:00.0) {}; read in spite of it: 1 x \
             NVIDIA H100 80GB HBM3, driver 580.95.05",
            reason.as_str()
        );
        assert_eq!(health, expected);
    }
}

#[test]
fn a_gpu_that_is_down_is_asked_again_after_a_minute() {
    let mut machine = Machine::new(TWO);
    machine.say("1.all = !15");
    assert_eq!(machine.gpus().len(), 1, "of a GPU that was never seen not even a name is known");
    assert!(machine.health().starts_with("failed: GPU 1 fell off the bus"), "{}", machine.health());
    machine.say("1.all = hang");
    for _ in 0..30 {
        machine.gpus();
    }
    machine.fake.write(TWO).unwrap();
    let seconds = machine.until(60, |gpus| gpus.len() == 2);
    assert!(seconds > 20, "it was asked before a minute was over: {seconds} s");
    assert_eq!(machine.health(), "up: 2 x NVIDIA H100 80GB HBM3, driver 580.95.05");
}

#[test]
fn a_gpu_that_fails_every_question_is_down_after_three_readings() {
    let mut machine = Machine::new(TWO);
    machine.gpus();
    machine.say("0.all = !999");
    assert_eq!(states(&mut machine)[0], AcceleratorState::Works);
    states(&mut machine);
    assert_eq!(states(&mut machine), [down(DownReason::Failing), AcceleratorState::Works]);
}

#[test]
fn one_call_that_fails_costs_its_own_figure_only() {
    let mut machine = Machine::new(TWO);
    machine.gpus();
    machine.say("0.energy_mj = !999");
    let gpu = machine.gpus().remove(0);
    assert_eq!((gpu.energy_mj, gpu.state, gpu.power.is_some()), (None, AcceleratorState::Works, true));
    machine.say("0.energy_mj = 1234");
    assert_eq!(machine.gpus()[0].energy_mj, Some(1234));
}

#[test]
fn a_driver_that_is_reloaded_under_us_is_taken_up_again_with_growing_pauses() {
    let mut machine = Machine::new(TWO);
    machine.gpus();
    // Unloaded, and a new one loaded beside the old library.
    machine.say("count = !1\ninit = !18");
    assert_eq!(machine.gpus().len(), 0);
    assert!(
        machine.health().starts_with("failed: the driver is gone, or another one was loaded"),
        "{}",
        machine.health()
    );
    for _ in 0..60 {
        assert_eq!(machine.gpus().len(), 0);
    }
    assert!(machine.health().contains("driver/library version mismatch"), "{}", machine.health());
    machine.say("count = 2\ninit = 0\ndriver = 590.1\n0.energy_mj = 5");
    machine.until(64, |gpus| gpus.len() == 2 && gpus[0].energy_mj == Some(5));
    assert!(machine.health().ends_with("driver 590.1"), "{}", machine.health());
}

#[test]
fn after_failures_the_library_is_opened_ever_more_rarely() {
    let mut machine = Machine::new("init = !999");
    for _ in 0..200 {
        machine.gpus();
    }
    machine.fake.write(TWO).unwrap();
    machine.until(70, |gpus| gpus.len() == 2);
    drop(machine.probe);
    // After 1, 2, 4, 8, 16, 32 s and then every minute.
    let tries = machine.fake.calls("nvmlInit_v2");
    assert!((8..=12).contains(&tries), "{tries}");
}

#[test]
fn a_gpu_more_or_less_is_found_at_the_next_reading() {
    let mut machine = Machine::new(TWO);
    machine.gpus();
    machine.say("count = 1");
    machine.gpus();
    assert!(machine.health().starts_with("up: 2 x"), "{}", machine.health());
    machine.until(1, |gpus| gpus.len() == 1);
    machine.say("count = 2");
    machine.until(2, |gpus| gpus.len() == 2);
    machine.say("count = 0");
    (0..2).for_each(|_| assert_eq!(machine.gpus().len(), 0));
    assert_eq!(machine.health(), "up: no GPU, driver 580.95.05");
}

#[test]
fn a_call_that_hangs_is_given_up_and_the_other_gpus_go_on_without_that_one() {
    let config = Config { timeout: Duration::from_millis(300), ..Config::default() };
    let mut machine = Machine::with(TWO, &config);
    assert_eq!(machine.gpus().len(), 2);
    machine.say("1.power_mw = hang");
    assert_eq!(machine.gpus().len(), 0, "what the other shows is lost with the thread, once");
    assert!(machine.health().starts_with("failed: GPU 1 has not answered for 300ms"), "{}", machine.health());
    machine.until(3, |gpus| gpus.len() == 2);
    assert_eq!(states(&mut machine), [AcceleratorState::Works, down(DownReason::Hanging)]);
    assert!(machine.health().contains("GPU 1") && machine.health().contains("does not answer"), "{}", machine.health());
    // The hanging call comes back, and after ten minutes the GPU is asked again.
    machine.say("1.power_mw = 1000");
    machine.seconds += 600;
    machine.until(2, |gpus| gpus.len() == 2 && gpus.iter().all(|gpu| gpu.state == AcceleratorState::Works));
}

#[test]
fn a_driver_in_which_every_call_hangs_gets_no_more_than_three_threads() {
    let config = Config { timeout: Duration::from_millis(20), ..Config::default() };
    let mut machine = Machine::with(TWO, &config);
    machine.say("count = hang");
    for _ in 0..300 {
        machine.read();
    }
    assert!(machine.health().starts_with("failed: the driver has not answered"), "{}", machine.health());
    machine.say("count = 2");
    // Each of them comes back, finds that nobody waits, and lets go of the driver.
    let mut patience = 1_000_000;
    while machine.fake.calls("nvmlShutdown") < 3 {
        assert!(patience > 0, "the threads have not ended");
        patience -= 1;
        std::thread::yield_now();
    }
    machine.until(100_000, |gpus| gpus.len() == 2);
    drop(machine.probe);
    assert_eq!(machine.fake.calls("nvmlInit_v2"), 4);
}

#[test]
fn a_library_that_is_missing_is_an_absence_that_names_the_path_unless_gpus_are_wanted() {
    for (mode, state) in [(Mode::Auto, "absent"), (Mode::Always, "failed")] {
        let mut machine = Machine::new(TWO);
        let config = Config { mode, library: PathBuf::from("/nowhere/libnvidia-ml.so.1"), ..Config::default() };
        let root = wattline_core::HostRoot::new("/nowhere");
        machine.probe = wattline_probe_nvidia::NvidiaProbe::open(config, &root, Access::default());
        assert_eq!(machine.gpus().len(), 0);
        let health = machine.health();
        assert!(health.starts_with(&format!("{state}: loading /nowhere/libnvidia-ml.so.1: ")), "{health}");
        assert!(health.contains("No such file"), "{health}");
    }
}

#[test]
fn a_library_without_a_driver_and_a_driver_that_is_denied_say_so() {
    for (code, said) in [(9, "absent: "), (4, "denied: ")] {
        let mut machine = Machine::new(&format!("init = !{code}"));
        machine.gpus();
        assert!(machine.health().starts_with(said), "{}", machine.health());
    }
}

#[test]
fn the_driver_is_let_go_of_on_request_and_taken_up_again_after_a_while() {
    let config = Config { release: Duration::from_secs(5), ..Config::default() };
    let mut machine = Machine::with(TWO, &config);
    machine.gpus();
    assert_eq!(machine.fake.calls("nvmlShutdown"), 0);
    machine.access.release();
    assert_eq!(machine.gpus().len(), 0);
    assert_eq!(machine.fake.calls("nvmlShutdown"), 1);
    assert!(machine.health().contains("let go of on request for 5s"), "{}", machine.health());
    let seconds = machine.until(6, |gpus| gpus.len() == 2);
    assert_eq!(seconds, 5);
}

#[test]
fn never_means_that_nothing_is_opened() {
    let mut machine = Machine::with(TWO, &Config { mode: Mode::Never, ..Config::default() });
    assert_eq!(machine.read().items.len(), 0);
    drop(machine.probe);
    assert_eq!(machine.fake.calls("nvmlInit_v2"), 0);
}
