//! Names that users choose, made fit for a terminal, a log and a label.

use std::fmt::Write;

/// The most characters that are kept. Names of files have 255 bytes at most, paths to them a few times that.
const LIMIT: usize = 1_024;

/// The text with everything that does not show or that moves what shows replaced by its escape: control characters,
/// line separators, and marks that change the direction of writing. Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn printable(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown = String::with_capacity(text.len());
    for character in text.chars().take(LIMIT) {
        if is_hidden(character) {
            // Writing to a string does not fail.
            let _infallible = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_show_what_they_hold() {
        assert_eq!(printable(b"python3 (worker)"), "python3 (worker)");
        assert_eq!(printable(b"a\nroot\t1\x1b[2J"), "a\\nroot\\t1\\u{1b}[2J");
        assert_eq!(printable("x\u{202e}gpj.exe".as_bytes()), "x\\u{202e}gpj.exe");
        assert_eq!(printable(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(printable("日本語".as_bytes()), "日本語");
    }

    proptest! {
        #[test]
        fn no_bytes_leave_a_control_character(name in prop::collection::vec(any::<u8>(), 0..1_500)) {
            let shown = printable(&name);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert!(shown.chars().count() <= LIMIT * 10);
        }
    }
}
