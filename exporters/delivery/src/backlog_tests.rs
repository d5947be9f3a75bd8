//! The rules of the backlog, one by one and all together.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::*;

const LIMITS: Limits = Limits {
    bytes: 10_000,
    age: Seconds::new(100.0),
    snapshots: 3,
    request_bytes: 2_000,
    request_points: 1_000,
    request_spans: 1_000,
    request_records: 1_000,
};

fn second(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn spans(count: usize) -> Bytes {
    let spans = vec![Span { name: "x".repeat(90), ..Default::default() }; count];
    let scopes = vec![ScopeSpans { spans, ..Default::default() }];
    let resource = ResourceSpans { scope_spans: scopes, ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec().into()
}

fn opaque(signal: Signal, bytes: usize, items: u64, at: u64) -> Pending {
    Pending { signal, body: vec![0; bytes].into(), items, at: second(at), snapshot: None }
}

fn snapshot(number: u64, at: u64) -> Pending {
    Pending { snapshot: Some(SnapshotNumber(number)), ..opaque(Signal::Metrics, 100, 10, at) }
}

fn lost(signal: Signal, items: u64, reason: DropReason) -> Lost {
    Lost { signal, items, reason }
}

#[test]
fn a_full_backlog_drops_the_oldest_of_all_signals() {
    let mut backlog = Backlog::new(Limits { bytes: 3_000, ..LIMITS });
    assert_eq!(backlog.push(opaque(Signal::Logs, 1_000, 5, 1), second(1)), []);
    assert_eq!(backlog.push(opaque(Signal::Traces, 1_000, 7, 2), second(2)), []);
    let losses = backlog.push(opaque(Signal::Traces, 1_000, 9, 3), second(3));
    assert_eq!(losses, [lost(Signal::Logs, 5, DropReason::QueueFull)]);
    assert_eq!(backlog.take(Signal::Traces, second(3)).0.map(|pending| pending.items), Some(7));
}

#[test]
fn what_is_in_flight_takes_room_but_is_not_dropped() {
    let mut backlog = Backlog::new(Limits { bytes: 2_500, ..LIMITS });
    assert_eq!(backlog.push(opaque(Signal::Traces, 1_000, 1, 1), second(1)), []);
    let (flying, _) = backlog.take(Signal::Traces, second(1));
    assert_eq!(backlog.push(opaque(Signal::Traces, 1_000, 2, 2), second(2)), []);
    assert_eq!(
        backlog.push(opaque(Signal::Traces, 1_000, 4, 3), second(3)),
        [lost(Signal::Traces, 2, DropReason::QueueFull)]
    );
    assert_eq!(backlog.put_back(flying.unwrap()), []);
    assert_eq!((backlog.tally().waiting, backlog.tally().in_flight), (5, 0));
}

#[test]
fn an_old_snapshot_is_superseded_and_relayed_metrics_are_not() {
    let mut backlog = Backlog::new(LIMITS);
    assert_eq!(backlog.push(snapshot(1, 1), second(1)), []);
    assert_eq!(backlog.push(opaque(Signal::Metrics, 100, 3, 1), second(1)), []);
    assert_eq!(backlog.push(snapshot(1, 1), second(1)), []);
    for number in 2..=3 {
        assert_eq!(backlog.push(snapshot(number, number), second(number)), []);
    }
    let superseded = lost(Signal::Metrics, 10, DropReason::Superseded);
    assert_eq!(backlog.push(snapshot(4, 4), second(4)), [superseded, superseded]);
    assert_eq!(backlog.take(Signal::Metrics, second(4)).0.map(|pending| pending.items), Some(3));
}

#[test]
fn a_snapshot_that_makes_room_is_superseded_only_while_a_newer_one_waits() {
    let mut backlog = Backlog::new(Limits { bytes: 500, ..LIMITS });
    assert_eq!(backlog.push(snapshot(1, 1), second(1)), []);
    assert_eq!(backlog.push(snapshot(2, 2), second(2)), []);
    let crowding = backlog.push(opaque(Signal::Logs, 300, 1, 3), second(3));
    assert_eq!(
        crowding,
        [lost(Signal::Metrics, 10, DropReason::Superseded), lost(Signal::Metrics, 10, DropReason::QueueFull)]
    );
}

#[test]
fn what_waited_too_long_is_expired() {
    let mut backlog = Backlog::new(LIMITS);
    assert_eq!(backlog.push(opaque(Signal::Logs, 10, 4, 1), second(1)), []);
    assert_eq!(backlog.push(opaque(Signal::Logs, 10, 5, 50), second(50)), []);
    let (taken, losses) = backlog.take(Signal::Logs, second(102));
    assert_eq!(losses, [lost(Signal::Logs, 4, DropReason::Expired)]);
    assert_eq!(taken.map(|pending| pending.items), Some(5));
}

#[test]
fn a_large_request_is_cut_on_its_way_in_and_keeps_its_order() {
    let mut backlog = Backlog::new(LIMITS);
    let whole = Pending { body: spans(60), ..opaque(Signal::Traces, 0, 60, 1) };
    assert!(whole.body.len() > 2 * LIMITS.request_bytes);
    assert_eq!(backlog.push(whole, second(1)), []);
    let mut items = 0;
    while let (Some(part), _) = backlog.take(Signal::Traces, second(1)) {
        assert!(part.body.len() <= LIMITS.request_bytes);
        items += part.items;
        assert_eq!(backlog.delivered(part, 0), None);
    }
    assert_eq!((items, backlog.tally().delivered), (60, 60));
    assert_eq!(backlog.bytes(), 0);
}

#[test]
fn what_the_destination_finds_too_large_is_cut_until_it_is_small_and_then_lost() {
    let mut backlog = Backlog::new(Limits { bytes: 1 << 20, request_bytes: 1 << 20, ..LIMITS });
    let whole = Pending { body: spans(400), ..opaque(Signal::Traces, 0, 400, 1) };
    assert!((2 * SMALLEST_CUT..4 * SMALLEST_CUT).contains(&whole.body.len()));
    assert_eq!(backlog.push(whole, second(1)), []);
    let mut attempts = 0;
    let mut losses = Vec::new();
    while let (Some(part), _) = backlog.take(Signal::Traces, second(1)) {
        attempts += 1;
        losses.extend(backlog.too_large(part));
    }
    assert_eq!(losses, [lost(Signal::Traces, 100, DropReason::TooLarge); 4]);
    assert_eq!(attempts, 7, "the whole, two halves, four quarters");
    assert_eq!(backlog.bytes(), 0);
}

#[test]
fn a_half_without_items_is_not_sent() {
    let mut request = ExportTraceServiceRequest::decode(spans(1)).unwrap();
    let empty = ScopeSpans { schema_url: "x".repeat(1_500), ..Default::default() };
    request.resource_spans.insert(0, ResourceSpans { scope_spans: vec![empty], ..Default::default() });
    request.resource_spans[1].schema_url = "x".repeat(1_500);
    let mut backlog = Backlog::new(LIMITS);
    let whole = Pending { body: request.encode_to_vec().into(), ..opaque(Signal::Traces, 0, 1, 1) };
    assert_eq!(backlog.push(whole, second(1)), []);
    assert_eq!(backlog.requests(), 1);
    assert_eq!(backlog.tally().waiting, 1);
}

#[test]
fn a_resource_that_is_itself_too_large_does_not_cost_a_copy_for_each_span() {
    let mut request = ExportTraceServiceRequest::decode(spans(5_000)).unwrap();
    request.resource_spans[0].schema_url = "x".repeat(1_000_000);
    let mut backlog = Backlog::new(LIMITS);
    let whole = Pending { body: request.encode_to_vec().into(), ..opaque(Signal::Traces, 0, 5_000, 1) };
    let losses = backlog.push(whole, second(1));
    assert!(losses.len() <= 2 * COPIES_MAX, "{} parts were made", losses.len());
    assert_eq!(losses.iter().map(|loss| loss.items).sum::<u64>(), 5_000);
}

#[derive(Clone, Debug)]
enum Step {
    Push(Signal, usize, u64, bool),
    PushSpans(usize, u64),
    Take(Signal),
    PutBack,
    Delivered(u64),
    Refused,
    TooLarge,
    Wait(u64),
    Clear,
}

fn steps() -> impl Strategy<Value = Step> {
    let signal = prop::sample::select(SIGNALS.to_vec());
    prop_oneof![
        4 => (signal.clone(), 0_usize..3_000, 0_u64..2_000, any::<bool>())
            .prop_map(|(signal, bytes, items, own)| Step::Push(signal, bytes, items, own)),
        2 => (0_usize..60, 0_u64..80).prop_map(|(spans, items)| Step::PushSpans(spans, items)),
        4 => signal.prop_map(Step::Take),
        1 => Just(Step::PutBack),
        2 => (0_u64..3_000).prop_map(Step::Delivered),
        1 => Just(Step::Refused),
        1 => Just(Step::TooLarge),
        1 => (0_u64..90).prop_map(Step::Wait),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// The promise: what came in was delivered, was dropped for a reason, waits or is in flight. And what is reported
    /// as lost is what the tally says.
    #[test]
    fn nothing_is_lost_silently(script in prop::collection::vec(steps(), 0..120)) {
        let mut backlog = Backlog::new(LIMITS);
        let (mut now, mut number, mut flying, mut reported) = (0_u64, 0_u64, Vec::new(), 0_u64);
        for step in script {
            let losses: Vec<Lost> = match step {
                Step::Push(signal, bytes, items, own) => {
                    number += 1;
                    let own = own && signal == Signal::Metrics;
                    let snapshot = own.then_some(SnapshotNumber(number / 2));
                    backlog.push(Pending { snapshot, ..opaque(signal, bytes, items, now) }, second(now))
                }
                Step::PushSpans(count, items) => {
                    backlog.push(Pending { body: spans(count), ..opaque(Signal::Traces, 0, items, now) }, second(now))
                }
                Step::Take(signal) => {
                    let (taken, losses) = backlog.take(signal, second(now));
                    flying.extend(taken);
                    losses
                }
                Step::PutBack => flying.pop().map(|pending| backlog.put_back(pending)).unwrap_or_default(),
                Step::Delivered(rejected) => {
                    flying.pop().and_then(|pending| backlog.delivered(pending, rejected)).into_iter().collect()
                }
                Step::Refused => flying
                    .pop()
                    .map(|pending| backlog.refused(pending, DropReason::Rejected))
                    .into_iter()
                    .collect(),
                Step::TooLarge => flying.pop().map(|pending| backlog.too_large(pending)).unwrap_or_default(),
                Step::Wait(seconds) => {
                    now += seconds;
                    Vec::new()
                }
                Step::Clear => backlog.clear(DropReason::Shutdown),
            };
            prop_assert!(losses.iter().all(|loss| loss.items > 0));
            reported += losses.iter().map(|loss| loss.items).sum::<u64>();
            let tally = backlog.tally();
            let sum = tally.delivered + tally.dropped_items() + tally.waiting + tally.in_flight;
            prop_assert_eq!(tally.accepted, sum);
            prop_assert_eq!(tally.dropped_items(), reported);
            let flying_items: u64 = flying.iter().map(|pending: &Pending| pending.items).sum();
            prop_assert_eq!(tally.in_flight, flying_items);
            let flying_bytes: usize = flying.iter().map(Pending::cost).sum();
            prop_assert!(backlog.bytes() <= LIMITS.bytes.max(flying_bytes));
            let waiting_bytes: usize =
                [&backlog.metrics, &backlog.traces, &backlog.logs].into_iter().flatten().map(Pending::cost).sum();
            prop_assert_eq!(backlog.bytes(), waiting_bytes + flying_bytes);
            prop_assert!(backlog.snapshots_waiting() <= LIMITS.snapshots);
        }
    }
}
