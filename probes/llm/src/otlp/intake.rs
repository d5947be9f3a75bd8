//! Judges a request and puts it into both queues or into none.
//!
//! A request that must be on disk before it is acknowledged is booked after that: a sender that is told to come again
//! finds nothing booked twice. What some destinations have kept by then, they get again.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use wattline_core::queue::{Place, Sender};
use wattline_core::reading::Inference;
use wattline_core::receipt::receipt;
use wattline_core::{Envelope, Outlet, Reading, Readings, Signal, Telemetry, Timestamp};
use wattline_wire::enrich::with_attributes;
use wattline_wire::protobuf::Error;
use wattline_wire::schema::{Limits, check};

use super::body::Budget;
use super::refusal::Refusal;
use super::{Acknowledge, Clock, Config, Enrich, VIA};
use crate::bedrock::{self, Rules, Told};
use crate::content::Content;
use crate::normalise::{Calls, Normaliser};

/// Destinations that have not kept a request after so long have not kept it. Senders of OTLP give up after 10 s unless
/// told otherwise, and would not read a later answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// A sender waits so long for its answer where there is no room; then it is told to come again. What it sent was read
/// already, and would have to be read once more.
const ROOM: Duration = Duration::from_secs(1);

/// A place in a queue, as soon as there is one.
async fn place<T>(queue: &Sender<T>) -> Result<Place<'_, T>, Refusal> {
    if queue.is_full() {
        // What comes of the wait is seen by what comes of asking.
        tokio::time::timeout(ROOM, queue.room()).await.ok();
    }
    Ok(queue.reserve()?)
}

/// What becomes of a request before it is relayed.
pub(super) struct Treatment {
    pub(super) content: Content,
    pub(super) enrich: Option<Box<dyn Enrich>>,
}

impl Treatment {
    fn of(&self, signal: Signal, body: Bytes, calls: &Calls, now: Timestamp) -> Result<Bytes, Error> {
        let body = self.content.treat(signal, body)?;
        let is_told = signal == Signal::Traces && !calls.booked.is_empty();
        let Some(enrich) = self.enrich.as_ref().filter(|_| is_told) else { return Ok(body) };
        // A span without a valid id of its own cannot be told from others of its kind.
        let has_ids = |call: &&Inference| call.identity.trace != 0 && call.identity.span != 0;
        let told = calls.booked.iter().filter(has_ids);
        let told = told.map(|call| ((call.identity.trace, call.identity.span), enrich.attributes(call, now)));
        Ok(with_attributes(&body, &told.collect())?.map_or(body, Bytes::from))
    }
}

/// What all requests share.
pub(super) struct Intake {
    outlet: Outlet,
    telemetry: Telemetry,
    clock: Clock,
    acknowledge: Acknowledge,
    treatment: Treatment,
    normaliser: Normaliser,
    rules: Rules,
    mark: &'static str,
    max_items: u64,
    limits: Limits,
    pub(super) max_body_bytes: usize,
    pub(super) read_timeout: Duration,
    pub(super) budget: Budget,
}

impl Intake {
    pub(super) fn new(
        config: &Config,
        outlet: Outlet,
        telemetry: Telemetry,
        clock: Clock,
        treatment: Treatment,
        mark: &'static str,
    ) -> Self {
        Self {
            outlet,
            telemetry,
            clock,
            acknowledge: config.acknowledge,
            treatment,
            normaliser: Normaliser::default(),
            rules: Rules::default(),
            mark,
            max_items: u64::from(config.max_items),
            limits: Limits { attributes: config.max_attributes },
            max_body_bytes: config.max_body_bytes as usize,
            read_timeout: config.read_timeout,
            budget: Budget::new(config.max_inflight_bytes),
        }
    }

    /// Reads AWS's own logs by these rules where they come as log records.
    pub(super) fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Whether another agent has booked what a request with these headers brings. One that we have sent ourselves is
    /// refused.
    pub(super) fn is_booked(&self, headers: &HeaderMap) -> Result<bool, Refusal> {
        match headers.get(VIA) {
            None => Ok(false),
            Some(mark) if mark.as_bytes() == self.mark.as_bytes() => Err(Refusal::Loop),
            Some(_other) => Ok(true),
        }
    }

    /// Takes a request in protobuf. When this returns without an error, the request is in the queues, or on disk where
    /// that is asked for, and may be acknowledged; else no part of it is booked, and it may be sent again.
    pub(super) async fn take(&self, signal: Signal, body: Bytes, is_booked: bool) -> Result<(), Refusal> {
        let tick = (self.clock)();
        let (items, calls) = match signal {
            Signal::Traces if !is_booked => self.normaliser.checked_spans(&body, self.limits, tick.wall)?,
            Signal::Traces | Signal::Metrics | Signal::Logs => (check(signal, &body, self.limits)?, Calls::default()),
        };
        if items > self.max_items {
            return Err(Refusal::TooManyItems { limit: self.max_items });
        }
        if items == 0 {
            // An empty request is a success by the specification, and there is nothing to hand on.
            return Ok(());
        }
        // Places in both queues come first: a request that one of them refuses leaves no trace in the other.
        let relay = match &self.outlet.relay {
            Some(relay) => Some(place(relay).await?),
            None => None,
        };
        let calls = match signal {
            Signal::Logs if !is_booked => self.normaliser.logs(&body, tick.wall)?,
            Signal::Traces | Signal::Metrics | Signal::Logs => calls,
        };
        let told = match signal {
            Signal::Logs if !is_booked => bedrock::calls_of_logs(&body, &self.rules, tick.wall)?,
            Signal::Traces | Signal::Metrics | Signal::Logs => Told::default(),
        };
        let sums = match signal {
            Signal::Metrics if !is_booked => self.normaliser.sums(&body, tick.wall)?,
            Signal::Traces | Signal::Metrics | Signal::Logs => Vec::new(),
        };
        let is_empty = calls.booked.is_empty() && calls.activities.is_empty() && sums.is_empty() && told.is_empty();
        let readings = if is_empty { None } else { Some(place(&self.outlet.readings).await?) };

        match relay {
            Some(place) => {
                // Nothing waits anywhere with content that must not go on.
                let body = self.treatment.of(signal, body, &calls, tick.wall)?;
                self.relay(place, signal, body, items, tick.wall).await?;
            }
            None if signal == Signal::Traces => {}
            // Without a destination nothing reads them; spans were read for their calls.
            None => self.telemetry.dropped(items, "no_destination", signal, "relay"),
        }
        self.telemetry.received(items, signal);
        self.count_left_out(&calls, signal);
        told.count_left_out(&self.telemetry);
        if let Some(place) = readings {
            let mut readings = Readings::new("otlp", tick);
            let activities = calls.activities.into_iter().map(Reading::Activity);
            let booked = calls.booked.into_iter().map(Reading::Inference).chain(activities);
            let sums = sums.into_iter().map(|sum| Reading::Tokens(Box::new(sum)));
            readings.items = booked.chain(sums).chain(told.into_readings()).collect();
            place.fill(readings);
        }
        Ok(())
    }

    async fn relay(
        &self,
        place: Place<'_, Envelope>,
        signal: Signal,
        body: Bytes,
        items: u64,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let envelope = |receipt| Envelope { signal, body, items, at, receipt };
        match self.acknowledge {
            Acknowledge::Memory => {
                place.fill(envelope(None));
                Ok(())
            }
            Acknowledge::Disk => {
                let (receipt, awaited) = receipt();
                place.fill(envelope(Some(receipt)));
                match tokio::time::timeout(PATIENCE, awaited.is_kept()).await {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(Refusal::NotKept),
                }
            }
        }
    }

    fn count_left_out(&self, calls: &Calls, signal: Signal) {
        // What repeats another span is no loss.
        let Calls {
            booked: _,
            activities: _,
            repeated: _,
            without_tokens,
            absurd_tokens,
            contradictory_tokens,
            of_engines,
        } = calls;
        for (spans, reason) in [
            (without_tokens, "tokens_unknown"),
            (absurd_tokens, "tokens_absurd"),
            (contradictory_tokens, "tokens_contradictory"),
            (of_engines, "engine_span"),
        ] {
            if *spans > 0 {
                self.telemetry.dropped(*spans, reason, signal, "books");
            }
        }
    }

    pub(super) fn count_refusal(&self, reason: &'static str, signal: Signal) {
        self.telemetry.refused(reason, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wattline_core::{Tick, queue};

    use super::*;

    #[tokio::test]
    async fn calls_in_log_records_are_booked_once_of_all_agents() {
        const RECORD: &str =
            r#"{"schemaType":"ModelInvocationLog","modelId":"m","input":{"inputTokenCount":3},"output":{}}"#;
        let wrapped =
            |number: u8, inside: &[u8]| [&[number << 3 | 2, u8::try_from(inside.len()).unwrap()], inside].concat();
        // Resource logs of one scope with one record, whose body is a text.
        let request = wrapped(1, &wrapped(2, &wrapped(2, &wrapped(5, &wrapped(1, RECORD.as_bytes())))));
        let (readings, mut inbox) = queue::bounded(9);
        let outlet = Outlet { readings, relay: None };
        let config = Config::default();
        let intake = Intake::new(
            &config,
            outlet,
            Telemetry::none(),
            Arc::new(Tick::default),
            Treatment { content: Content::Keep, enrich: None },
            "us",
        );
        for is_booked in [false, true] {
            intake.take(Signal::Logs, Bytes::from(request.clone()), is_booked).await.unwrap();
        }
        let taken: Vec<Readings> = std::iter::from_fn(|| inbox.try_next()).collect();
        assert!(
            matches!(taken.as_slice(), [one] if matches!(one.items.as_slice(), [Reading::Inference(_)])),
            "{taken:?}"
        );
    }

    /// Tells of every call that it is one.
    struct One;

    impl Enrich for One {
        fn attributes(&self, _call: &Inference, _now: Timestamp) -> Vec<wattline_wire::enrich::Attribute> {
            vec![("told", wattline_wire::enrich::Value::Number(1.0))]
        }
    }

    #[test]
    fn spans_without_ids_of_their_own_bear_nothing_of_one_another() {
        let wrapped =
            |number: u8, inside: &[u8]| [&[number << 3 | 2, u8::try_from(inside.len()).unwrap()], inside].concat();
        // Resource spans of one scope with two spans, which have a name and no ids.
        let span = wrapped(2, &wrapped(5, b"chat"));
        let request = Bytes::from(wrapped(1, &wrapped(2, &[span.clone(), span].concat())));
        let treatment = Treatment { content: Content::Keep, enrich: Some(Box::new(One)) };
        let key = wattline_core::subject::InferenceKey {
            model: "m".into(),
            provider: "p".into(),
            service: "s".into(),
            agent: None,
            operation: "chat".into(),
        };
        let (start, duration) = (Timestamp::default(), wattline_core::Seconds::ZERO);
        let mut call = Inference::new(key, start, duration, wattline_core::reading::TokenUsage::default());
        let treated = |call: &Inference| {
            let calls = Calls { booked: vec![call.clone()], ..Calls::default() };
            treatment.of(Signal::Traces, request.clone(), &calls, start).unwrap()
        };
        assert_eq!(treated(&call), request);
        (call.identity.trace, call.identity.span) = (1, 1);
        assert_eq!(treated(&call), request, "nor of a span that is not there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_that_says_nothing_has_not_kept_it() {
        let (readings, _inbox) = queue::bounded(1);
        let (relay, mut relayed) = queue::bounded(1);
        let config = Config { acknowledge: Acknowledge::Disk, ..Config::default() };
        let outlet = Outlet { readings, relay: Some(relay) };
        let intake = Intake::new(
            &config,
            outlet,
            Telemetry::none(),
            Arc::new(Tick::default),
            Treatment { content: Content::Keep, enrich: None },
            "us",
        );
        // Resource logs of one scope with one empty record.
        let request = Bytes::from_static(&[10, 4, 18, 2, 18, 0]);
        let began = tokio::time::Instant::now();
        let (answer, held) = tokio::join!(intake.take(Signal::Logs, request, false), relayed.next());
        assert!(matches!(answer, Err(Refusal::NotKept)), "{answer:?}");
        assert_eq!(began.elapsed(), PATIENCE);
        drop(held);
    }
}
