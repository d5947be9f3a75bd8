//! Answers of the price list, kept for the next call of the same model.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::NoPrice;
use super::list::HalfHour;
use super::rates::Rates;

/// Answers of one generation. Each takes some hundred bytes.
const MOST: usize = 1024;

/// The longest question whose answer is kept, in bytes of names. Only nonsense is longer.
const LONGEST: usize = 1024;

/// All that an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question<'a> {
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) asked: Option<&'a str>,
    pub(super) tier: Option<&'a str>,
    pub(super) half_hour: HalfHour,
}

impl Question<'_> {
    /// The same names in the same places give the same number in every process.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }

    fn bytes(&self) -> usize {
        let length = |name: Option<&str>| name.map_or(0, str::len);
        self.provider.len() + self.model.len() + length(self.asked) + length(self.tier)
    }
}

/// An answer with its question, because two questions may have one hash.
#[derive(Clone, Debug)]
struct Answer {
    provider: Box<str>,
    model: Box<str>,
    asked: Option<Box<str>>,
    tier: Option<Box<str>>,
    half_hour: HalfHour,
    rates: Result<Rates, NoPrice>,
}

impl Answer {
    fn is_to(&self, question: &Question<'_>) -> bool {
        let Self { provider, model, asked, tier, half_hour, rates: _ } = self;
        *question == Question { provider, model, asked: asked.as_deref(), tier: tier.as_deref(), half_hour: *half_hour }
    }
}

/// Answers by the hash of the question, in two generations: when the young one is full the old one is dropped, and
/// what is still asked for has moved to the young one by then.
#[derive(Debug, Default)]
pub(super) struct Kept {
    young: BTreeMap<u64, Answer>,
    old: BTreeMap<u64, Answer>,
    dropped: u64,
}

impl Kept {
    /// The answer to a question that was asked before.
    pub(super) fn find(&mut self, question: &Question<'_>) -> Option<Result<&Rates, NoPrice>> {
        let hash = question.hash();
        if self.young.get(&hash).is_none_or(|answer| !answer.is_to(question)) {
            let answer = self.old.remove(&hash)?;
            if !answer.is_to(question) {
                self.old.insert(hash, answer);
                return None;
            }
            self.insert(hash, answer);
        }
        self.young.get(&hash).map(|answer| answer.rates.as_ref().map_err(|why| *why))
    }

    pub(super) fn keep(&mut self, question: &Question<'_>, rates: Result<Rates, NoPrice>) {
        if question.bytes() > LONGEST {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let Question { provider, model, asked, tier, half_hour } = *question;
        let answer = Answer {
            provider: provider.into(),
            model: model.into(),
            asked: asked.map(Into::into),
            tier: tier.map(Into::into),
            half_hour,
            rates,
        };
        self.insert(question.hash(), answer);
    }

    /// Answers that were dropped for want of room.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn insert(&mut self, hash: u64, answer: Answer) {
        if self.young.len() >= MOST {
            self.dropped = self.dropped.saturating_add(self.old.len() as u64);
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, answer);
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::Timestamp;

    use super::*;

    fn question(model: &str) -> Question<'_> {
        let half_hour = HalfHour::of(Timestamp::default());
        Question { provider: "openai", model, asked: None, tier: None, half_hour }
    }

    #[test]
    fn what_is_asked_for_again_outlives_what_is_asked_once() {
        let mut kept = Kept::default();
        kept.keep(&question("asked often"), Err(NoPrice::UnknownModel));
        for number in 0..10 * MOST {
            kept.keep(&question(&number.to_string()), Err(NoPrice::UnknownModel));
            assert!(kept.find(&question("asked often")).is_some());
            assert!(kept.young.len() + kept.old.len() <= 2 * MOST);
        }
        assert!(kept.find(&question("0")).is_none());
        let gone = 10 * MOST + 1 - kept.young.len() - kept.old.len();
        assert_eq!(kept.dropped(), gone as u64);
    }

    #[test]
    fn answers_to_absurdly_long_names_are_not_kept() {
        let mut kept = Kept::default();
        let name = "x".repeat(LONGEST);
        kept.keep(&question(&name), Err(NoPrice::UnknownModel));
        assert!(kept.find(&question(&name)).is_none());
        assert_eq!(kept.dropped(), 1);
    }

    #[test]
    fn another_question_with_the_same_hash_gets_no_answer() {
        let mut kept = Kept::default();
        kept.keep(&question("one"), Err(NoPrice::UnknownModel));
        let answer = kept.young.remove(&question("one").hash()).unwrap();
        kept.old.insert(question("another").hash(), answer.clone());
        assert!(kept.find(&question("another")).is_none());
        kept.young.insert(question("another").hash(), answer);
        assert!(kept.find(&question("another")).is_none());
    }
}
