//! Network interfaces from `/proc/PID/net/dev`.
//!
//! The file shows the network of the process in its path, so that under a foreign root the host's first process is
//! asked: `/proc/net` would be the reader's own container.

use wattline_core::reading::{NetworkReading, SourceState};
use wattline_core::{HostRoot, Reading, Readings};

use super::Config;
use super::names::{Names, Patterns};
use super::state::{counted, not_understood, unreadable};
use super::whole_file::WholeFile;

/// The most interfaces that are told. A machine with more has a kind of interface that should be left out.
const LIMIT: usize = 512;

/// Reads the counters of interfaces.
#[derive(Debug)]
pub(super) struct Network {
    file: WholeFile,
    skip: Patterns,
    names: Names,
}

impl Network {
    pub(super) fn new(root: &HostRoot, config: &Config) -> Self {
        Self {
            file: WholeFile::new(root, root.of_host_process("net/dev")),
            skip: Patterns::new(&config.skip_interfaces),
            names: Names::default(),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        let text = match self.file.read(buffer) {
            Ok(text) => text,
            Err(error) => return unreadable(&error, &self.file.place()),
        };
        let (mut found, mut odd_line) = (0, None);
        // Two lines of headings come first.
        for (number, line) in (1..).zip(text.lines()).skip(2) {
            let Some((name, counters)) = parse(line) else {
                odd_line = odd_line.or(Some(number));
                continue;
            };
            if self.skip.hold(name) {
                continue;
            }
            found += 1;
            if found <= LIMIT {
                out.items.push(Reading::Network(NetworkReading { interface: self.names.get(name), ..counters }));
            }
        }
        match odd_line {
            Some(line) => not_understood(&self.file.place(), &format!("line {line} is not a row of an interface")),
            None if found > LIMIT => SourceState::Up { found: format!("{LIMIT} of {found} interfaces, the limit") },
            None => SourceState::Up { found: counted(found, "interface", "interfaces") },
        }
    }
}

/// The name and the counters of one row. Wide numbers stand next to the colon without a space.
fn parse(line: &str) -> Option<(&str, NetworkReading)> {
    let (name, rest) = line.split_once(':')?;
    let mut columns = [0u64; 12];
    let mut words = rest.split_ascii_whitespace();
    for column in &mut columns {
        *column = words.next()?.parse().ok()?;
    }
    let [received_bytes, received_packets, receive_errors, receive_drops, _, _, _, _, sent @ ..] = columns;
    let [sent_bytes, sent_packets, send_errors, send_drops] = sent;
    let counters = NetworkReading {
        received_bytes,
        sent_bytes,
        received_packets,
        sent_packets,
        receive_errors,
        send_errors,
        receive_drops,
        send_drops,
        ..NetworkReading::default()
    };
    Some((name.trim(), counters)).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_may_touch_the_colon_and_columns_of_sending_are_not_those_of_receiving() {
        let (name, counters) = parse("  ens5:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").unwrap();
        assert_eq!(name, "ens5");
        assert_eq!((counters.received_bytes, counters.sent_bytes), (1, 9));
        assert_eq!((counters.received_packets, counters.sent_packets), (2, 10));
        assert_eq!((counters.receive_errors, counters.send_errors), (3, 11));
        assert_eq!((counters.receive_drops, counters.send_drops), (4, 12));
    }

    #[test]
    fn cut_rows_are_no_rows() {
        for odd in ["", "eth0", "eth0: 1 2 3", ": 1 2 3 4 5 6 7 8 9 10 11 12", "eth0: 1 2 3 4 5 6 7 8 9 10 11 -1"] {
            assert!(parse(odd).is_none(), "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(line in "[a-z]{0,4}:?([0-9]{1,21} ){0,20}\\PC{0,5}") {
            parse(&line);
        }
    }
}
