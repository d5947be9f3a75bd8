//! Calls that only an account's own metrics tell of.
//!
//! The metrics of Amazon Bedrock count every call of an account, whoever made it. Calls of which a span, a log record or an
//! application's metric tells are booked by that; what the account's metrics count beyond them is booked as nobody's.
//! For each model and each span of time,
//!
//! ```text
//! unseen = counted by the account - told of by others
//! ```
//!
//! A call at the end of one span may stand in the next one of the other source. So what one span has too much is set
//! against what its neighbours lack, and a span is booked when the one behind it is known. The rule is kept for each kind
//! of token by itself. What is booked is never revised.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use wattline_core::reading::{AccountModel, AccountUsage, Inference, TokenUsage};
use wattline_core::{Text, Timestamp};

use super::books::{MILLION, stands_for};
use super::sums::More;
use super::{model_name, provider};

/// The provider of which accounts have metrics.
const BEDROCK: &str = "aws.bedrock";
/// Models that are followed.
const MOST_MODELS: usize = 512;
/// Minutes of calls that are remembered of one model: a day and a half.
const MOST_MINUTES: usize = 2_160;
const MINUTE_NS: u64 = 60_000_000_000;

/// What accounts' metrics and others have told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AccountSums {
    models: BTreeMap<String, Model>,
    /// What was told up to here is on the books.
    told_until: Timestamp,
    #[serde(skip)]
    left_out: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Model {
    /// The account's name of it.
    name: Text,
    /// What others told of, by the minute in which the calls ended, the oldest first.
    seen: VecDeque<(u64, Counts)>,
    /// The last span, which waits for the one behind it.
    last: Option<Difference>,
}

/// Counts of which none is part of another: calls, new input, read from caches, written to them, output.
type Counts = [u64; 5];
/// What the account counts beyond what others told of; negative where these told of more.
type Difference = [i128; 5];

impl AccountSums {
    /// The end of the last span that was taken; zero before the first.
    pub const fn told_until(&self) -> Timestamp {
        self.told_until
    }

    /// Calls and spans of models that are not followed, because there are too many.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Notes a call that is booked by what else tells of it.
    pub fn note(&mut self, call: &Inference) {
        // The account counts no tokens of what failed before any came back.
        if call.error.is_some() && call.usage.output == 0 {
            return;
        }
        let model = call.request_model.as_ref().unwrap_or(&call.key.model);
        let end = call.start.ahead(call.duration);
        let times = stands_for(call.probability);
        let of = |count: u64| {
            let millionths = u128::from(count) * u128::from(times);
            u64::try_from(millionths / u128::from(MILLION)).unwrap_or(u64::MAX)
        };
        let usage = call.usage.map(of);
        self.note_sum(&call.key.provider, model, end, &More { usage, calls: of(1) });
    }

    /// Notes calls that ended at `end` and are booked by what else tells of them.
    pub fn note_sum(&mut self, provider: &str, model: &Text, end: Timestamp, more: &More) {
        let minute = end.unix_nanos() / MINUTE_NS;
        if provider::canonical(provider) != BEDROCK || minute < self.told_until.unix_nanos() / MINUTE_NS {
            return;
        }
        let Some(model) = self.model(model) else { return };
        let place = model.seen.partition_point(|(at, _)| *at < minute);
        match model.seen.get_mut(place) {
            Some((at, seen)) if *at == minute => add(seen, counts(more)),
            _ => model.seen.insert(place, (minute, counts(more))),
        }
        if model.seen.len() > MOST_MINUTES {
            model.seen.pop_front();
        }
    }

    /// What a span of an account's metrics shows that nobody else told of, by the account's names of models. It is of the
    /// span before, whose neighbours are both known now.
    pub fn take(&mut self, told: &AccountUsage) -> Vec<(Text, More)> {
        let [from, until] = [told.from, told.until].map(|at| at.unix_nanos() / MINUTE_NS);
        if told.until <= self.told_until {
            return Vec::new();
        }
        self.told_until = told.until;
        let mut counted: BTreeMap<String, Counts> = BTreeMap::new();
        for AccountModel { name, calls, usage } in &told.models {
            if let Some(model) = self.model(name) {
                model.name = name.clone();
                let more = More { usage: *usage, calls: *calls };
                add(counted.entry(model_name::normal(name)).or_default(), counts(&more));
            }
        }
        let mut unseen = Vec::new();
        for (key, model) in &mut self.models {
            let mut here = counted.get(key).copied().unwrap_or_default().map(i128::from);
            while let Some((minute, seen)) = model.seen.pop_front_if(|(minute, _)| *minute < until) {
                if minute >= from {
                    here.iter_mut().zip(seen).for_each(|(here, seen)| *here -= i128::from(seen));
                }
            }
            if let Some(more) = model.last.take().and_then(|mut last| settled(&mut last, &mut here)) {
                unseen.push((model.name.clone(), more));
            }
            model.last = Some(here);
        }
        self.models.retain(|_, model| !model.seen.is_empty() || model.last != Some(Difference::default()));
        unseen
    }

    fn model(&mut self, name: &Text) -> Option<&mut Model> {
        let key = model_name::normal(name);
        if self.models.len() >= MOST_MODELS && !self.models.contains_key(&key) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        Some(self.models.entry(key).or_insert_with(|| Model { name: name.clone(), seen: VecDeque::new(), last: None }))
    }
}

/// Sets what one of two neighbouring spans has too much against what the other lacks, and gives what is left of the first.
fn settled(first: &mut Difference, second: &mut Difference) -> Option<More> {
    for (first, second) in first.iter_mut().zip(second) {
        if first.signum() * second.signum() < 0 {
            let common = first.abs().min(second.abs());
            *first -= common * first.signum();
            *second -= common * second.signum();
        }
    }
    let [calls, new, cache_read, cache_write, output] = first.map(|count| u64::try_from(count.max(0)).unwrap_or(0));
    let input = new.saturating_add(cache_read).saturating_add(cache_write);
    let usage = TokenUsage { input, output, cache_read, cache_write, ..TokenUsage::default() };
    (calls > 0 || input > 0 || output > 0).then_some(More { usage, calls })
}

fn counts(more: &More) -> Counts {
    let TokenUsage { input, output, cache_read, cache_write, .. } = more.usage;
    [more.calls, input.saturating_sub(cache_read).saturating_sub(cache_write), cache_read, cache_write, output]
}

fn add(own: &mut Counts, more: Counts) {
    own.iter_mut().zip(more).for_each(|(own, more)| *own = own.saturating_add(more));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattline_core::Seconds;
    use wattline_core::subject::InferenceKey;

    use super::*;

    const MODEL: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_unix_nanos(minute * MINUTE_NS)
    }

    fn usage(input: u64, output: u64) -> TokenUsage {
        TokenUsage { input, output, ..TokenUsage::default() }
    }

    fn call(provider: &'static str, end: Timestamp, usage: TokenUsage) -> Inference {
        let key = InferenceKey {
            model: "anthropic.claude-sonnet-4-5-20250929-v1:0".into(),
            provider: provider.into(),
            service: "shop".into(),
            agent: None,
            operation: "chat".into(),
        };
        Inference::new(key, end.back(Seconds::new(30.0)), Seconds::new(30.0), usage)
    }

    fn span(from: u64, calls: u64, usage: TokenUsage) -> AccountUsage {
        let models = vec![AccountModel { name: MODEL.into(), calls, usage }];
        AccountUsage { from: at(from), until: at(from + 5), models }
    }

    /// The calls and tokens of what was not seen.
    fn unseen(sums: &mut AccountSums, told: &AccountUsage) -> (u64, u64, u64) {
        let found = sums.take(told);
        found.iter().fold((0, 0, 0), |(calls, input, output), (_, more)| {
            (calls + more.calls, input + more.usage.input, output + more.usage.output)
        })
    }

    #[test]
    fn what_others_told_of_is_not_booked_again_and_the_rest_is() {
        let mut sums = AccountSums::default();
        sums.note(&call("aws_bedrock", at(101), usage(1000, 50)));
        sums.note(&call("openai", at(101), usage(7, 7)));
        assert_eq!(unseen(&mut sums, &span(100, 3, usage(1600, 90))), (0, 0, 0), "the next span is not known yet");
        assert_eq!(unseen(&mut sums, &span(105, 0, usage(0, 0))), (2, 600, 40));
        assert_eq!(unseen(&mut sums, &span(105, 9, usage(9, 9))), (0, 0, 0), "told before");
        assert_eq!(unseen(&mut sums, &span(110, 0, usage(0, 0))), (0, 0, 0));
    }

    #[test]
    fn a_call_that_stands_in_the_next_span_of_the_other_source_is_one() {
        for (seen_in, counted_in) in [(104, 105), (106, 100)] {
            let mut sums = AccountSums::default();
            sums.note(&call("aws.bedrock", at(seen_in), usage(1000, 50)));
            for from in [100, 105, 110, 115] {
                let told = if from == counted_in { span(from, 1, usage(1000, 50)) } else { span(from, 0, usage(0, 0)) };
                assert_eq!(unseen(&mut sums, &told), (0, 0, 0), "{seen_in} {counted_in}");
            }
        }
    }

    #[test]
    fn cached_tokens_are_part_of_the_input_once() {
        let mut sums = AccountSums::default();
        let cached = TokenUsage { input: 900, output: 5, cache_read: 600, cache_write: 200, ..TokenUsage::default() };
        sums.note(&call("aws.bedrock", at(101), TokenUsage { input: 400, cache_read: 400, ..usage(0, 5) }));
        sums.take(&span(100, 1, cached));
        let found = sums.take(&span(105, 0, usage(0, 0)));
        let [(name, more)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(name.as_str(), MODEL);
        let left = more.usage;
        assert_eq!((left.input, left.cache_read, left.cache_write, left.output), (500, 200, 200, 0));
    }

    #[test]
    fn models_that_are_at_rest_are_forgotten_and_too_many_are_counted() {
        let mut sums = AccountSums::default();
        for number in 0..MOST_MODELS + 3 {
            let name = Text::from(format!("model-{number}-of-many"));
            sums.note_sum(BEDROCK, &name, at(101), &More { usage: usage(1, 1), calls: 1 });
        }
        assert_eq!((sums.models.len(), sums.left_out()), (MOST_MODELS, 3));
        for from in [100, 105, 110] {
            sums.take(&span(from, 0, usage(0, 0)));
        }
        assert!(sums.models.is_empty(), "{:?}", sums.models);
    }

    proptest! {
        /// Whatever part of the calls others told of, and however the two sources put them into neighbouring spans, never
        /// is more booked than the account counts, and nothing where all calls were told of.
        #[test]
        fn both_sources_together_never_exceed_the_account(
            calls in prop::collection::vec((0u64..20, any::<bool>(), any::<bool>(), 1u64..1000), 0..60),
        ) {
            let mut sums = AccountSums::default();
            let (mut told, mut all, mut others) = ([0u64; 23], 0, 0);
            for (slot, is_seen, is_late, tokens) in calls {
                all += tokens;
                told[usize::try_from(slot).unwrap() + usize::from(is_late)] += tokens;
                if is_seen {
                    others += tokens;
                    sums.note(&call("aws.bedrock", at(100 + slot * 5), usage(tokens, 0)));
                }
            }
            let mut booked = 0;
            for (slot, tokens) in told.into_iter().enumerate() {
                booked += unseen(&mut sums, &span(100 + slot as u64 * 5, 0, usage(tokens, 0))).1;
            }
            prop_assert!((all - others..=all).contains(&booked), "{booked} of {} of {all}", all - others);
            if others == all {
                prop_assert_eq!(booked, 0);
            }
            if others == 0 {
                prop_assert_eq!(booked, all);
            }
        }
    }
}
