use proptest::prelude::*;
use wattline_core::Text;
use wattline_core::reading::CallIdentity;
use wattline_core::subject::InferenceKey;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A call that an instrumentation tells of: `number` names all that is its own, `scope` who tells.
fn told(number: u64, scope: u64) -> Inference {
    let key = InferenceKey {
        model: "m".into(),
        provider: "openai".into(),
        service: "shop".into(),
        agent: None,
        operation: "chat".into(),
    };
    let usage = TokenUsage { input: 100, output: 10, ..TokenUsage::default() };
    let start = Timestamp::from_unix_nanos(number * 10 * SECOND);
    let mut call = Inference::new(key, start, Seconds::new(2.0), usage);
    call.identity = CallIdentity { scope, trace: 1, span: number * 100 + scope, ..CallIdentity::default() };
    call
}

fn decided(accounts: impl IntoIterator<Item = Inference>) -> Vec<Inference> {
    let mut twins = Twins::new();
    let mut calls = Vec::new();
    for account in accounts {
        calls.extend(twins.take(account, Instant::default()));
    }
    calls.extend(std::iter::from_fn(|| twins.release()));
    calls
}

/// The same call as another instrumentation wraps it: in another trace, a little longer.
fn wrapped(call: &Inference, scope: u64) -> Inference {
    let mut other = call.clone();
    other.start = call.start.back(Seconds::new(0.01));
    other.duration = Seconds::new(call.duration.get() + 0.02);
    other.identity = CallIdentity { scope, trace: 99, span: call.identity.span + 50, ..CallIdentity::default() };
    other
}

#[test]
fn two_instrumentations_of_one_call_in_two_traces_are_one() {
    let one = told(1, 1);
    assert_eq!(decided([one.clone(), wrapped(&one, 2)]).len(), 1);
    assert_eq!(decided([wrapped(&one, 2), one.clone()]).len(), 1);
    let mut failed = wrapped(&one, 2);
    failed.error = Some("timeout".into());
    let mut of_another = wrapped(&one, 2);
    of_another.key.service = "other".into();
    let apart = [
        failed,
        of_another,
        Inference { identity: CallIdentity { scope: 1, ..wrapped(&one, 2).identity }, ..wrapped(&one, 2) },
        Inference { usage: TokenUsage { output: 11, ..one.usage }, ..wrapped(&one, 2) },
        Inference { start: one.start.ahead(Seconds::new(1.0)), ..wrapped(&one, 2) },
    ];
    for other in apart {
        assert_eq!(decided([one.clone(), other.clone()]).len(), 2, "{other:?}");
    }
}

#[test]
fn ids_of_answers_join_and_part() {
    let with = |call: Inference, response| Inference { identity: CallIdentity { response, ..call.identity }, ..call };
    let one = told(1, 1);
    // Another service, another time, other counts: a log of the provider.
    let mut log = Inference { usage: TokenUsage { input: 7, ..one.usage }, ..told(5, 2) };
    log.key.service = Text::from("role");
    log.identity.told_by = ToldBy::Log;
    let joined = decided([with(log.clone(), 3), with(one.clone(), 3)]);
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].usage.input, 100, "a span stands before a log");
    assert_eq!(decided([with(log.clone(), 3), with(log.clone(), 3)]).len(), 1, "a log that is read twice");
    assert_eq!(decided([with(wrapped(&one, 2), 3), with(one.clone(), 4)]).len(), 2);
    assert_eq!(decided([with(told(1, 1), 3), with(told(2, 1), 3)]).len(), 2, "a server that knows one id only");
}

#[test]
fn a_span_around_another_repeats_it_in_whatever_order_they_come() {
    let inner = Inference { usage: TokenUsage { cache_read: 60, ..told(1, 1).usage }, ..told(1, 1) };
    let mut outer = wrapped(&told(1, 1), 1);
    outer.identity.trace = inner.identity.trace;
    outer.usage.input = 300;
    outer.key.agent = Some("planner".into());
    let inner = Inference { identity: CallIdentity { parent: outer.identity.span, ..inner.identity }, ..inner };
    for order in [[inner.clone(), outer.clone()], [outer, inner]] {
        let calls = decided(order);
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0].usage.input, calls[0].usage.cache_read), (100, 60), "the lowest is booked");
        assert_eq!(calls[0].key.agent, Some("planner".into()), "with what only the other knows");
    }
}

#[test]
fn a_twin_that_comes_after_the_decision_is_known() {
    let mut twins = Twins::new();
    let one = told(1, 1);
    let at = |seconds: u64| Instant::from_nanos(seconds * SECOND);
    assert!(twins.take(one.clone(), at(0)).is_none());
    assert!(twins.due(at(4)).is_none(), "it waits");
    assert!(twins.due(at(5)).is_some());
    assert!(twins.take(one.clone(), at(6)).is_none());
    assert!(twins.take(wrapped(&one, 2), at(7)).is_none());
    assert_eq!((twins.waiting(), twins.found()), (0, 2));
    assert!(twins.due(at(1_000)).is_none());
    assert_eq!(twins.calls.len(), 0, "and is forgotten");
    assert!(twins.index.links.is_empty(), "with all that it was found by");
    assert!(twins.take(one, at(1_001)).is_none());
    assert_eq!(twins.waiting(), 1);
}

#[test]
fn when_too_many_wait_the_oldest_is_decided_and_counted_and_nothing_grows() {
    let mut twins = Twins::new();
    let mut decided = 0;
    let calls = 3 * MOST_REMEMBERED as u64;
    for number in 0..calls {
        let mut call = told(number, 1);
        call.identity.response = number + 1;
        decided += u64::from(twins.take(call, Instant::default()).is_some());
    }
    assert_eq!(twins.waiting(), MOST_WAITING);
    assert_eq!(decided, calls - MOST_WAITING as u64);
    assert_eq!(twins.overflowed(), decided);
    assert!(twins.calls.len() <= MOST_REMEMBERED && twins.index.links.len() == twins.calls.len());
}

/// Of a trace with more calls than are looked through, each is known again by its span, and by the span around it.
#[test]
fn a_long_trace_that_comes_twice_is_known_to_its_beginning() {
    let mut twins = Twins::new();
    let call = |number: u64| {
        let mut call = told(number, 1);
        call.identity = CallIdentity { span: number, parent: number + 1, ..call.identity };
        call.usage.input += number;
        call
    };
    // One right below the other is one call: only every second is told.
    for number in (1..4_000).step_by(2) {
        assert!(twins.take(call(number), Instant::default()).is_none());
    }
    for number in (1..4_000).step_by(2) {
        assert!(twins.take(call(number), Instant::default()).is_none());
    }
    assert_eq!((twins.waiting(), twins.found()), (2_000, 2_000));
    assert!(twins.take(call(4_000 - 2_000), Instant::default()).is_none());
    assert_eq!((twins.waiting(), twins.found()), (2_000, 2_001), "it is around one that was told");
}

#[test]
fn what_was_forgotten_is_found_by_nothing() {
    let mut twins = Twins::new();
    let at = |seconds: u64| Instant::from_nanos(seconds * SECOND);
    for round in 0..3 {
        for number in 1..=MOST_REMEMBERED as u64 {
            let mut call = told(number, 1);
            call.identity = CallIdentity { span: number, response: number, ..call.identity };
            twins.take(call, at(round * 10_000));
        }
        while twins.due(at(round * 10_000 + 9_000)).is_some() {}
        assert_eq!((twins.calls.len(), twins.found()), (0, 0), "round {round}");
    }
}

proptest! {
    /// Calls that several instrumentations tell of are booked once each, with the tokens of each, in whatever order and
    /// company they come. Many are equal, and at the same time.
    #[test]
    fn each_call_is_decided_once(
        calls in prop::collection::vec((0u64..3, 1u64..4, 1usize..4), 1..40),
        // An account that bears an id may take the place of one that bears none, so that either all do or none does.
        have_ids in any::<bool>(),
        order in prop::collection::vec(any::<u32>(), 160),
    ) {
        let mut accounts = Vec::new();
        let mut tokens = 0;
        for (number, (time, output, tellers)) in calls.iter().enumerate() {
            let mut call = told(*time, 1);
            call.usage.output = *output;
            tokens += output;
            call.identity.span = 1_000 + number as u64;
            if have_ids {
                call.identity.response = 1 + number as u64;
            }
            let same_time = call.start;
            for teller in 0..*tellers as u64 {
                let mut account = call.clone();
                // All begin and end as the call does: whose twin is whose cannot be told, how many there are can.
                account.start = same_time;
                account.identity.scope = 1 + teller;
                account.identity.span = 1_000 * (teller + 1) + number as u64;
                account.identity.trace = u128::from(teller) + 1;
                accounts.push(account);
            }
        }
        let mut keyed: Vec<(u32, Inference)> = order.iter().copied().cycle().zip(accounts).collect();
        keyed.sort_by_key(|(key, _)| *key);
        let booked = decided(keyed.into_iter().map(|(_, account)| account));
        if have_ids {
            prop_assert_eq!(booked.len(), calls.len());
            prop_assert_eq!(booked.iter().map(|call| call.usage.output).sum::<u64>(), tokens);
        } else {
            // Of equal calls told by different numbers of tellers, each teller's own calls stay apart: as many remain as
            // the teller who told of most.
            let told_by = |teller: usize, class: (u64, u64)| {
                calls.iter().filter(|(time, output, tellers)| *tellers > teller && (*time, *output) == class).count()
            };
            let classes: std::collections::BTreeSet<_> = calls.iter().map(|call| (call.0, call.1)).collect();
            let expected: usize =
                classes.into_iter().map(|class| (0..3).map(|teller| told_by(teller, class)).max().unwrap_or(0)).sum();
            prop_assert_eq!(booked.len(), expected);
        }
    }

    #[test]
    fn calls_of_one_instrumentation_are_never_joined(calls in prop::collection::vec((0u64..3, 1u64..3), 0..60)) {
        let mut accounts = Vec::new();
        for (number, (time, output)) in calls.iter().enumerate() {
            let mut call = told(*time, 1);
            call.usage.output = *output;
            call.identity.span = 1 + number as u64;
            accounts.push(call);
        }
        prop_assert_eq!(decided(accounts.clone()).len(), calls.len());
        let twice = accounts.iter().chain(&accounts).cloned();
        prop_assert_eq!(decided(twice).len(), calls.len(), "a request that came twice");
    }
}
