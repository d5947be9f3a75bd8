//! Words that most calls of a request share.

use std::sync::Arc;

use wattline_core::Text;

use super::attributes::Name;

/// Characters of a word that are kept: a name is shorter, and whatever is longer is none.
const LONGEST: usize = 256;

/// The last word of each meaning. The calls of one request mostly name the same model, provider and service, so one
/// allocation serves them all, also while they wait in the queue.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    last: [Option<(&'a str, Text)>; Name::COUNT],
}

impl<'a> Words<'a> {
    /// The word, cut to its first 256 characters.
    pub(super) fn shared(&mut self, name: Name, word: Option<&'a str>) -> Option<Text> {
        let word = word.and_then(said)?;
        let slot = self.last.get_mut(name as usize)?;
        match slot {
            Some((last, text)) if *last == word => Some(text.clone()),
            _ => {
                let text = Text::Shared(Arc::from(cut(word)));
                *slot = Some((word, text.clone()));
                Some(text)
            }
        }
    }
}

/// The word of a series of its own, cut likewise.
pub(super) fn alone(word: Option<&str>) -> Option<Text> {
    word.and_then(said).map(|word| Text::from(cut(word).to_owned()))
}

/// The word, where it is one.
fn said(word: &str) -> Option<&str> {
    Some(word.trim()).filter(|word| !word.is_empty())
}

fn cut(word: &str) -> &str {
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => word.get(..end).unwrap_or(word),
        None => word,
    }
}
