//! The texts of control group files.

use crate::kept::number;

/// The number after `key` on the line that begins with it.
pub(super) fn field(text: &[u8], key: &str) -> Option<u64> {
    lines(text).find_map(|line| number(line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?))
}

/// Bytes read and written over all devices in io.stat: `8:0 rbytes=1 wbytes=2 rios=3 ...`. A device without traffic
/// may have a line without fields.
pub(super) fn io_stat(text: &[u8]) -> (u64, u64) {
    let sum = |key: &[u8]| {
        let fields = text.split(u8::is_ascii_whitespace);
        fields.filter_map(|field| number(field.strip_prefix(key)?)).fold(0, u64::saturating_add)
    };
    (sum(b"rbytes="), sum(b"wbytes="))
}

/// Bytes read and written over all devices in `blkio.throttle.io_service_bytes`: `8:0 Read 4096`.
pub(super) fn throttled_io(text: &[u8]) -> (u64, u64) {
    let sum = |direction: &[u8]| {
        lines(text)
            .filter_map(|line| {
                let mut words = line.split(|&byte| byte == b' ');
                let (_device, word, bytes) = (words.next()?, words.next()?, words.next()?);
                if word == direction { number(bytes) } else { None }
            })
            .fold(0, u64::saturating_add)
    };
    (sum(b"Read"), sum(b"Write"))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_a_whole_word_at_the_beginning_of_a_line() {
        let text = b"inactive_file_x 1\ntotal_inactive_file 2\ninactive_file 3\nusage_usec x\n";
        assert_eq!(field(text, "inactive_file"), Some(3));
        assert_eq!(field(text, "usage_usec"), None);
        assert_eq!(field(text, "file"), None);
    }

    #[test]
    fn io_is_summed_over_devices() {
        let text = b"259:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=7 dios=0\n8:16 \n8:0 rbytes=4 wbytes=x\n";
        assert_eq!(io_stat(text), (4_100, 100));
        let text = b"8:0 Read 10\n8:0 Write 20\n8:0 Sync 5\n8:0 Async 25\n8:0 Total 30\n8:16 Read 1\nTotal 31\n";
        assert_eq!(throttled_io(text), (11, 20));
        assert_eq!(throttled_io(b"Total 0\n"), (0, 0));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _values = (field(&text, "usage_usec"), io_stat(&text), throttled_io(&text));
        }
    }
}
