//! What holds of every call, sum and activity that is read, whoever told of it.

use wattline_core::reading::{ActivityKind, AgentActivity, Inference, TokenSum, TokenUsage};
use wattline_core::subject::InferenceKey;
use wattline_core::{Seconds, Text, Timestamp};

/// The most tokens that one count of a sender is believed to have.
const MOST_TOKENS: u64 = 1_000_000_000;
/// Characters of a label.
const LONGEST_LABEL: usize = 256;
/// A time further ahead than this is of a clock that is wrong, and is not believed.
const MOST_AHEAD: Seconds = Seconds::new(300.0);

/// A call is one that could have been.
pub(super) fn call(call: &Inference, now: Timestamp) {
    usage(&call.usage);
    key(&call.key);
    let labels =
        [&call.request_model, &call.finish_reason, &call.region, &call.server_address, &call.service_tier, &call.error];
    labels.into_iter().flatten().for_each(label);
    time("duration", call.duration);
    call.time_to_first_token.into_iter().for_each(|first| time("time to the first token", first));
    share(call.probability.get());
    assert!(call.start <= now.ahead(MOST_AHEAD), "a call begins at {:?}, long after {now:?}", call.start);
}

/// What an agent did is something that it could have done.
pub(super) fn activity(activity: &AgentActivity, now: Timestamp) {
    let AgentActivity { kind, service, agent, start, duration, error, probability, trace: _, span: _, parent: _ } =
        activity;
    if let ActivityKind::Tool(name) = kind {
        label(name);
    }
    label(service);
    agent.iter().chain(error).for_each(label);
    time("duration", *duration);
    share(probability.get());
    assert!(*start <= now.ahead(MOST_AHEAD), "an activity begins at {start:?}, long after {now:?}");
}

/// A sum of tokens is a number, and not of the future.
pub(super) fn sum(sum: &TokenSum, now: Timestamp) {
    key(&sum.key);
    assert!(sum.tokens.is_finite() && sum.tokens >= 0.0, "{} tokens", sum.tokens);
    assert!(sum.at <= now, "a sum is of {:?}, after {now:?}", sum.at);
}

/// Parts are within their wholes, and no count is above what is believed: input is up to three counts of a sender, what
/// was read from and written to caches being added, and output up to two.
fn usage(usage: &TokenUsage) {
    let TokenUsage { input, output, cache_read, cache_write, cache_write_1h, reasoning } = *usage;
    assert!(cache_read <= MOST_TOKENS && cache_write <= MOST_TOKENS && reasoning <= MOST_TOKENS, "{usage:?}");
    assert!(input <= 3 * MOST_TOKENS && output <= 2 * MOST_TOKENS, "{usage:?}");
    assert!(cache_read + cache_write <= input && cache_write_1h <= cache_write && reasoning <= output, "{usage:?}");
}

fn key(key: &InferenceKey) {
    let InferenceKey { model, provider, service, agent, operation } = key;
    [model, provider, service, operation].into_iter().chain(agent).for_each(label);
}

/// A label says something and is short.
fn label(label: &Text) {
    assert!(!label.trim().is_empty(), "an empty label");
    let length = label.chars().count();
    assert!(length <= LONGEST_LABEL, "a label of {length} characters");
}

fn time(what: &str, time: Seconds) {
    assert!(time.is_finite() && time >= Seconds::ZERO, "{what} {time:?}");
}

fn share(share: f64) {
    assert!(share > 0.0 && share <= 1.0, "a probability of {share}");
}
