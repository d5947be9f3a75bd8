//! Kinds of calls that were seen before.
//!
//! The calls of an application name few models, services and ends. What is made of the texts of a span is kept, so that
//! the next call that says the same costs a look, and shares it: also with whoever books it.

use std::sync::Arc;

use wattline_core::Text;
use wattline_core::reading::CallKind;

/// The texts that decide a kind.
pub(super) const TEXTS: usize = 12;
/// Kinds that are kept, a power of two.
const PLACES: usize = 1024;
/// The longest texts, together, whose kind is kept. Only nonsense is longer.
const LONGEST: usize = 1024;

/// What a span says of the kind of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) operation: &'a str,
    /// In an order of the caller's; empty where it says nothing.
    pub(super) texts: [&'a str; TEXTS],
}

/// Kinds by what spans said.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    places: Vec<Option<Place>>,
    /// Kinds with the agent that another span names.
    under: Vec<Option<Under>>,
}

#[derive(Debug)]
struct Place {
    number: u64,
    said: Box<str>,
    lengths: [u16; TEXTS],
    kind: Arc<CallKind>,
}

#[derive(Debug)]
struct Under {
    of: Arc<CallKind>,
    kind: Arc<CallKind>,
}

impl Kinds {
    /// The kind that was made of the same texts, or what `make` makes of them now.
    pub(super) fn find(&mut self, said: &Said<'_>, make: impl FnOnce() -> CallKind) -> Arc<CallKind> {
        let number = said.number();
        if let Some(known) = self.places.get(place(number)).and_then(Option::as_ref).filter(|of| of.is_of(number, said))
        {
            return Arc::clone(&known.kind);
        }
        let kind = Arc::new(make());
        if let Some(new) = Place::new(number, said, &kind) {
            if self.places.is_empty() {
                self.places.resize_with(PLACES, || None);
            }
            if let Some(place) = self.places.get_mut(place(number)) {
                *place = Some(new);
            }
        }
        kind
    }

    /// The same kind, of a call that an agent made.
    pub(super) fn under(&mut self, kind: &Arc<CallKind>, agent: &Text) -> Arc<CallKind> {
        let place = place(mix(Arc::as_ptr(kind).addr() as u64, number_of(0, agent)));
        let is_it = |under: &&Under| Arc::ptr_eq(&under.of, kind) && under.kind.key.agent.as_ref() == Some(agent);
        if let Some(under) = self.under.get(place).and_then(Option::as_ref).filter(is_it) {
            return Arc::clone(&under.kind);
        }
        let mut new = CallKind::clone(kind);
        new.key.agent = Some(agent.clone());
        let new = Arc::new(new);
        if self.under.is_empty() {
            self.under.resize_with(PLACES, || None);
        }
        if let Some(place) = self.under.get_mut(place) {
            *place = Some(Under { of: Arc::clone(kind), kind: Arc::clone(&new) });
        }
        new
    }
}

impl Said<'_> {
    /// The same texts have the same number. Others that have it too take the place of one another, and no more.
    fn number(&self) -> u64 {
        self.texts.iter().fold(number_of(0, self.operation), |number, text| number_of(number, text))
    }
}

impl Place {
    fn new(number: u64, said: &Said<'_>, kind: &Arc<CallKind>) -> Option<Self> {
        let all = said.operation.to_owned() + &said.texts.concat();
        if all.len() > LONGEST {
            return None;
        }
        let lengths = said.texts.map(|text| u16::try_from(text.len()).unwrap_or(u16::MAX));
        Some(Self { number, said: all.into(), lengths, kind: Arc::clone(kind) })
    }

    fn is_of(&self, number: u64, said: &Said<'_>) -> bool {
        if self.number != number {
            return false;
        }
        let Some(mut rest) = self.said.strip_prefix(said.operation) else { return false };
        let mut is_next = |(&length, text): (&u16, &&str)| {
            if length == 0 {
                return text.is_empty();
            }
            let Some((own, behind)) = rest.split_at_checked(usize::from(length)) else { return false };
            rest = behind;
            own == *text
        };
        self.lengths.iter().zip(&said.texts).all(&mut is_next) && rest.is_empty()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only so many bits are asked for")]
const fn place(number: u64) -> usize {
    number as usize % PLACES
}

/// The number so far with a text, eight bytes at a time.
#[inline]
fn number_of(number: u64, text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let number = words.iter().fold(number, |number, word| mix(number, u64::from_le_bytes(*word)));
    let rest = rest.iter().fold(text.len() as u64, |rest, byte| rest << 8 | u64::from(*byte));
    mix(number, rest)
}

/// Spreads what two numbers tell over the bits of one.
#[inline]
const fn mix(one: u64, other: u64) -> u64 {
    /// The golden ratio's bits, which have no pattern.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = (one ^ other ^ SPREAD) as u128 * (one.rotate_left(32) ^ SPREAD.rotate_left(17)) as u128;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high ^ other.wrapping_mul(SPREAD)
}

#[cfg(test)]
mod tests {
    use wattline_core::subject::InferenceKey;

    use super::*;

    fn kind(model: &str) -> CallKind {
        CallKind::new(InferenceKey {
            model: Text::from(model.to_owned()),
            provider: "p".into(),
            service: "s".into(),
            agent: None,
            operation: "chat".into(),
        })
    }

    fn said<'a>(one: &'a str, other: &'a str) -> Said<'a> {
        let mut texts = [""; TEXTS];
        (texts[0], texts[1]) = (one, other);
        Said { operation: "chat", texts }
    }

    #[test]
    fn the_same_texts_give_the_same_kind_and_others_another() {
        let mut kinds = Kinds::default();
        let one = kinds.find(&said("gpt-4o", "x"), || kind("gpt-4o"));
        assert!(Arc::ptr_eq(&one, &kinds.find(&said("gpt-4o", "x"), || panic!("it is known"))));
        for (number, other) in [said("gpt-4", "ox"), said("", "gpt-4ox"), said("gpt-4o", "y")].iter().enumerate() {
            let found = kinds.find(other, || kind(&number.to_string()));
            assert_eq!(found.key.model, Text::from(number.to_string()), "{other:?}");
        }
    }

    #[test]
    fn a_stranger_who_names_many_makes_nothing_grow() {
        let mut kinds = Kinds::default();
        for number in 0..10 * PLACES {
            let name = number.to_string();
            let found = kinds.find(&said(&name, ""), || kind(&name));
            assert_eq!(*found.key.model, *name);
        }
        assert_eq!(kinds.places.len(), PLACES);
        let long = "x".repeat(LONGEST + 1);
        let one = kinds.find(&said(&long, ""), || kind(&long));
        assert!(!Arc::ptr_eq(&one, &kinds.find(&said(&long, ""), || kind(&long))));
    }

    #[test]
    fn agents_above_a_call_share_a_kind_too() {
        let mut kinds = Kinds::default();
        let one = kinds.find(&said("m", ""), || kind("m"));
        let planner = kinds.under(&one, &"planner".into());
        assert_eq!(planner.key.agent, Some("planner".into()));
        assert!(Arc::ptr_eq(&planner, &kinds.under(&one, &"planner".into())));
        assert_eq!(kinds.under(&one, &"critic".into()).key.agent, Some("critic".into()));
        assert_eq!(one.key.agent, None);
    }
}
