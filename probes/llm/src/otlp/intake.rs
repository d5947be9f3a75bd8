//! Judges a request and puts it into both queues or into none.

use std::time::Duration;

use bytes::Bytes;
use wattline_core::queue::Sender;
use wattline_core::{Envelope, Outlet, Reading, Readings, Signal, Telemetry};
use wattline_wire::schema::{Limits, check};

use super::body::Budget;
use super::refusal::Refusal;
use super::{Clock, Config};
use crate::normalise::{self, Calls};

/// What all requests share.
pub(super) struct Intake {
    outlet: Outlet,
    telemetry: Telemetry,
    clock: Clock,
    max_items: u64,
    limits: Limits,
    pub(super) max_body_bytes: usize,
    pub(super) read_timeout: Duration,
    pub(super) budget: Budget,
}

impl Intake {
    pub(super) fn new(config: &Config, outlet: Outlet, telemetry: Telemetry, clock: Clock) -> Self {
        Self {
            outlet,
            telemetry,
            clock,
            max_items: u64::from(config.max_items),
            limits: Limits { attributes: config.max_attributes },
            max_body_bytes: config.max_body_bytes as usize,
            read_timeout: config.read_timeout,
            budget: Budget::new(config.max_inflight_bytes),
        }
    }

    /// Takes a request in protobuf. When this returns without an error, the request is in the queues and may be
    /// acknowledged; else no part of it was kept.
    pub(super) fn take(&self, signal: Signal, body: Bytes) -> Result<(), Refusal> {
        let items = check(signal, &body, self.limits)?;
        if items > self.max_items {
            return Err(Refusal::TooManyItems { limit: self.max_items });
        }
        if items == 0 {
            // An empty request is a success by the specification, and there is nothing to hand on.
            return Ok(());
        }
        // Places in both queues come first: a request that one of them refuses leaves no trace in the other.
        let relay = self.outlet.relay.as_ref().map(Sender::reserve).transpose()?;
        let tick = (self.clock)();
        let calls = match signal {
            Signal::Traces => normalise::calls(&body, tick.wall)?,
            Signal::Metrics | Signal::Logs => Calls::default(),
        };
        let readings = if calls.booked.is_empty() { None } else { Some(self.outlet.readings.reserve()?) };

        self.telemetry.received(items, signal);
        self.count_left_out(&calls);
        match relay {
            Some(place) => place.fill(Envelope { signal, body, items, at: tick.wall }),
            None if signal == Signal::Traces => {}
            // Without a destination nothing reads them; spans were read for their calls.
            None => self.telemetry.dropped(items, "no_destination", signal, "relay"),
        }
        if let Some(place) = readings {
            let mut readings = Readings::new("otlp", tick);
            readings.items = calls.booked.into_iter().map(Reading::Inference).collect();
            place.fill(readings);
        }
        Ok(())
    }

    fn count_left_out(&self, calls: &Calls) {
        // What repeats another span is no loss.
        let Calls { booked: _, repeated: _, without_tokens, absurd_tokens, of_engines } = calls;
        for (spans, reason) in
            [(without_tokens, "tokens_unknown"), (absurd_tokens, "tokens_absurd"), (of_engines, "engine_span")]
        {
            if *spans > 0 {
                self.telemetry.dropped(*spans, reason, Signal::Traces, "books");
            }
        }
    }

    pub(super) fn count_refusal(&self, reason: &'static str, signal: Signal) {
        self.telemetry.refused(reason, signal);
    }
}
