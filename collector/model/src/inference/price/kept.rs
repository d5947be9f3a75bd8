//! Answers of the price list, kept for the next call of the same model.

use std::collections::BTreeMap;

use super::NoPrice;
use super::list::HalfHour;
use super::rates::Rates;

/// Answers of one generation. Each takes some hundred bytes.
const MOST: usize = 1024;

/// The longest question whose answer is kept, in bytes of names. Only nonsense is longer.
const LONGEST: usize = 1024;

/// All that an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) asked: Option<&'a str>,
    pub(super) tier: Option<&'a str>,
    pub(super) half_hour: HalfHour,
}

impl Question<'_> {
    /// The same question has the same number in every process. Two questions with one number cost each other the
    /// answer and nothing else, so the number need not withstand those who look for such.
    fn number(&self) -> u64 {
        let Self { provider, model, asked, tier, half_hour } = *self;
        let number = mix(half_hour.number(), asked.is_some().into());
        [provider, model, asked.unwrap_or(""), tier.unwrap_or("")].into_iter().fold(number, with_text)
    }

    fn bytes(&self) -> usize {
        let length = |name: Option<&str>| name.map_or(0, str::len);
        self.provider.len() + self.model.len() + length(self.asked) + length(self.tier)
    }
}

/// Spreads what two numbers tell over the bits of one.
fn mix(one: u64, other: u64) -> u64 {
    /// The golden ratio's bits, which have no pattern.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(one ^ SPREAD) * u128::from(other.rotate_left(32) ^ SPREAD);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// The number so far with a text, eight bytes at a time.
fn with_text(number: u64, text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let number = words.iter().fold(number, |number, word| mix(number ^ u64::from_le_bytes(*word), text.len() as u64));
    let rest = rest.iter().fold(text.len() as u64, |rest, byte| rest << 8 | u64::from(*byte));
    mix(number, rest)
}

/// An answer with its question, because two questions may have one number.
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

/// Answers by the number of the question, in two generations: when the young one is full the old one is dropped, and
/// what is still asked for has moved to the young one by then.
#[derive(Debug, Default)]
pub(super) struct Kept {
    young: BTreeMap<u64, Answer>,
    old: BTreeMap<u64, Answer>,
    dropped: u64,
}

impl Kept {
    /// The rates, if the question was asked before.
    pub(super) fn rates(&mut self, question: &Question<'_>) -> Option<&Result<Rates, NoPrice>> {
        let number = question.number();
        if !self.young.get(&number).is_some_and(|answer| answer.is_to(question)) {
            if !self.old.get(&number)?.is_to(question) {
                return None;
            }
            let answer = self.old.remove(&number)?;
            self.insert(number, answer);
        }
        self.young.get(&number).map(|answer| &answer.rates)
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
        self.insert(question.number(), answer);
    }

    /// Answers that were dropped for want of room.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn insert(&mut self, number: u64, answer: Answer) {
        if self.young.len() >= MOST {
            self.dropped = self.dropped.saturating_add(self.old.len() as u64);
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(number, answer);
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

    fn is_kept(kept: &mut Kept, model: &str) -> bool {
        kept.rates(&question(model)).is_some()
    }

    #[test]
    fn questions_that_differ_have_numbers_that_differ() {
        let mut numbers = std::collections::BTreeSet::new();
        let base = question("gpt-4o");
        let mut asked = vec![
            base,
            Question { asked: Some(""), ..base },
            Question { asked: Some("gpt-4o"), ..base },
            Question { tier: Some("gpt-4o"), ..base },
            Question { provider: "gpt-4o", model: "openai", ..base },
            Question { half_hour: HalfHour::of(Timestamp::from_unix_nanos(u64::MAX)), ..base },
        ];
        let names: Vec<String> = (0..10_000).map(|number| format!("a-model-of-some-length-{number}")).collect();
        asked.extend(names.iter().map(|name| question(name)));
        for question in &asked {
            assert!(numbers.insert(question.number()), "{question:?}");
        }
    }

    #[test]
    fn what_is_asked_for_again_outlives_what_is_asked_once() {
        let mut kept = Kept::default();
        kept.keep(&question("asked often"), Err(NoPrice::UnknownModel));
        for number in 0..10 * MOST {
            kept.keep(&question(&number.to_string()), Err(NoPrice::UnknownModel));
            assert!(is_kept(&mut kept, "asked often"));
            assert!(kept.young.len() + kept.old.len() <= 2 * MOST);
        }
        assert!(!is_kept(&mut kept, "0"));
        let gone = 10 * MOST + 1 - kept.young.len() - kept.old.len();
        assert_eq!(kept.dropped(), gone as u64);
    }

    #[test]
    fn answers_to_absurdly_long_names_are_not_kept() {
        let mut kept = Kept::default();
        let name = "x".repeat(LONGEST);
        kept.keep(&question(&name), Err(NoPrice::UnknownModel));
        assert!(!is_kept(&mut kept, &name));
        assert_eq!(kept.dropped(), 1);
    }

    #[test]
    fn another_question_with_the_same_number_gets_no_answer() {
        let mut kept = Kept::default();
        kept.keep(&question("one"), Err(NoPrice::UnknownModel));
        let answer = kept.young.remove(&question("one").number()).unwrap();
        kept.old.insert(question("another").number(), answer.clone());
        assert!(!is_kept(&mut kept, "another"));
        kept.young.insert(question("another").number(), answer);
        assert!(!is_kept(&mut kept, "another"));
    }
}
