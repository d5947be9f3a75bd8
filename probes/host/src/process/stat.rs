//! The text of `/proc/<pid>/stat`, documented in `proc_pid_stat(5)`.

use crate::kept::number;

/// The fields that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat<'a> {
    /// The name as the process chose it: any bytes but zero.
    pub(super) comm: &'a [u8],
    /// User and system time of all threads, ended ones included, in clock ticks.
    pub(super) cpu_ticks: u64,
    pub(super) threads: u32,
    /// Clock ticks from boot to the start of the process.
    pub(super) start_ticks: u64,
    pub(super) resident_pages: u64,
}

// Positions behind the name: the state is 0.
const UTIME: usize = 11;
const STIME: usize = 12;
const THREADS: usize = 17;
const START: usize = 19;
const RESIDENT: usize = 21;

/// Reads a line. The name may hold blanks, brackets and line ends, so it ends at the last bracket. `None` for a text
/// that has not the fields.
pub(super) fn parse(text: &[u8]) -> Option<Stat<'_>> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let comm = text.get(open + 1..close)?;
    let (mut user, mut system, mut threads, mut start, mut resident) = (None, None, None, None, None);
    let fields = text.get(close + 1..)?.trim_ascii().split(|&byte| byte == b' ');
    for (position, field) in fields.enumerate().take(RESIDENT + 1) {
        match position {
            UTIME => user = number(field),
            STIME => system = number(field),
            THREADS => threads = number(field),
            START => start = number(field),
            // Counters that are kept per CPU may add up to less than nothing for a moment.
            RESIDENT => resident = Some(number(field).unwrap_or(0)),
            _ => {}
        }
    }
    Some(Stat {
        comm,
        cpu_ticks: user?.saturating_add(system?),
        threads: u32::try_from(threads?).unwrap_or(u32::MAX),
        start_ticks: start?,
        resident_pages: resident?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(comm: &[u8], utime: u64, stime: u64, rss: i64) -> Vec<u8> {
        let mut text = b"4242 (".to_vec();
        text.extend_from_slice(comm);
        let rest = format!(
            ") S 1 4242 4242 0 -1 4194624 1 0 0 0 {utime} {stime} 0 0 20 0 3 0 777 1000 {rss} 18446744073709551615 1 1 0\n"
        );
        text.extend_from_slice(rest.as_bytes());
        text
    }

    #[test]
    fn names_with_brackets_and_line_ends_do_not_shift_the_fields() {
        for comm in [&b"sh"[..], b"tmux: server (1)", b"a) R 1", b"x\ny) S 9 9", b")", b"", b"(((", b"\xff\xfe"] {
            let text = line(comm, 11, 22, 25);
            let expected = Stat { comm, cpu_ticks: 33, threads: 3, start_ticks: 777, resident_pages: 25 };
            assert_eq!(parse(&text), Some(expected), "{comm:?}");
        }
    }

    #[test]
    fn a_zombie_has_no_memory_and_still_its_time() {
        assert_eq!(parse(&line(b"zomb", 55, 66, 0)).map(|stat| (stat.cpu_ticks, stat.resident_pages)), Some((121, 0)));
        assert_eq!(parse(&line(b"odd", 1, 1, -3)).map(|stat| stat.resident_pages), Some(0));
    }

    #[test]
    fn a_cut_line_is_no_reading() {
        let text = line(b"sh", 1, 2, 3);
        let end = text.len() - " 18446744073709551615 1 1 0\n".len();
        assert!(parse(&text[..end]).is_some());
        for length in 0..end - 1 {
            assert_eq!(parse(&text[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _stat = parse(&text);
        }

        #[test]
        fn any_name_and_any_times_read_back(comm in prop::collection::vec(any::<u8>(), 0..64), utime: u64, stime: u64) {
            let text = line(&comm, utime, stime, 1);
            let stat = parse(&text).unwrap();
            prop_assert_eq!(stat.comm, &comm[..]);
            prop_assert_eq!(stat.cpu_ticks, utime.saturating_add(stime));
        }
    }
}
