use std::fs;
use std::os::unix::fs::symlink;

use wattline_core::Tick;

use super::*;

struct Machine {
    dir: tempfile::TempDir,
    hwmon: Hwmon,
    second: u64,
}

impl Machine {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), hwmon: Hwmon::default(), second: 0 }
    }

    /// A chip `hwmon<number>` of the device `device` with files of the given names and contents.
    fn chip(&self, number: u32, device: &str, files: &[(&str, &str)]) -> &Self {
        let chip = self.dir.path().join(TREE).join(format!("hwmon{number}"));
        let target = self.dir.path().join("sys/devices").join(device);
        fs::create_dir_all(&chip).unwrap();
        fs::create_dir_all(&target).unwrap();
        let link = chip.join("device");
        if !link.exists() {
            symlink(&target, link).unwrap();
        }
        for (name, content) in files {
            let path = chip.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
        self
    }

    fn remove_chips(&self) {
        fs::remove_dir_all(self.dir.path().join(TREE)).unwrap();
    }

    fn read(&mut self, rapl_gives_cpu: bool) -> (Vec<Reading>, HwmonState) {
        self.second += 1;
        let at = Instant::from_nanos(self.second * 1_000_000_000);
        let mut out = Readings::new("host", Tick { at, ..Tick::default() });
        let root = HostRoot::new(self.dir.path());
        let state = self.hwmon.read(&root, &Budget::new(100), at, rapl_gives_cpu, &mut out);
        (out.items, state)
    }

    /// What is shown, as scope and microjoules or watts.
    fn shown(&mut self, rapl_gives_cpu: bool) -> Vec<String> {
        self.read(rapl_gives_cpu).0.iter().map(line).collect()
    }
}

fn line(reading: &Reading) -> String {
    let (scope, amount) = match reading {
        Reading::Energy(energy) => (&energy.scope, format!("{} uJ", energy.counter_uj)),
        Reading::Power(power) => (&power.scope, format!("{} W", power.power.get())),
        other => panic!("{other:?}"),
    };
    let scope = match scope {
        Scope::Device(device) => format!("{} {}", device.kind.as_str(), device.id),
        Scope::Machine => "machine".to_owned(),
        Scope::Overlapping(id) => format!("~{id}"),
    };
    format!("{scope}: {amount}")
}

const ACPI: &[(&str, &str)] =
    &[("name", "power_meter"), ("power1_average", "345000000"), ("power1_average_interval", "1000")];

#[test]
fn an_acpi_meter_is_the_machine_at_its_input() {
    let mut machine = Machine::new();
    machine.chip(3, "ACPI000D:00", ACPI);
    let (items, state) = machine.read(false);
    let [Reading::Power(power)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((&power.scope, power.source), (&Scope::Machine, EnergySource::AcpiMeter));
    assert_eq!((power.power, power.averaged_over), (Watts::new(345.0), Some(Seconds::new(1.0))));
    assert_eq!(state.acpi, SourceState::Up { found: "power_meter".into() });
    assert!(matches!(state.hwmon, SourceState::Absent { .. }));
}

#[test]
fn a_meter_that_knows_nothing_or_watches_a_battery_is_not_the_machine() {
    let mut machine = Machine::new();
    machine.chip(0, "ACPI000D:00", &[("name", "power_meter"), ("power1_average", "4294967295000")]);
    let (items, state) = machine.read(false);
    assert!(items.is_empty() && matches!(state.acpi, SourceState::Failed { .. }));
    let mut machine = Machine::new();
    machine.chip(0, "ACPI000D:00", ACPI).chip(0, "ACPI000D:00", &[("power1_is_battery", "1")]);
    assert_eq!(machine.shown(false), ["~power_meter ACPI000D:00 power1: 345 W"]);
}

#[test]
fn of_several_machine_meters_none_is_believed_to_be_the_whole() {
    let mut machine = Machine::new();
    machine.chip(0, "ACPI000D:00", ACPI).chip(1, "ACPI000D:01", ACPI);
    assert_eq!(
        machine.shown(false),
        ["~power_meter ACPI000D:00 power1: 345 W", "~power_meter ACPI000D:01 power1: 345 W"]
    );
}

#[test]
fn grace_sockets_are_processors_and_what_is_inside_or_around_them_is_not() {
    let mut machine = Machine::new();
    let labels = ["Module Power Socket 0", "Grace Power Socket 0", "CPU Power Socket 0", "SysIO Power Socket 0"];
    for (number, label) in (0..).zip(labels) {
        // The driver's old interface keeps the files on the device.
        let power = format!("{}000000", 100 + number);
        let files = [
            ("device/name", "power_meter"),
            ("device/power1_average", power.as_str()),
            ("device/power1_oem_info", label),
        ];
        machine.chip(number, &format!("ACPI000D:0{number}"), &files);
    }
    assert_eq!(
        machine.shown(false),
        [
            "~power_meter ACPI000D:00 Module Power Socket 0: 100 W",
            "cpu package-0: 101 W",
            "~power_meter ACPI000D:02 CPU Power Socket 0: 102 W",
            "~power_meter ACPI000D:03 SysIO Power Socket 0: 103 W",
        ]
    );
}

#[test]
fn sockets_of_amd_energy_are_rows_unless_rapl_has_them() {
    let mut machine = Machine::new();
    machine.chip(
        1,
        "amd_energy.0",
        &[
            ("name", "amd_energy"),
            ("energy1_input", "11"),
            ("energy1_label", "Ecore000"),
            ("energy2_input", "500"),
            ("energy2_label", "Esocket0"),
            ("energy3_input", "600"),
            ("energy3_label", "Esocket1"),
        ],
    );
    assert_eq!(machine.shown(false), ["cpu package-0: 500 uJ", "cpu package-1: 600 uJ"]);
    assert_eq!(
        machine.shown(true),
        ["~amd_energy amd_energy.0 Esocket0: 500 uJ", "~amd_energy amd_energy.0 Esocket1: 600 uJ"]
    );
}

#[test]
fn names_and_rows_stay_when_the_directories_are_numbered_anew() {
    let mut machine = Machine::new();
    let xgene = |power: &'static str| {
        [
            ("name", "apm_xgene"),
            ("power1_input", power),
            ("power1_label", "CPU power"),
            ("power2_input", "5000000"),
            ("power2_label", "IO power"),
        ]
    };
    let disk = [("name", "nvme"), ("power1_input", "8000000")];
    machine.chip(0, "APMC0D29:00", &xgene("70000000")).chip(1, "APMC0D29:01", &xgene("80000000")).chip(
        2,
        "0000:01:00.0",
        &disk,
    );
    let before = machine.shown(false);
    machine.remove_chips();
    machine.chip(2, "APMC0D29:00", &xgene("70000000")).chip(0, "APMC0D29:01", &xgene("80000000")).chip(
        1,
        "0000:01:00.0",
        &disk,
    );
    machine.second += 60;
    assert_eq!(machine.shown(false), before);
    assert_eq!(
        before,
        [
            "cpu package-0: 70 W",
            "~apm_xgene APMC0D29:00 IO power: 5 W",
            "cpu package-1: 80 W",
            "~apm_xgene APMC0D29:01 IO power: 5 W",
            "~nvme 0000:01:00.0 power1: 8 W",
        ]
    );
}

#[test]
fn a_sleeping_device_is_not_woken_for_a_figure_that_is_only_shown() {
    let mut machine = Machine::new();
    let gpu = [("name", "amdgpu"), ("power1_average", "30000000"), ("device/power/runtime_status", "suspended")];
    machine.chip(0, "0000:03:00.0", &gpu);
    let (items, state) = machine.read(false);
    assert!(items.is_empty() && matches!(state.hwmon, SourceState::Up { .. }), "{state:?}");
    machine.chip(0, "0000:03:00.0", &[("device/power/runtime_status", "active")]);
    assert_eq!(machine.shown(false), ["~amdgpu 0000:03:00.0 power1: 30 W"]);
}

#[test]
fn one_broken_channel_is_reported_and_the_others_go_on() {
    let mut machine = Machine::new();
    machine.chip(0, "i2c-0", &[("name", "ina226"), ("power1_input", "garbage"), ("power2_input", "-2000000")]);
    let (items, state) = machine.read(false);
    assert_eq!(items.iter().map(line).collect::<Vec<_>>(), ["~ina226 i2c-0 power2: -2 W"]);
    let SourceState::Failed { what } = state.hwmon else { panic!("{state:?}") };
    assert!(what.contains("power1_input") && what.contains("ina226"), "{what}");
}

#[test]
fn a_machine_without_chips_has_none() {
    let mut machine = Machine::new();
    machine.chip(0, "thermal", &[("name", "coretemp"), ("temp1_input", "40000")]);
    let (items, state) = machine.read(false);
    assert!(items.is_empty());
    assert!(matches!(state.hwmon, SourceState::Absent { .. }) && matches!(state.acpi, SourceState::Absent { .. }));
}
