//! Pressure stall information: how long tasks waited for a resource.

use wattline_core::reading::{PressureReading, SourceState};
use wattline_core::{HostRoot, Reading, Readings};

use super::state::{not_understood, unreadable};
use super::whole_file::WholeFile;

/// Reads `/proc/pressure`.
#[derive(Debug)]
pub(super) struct Pressure {
    resources: [(&'static str, WholeFile); 3],
}

impl Pressure {
    pub(super) fn new(root: &HostRoot) -> Self {
        let resource = |name: &'static str| (name, WholeFile::new(root, format!("proc/pressure/{name}")));
        Self { resources: ["cpu", "memory", "io"].map(resource) }
    }

    /// The state is that of the first resource that cannot be read; a kernel has all of them or none.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        let (mut found, mut trouble) = (Vec::new(), None);
        for (resource, file) in &mut self.resources {
            let seen = match file.read(buffer) {
                Ok(text) => parse(resource, &text).ok_or("there is no total of some waiting"),
                Err(error) => {
                    trouble = trouble.or_else(|| Some(unreadable(&error, &file.place())));
                    continue;
                }
            };
            match seen {
                Ok(reading) => {
                    found.push(*resource);
                    out.items.push(Reading::Pressure(reading));
                }
                Err(why) => trouble = trouble.or_else(|| Some(not_understood(&file.place(), why))),
            }
        }
        trouble.unwrap_or_else(|| SourceState::Up { found: found.join(", ") })
    }
}

/// Only the totals, in microseconds, are of use: averages of others' windows cannot be added up.
fn parse(resource: &'static str, text: &str) -> Option<PressureReading> {
    let total = |kind: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        line.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
    };
    // That all tasks of a machine wait for its CPUs cannot be; the kernel shows a zero for compatibility
    // (Documentation/accounting/psi.rst).
    let full_us = if resource == "cpu" { None } else { total("full") };
    Some(PressureReading { resource, some_us: total("some")?, full_us })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str =
        "some avg10=4.50 avg60=0.91 avg300=0.00 total=681245\nfull avg10=2.10 avg60=0.12 avg300=0.00 total=391926\n";

    #[test]
    fn totals_are_read_and_averages_are_not() {
        let memory = PressureReading { resource: "memory", some_us: 681_245, full_us: Some(391_926) };
        assert_eq!(parse("memory", TEXT), Some(memory));
    }

    #[test]
    fn a_machine_as_a_whole_has_no_full_cpu_pressure() {
        assert_eq!(parse("cpu", TEXT).unwrap().full_us, None);
    }

    #[test]
    fn old_kernels_have_no_full_line() {
        let io = parse("io", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
        assert_eq!(io, Some(PressureReading { resource: "io", some_us: 7, full_us: None }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(some|full|total=| |\n|[0-9]|\\PC){0,40}") {
            parse("io", &text);
        }
    }
}
