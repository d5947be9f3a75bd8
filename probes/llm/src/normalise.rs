//! Spans of language model calls and of agents, read into [`Inference`] and [`AgentActivity`].
//!
//! A call is told by a *leaf inference span*: one whose operation, in the words of any convention, is to call a model, or
//! a client span with a model and with token counts. Spans of agents, tools and workflows repeat what the calls below them
//! used, and so may an inference span that has another one below it in the same request: only the lowest is booked. What
//! other requests tell of the same call is found where the calls of all requests come together.
//!
//! - A call without any token count is not booked, unless it failed: nothing is known about it but that it was. It is
//!   counted.
//! - A count that is no whole number from 0 to 10^9 cannot be believed, and neither can the others of its call: the
//!   call is not booked and counted. So is one whose total is less than its parts.
//! - Whether input counts cached tokens is decided by the counts where they can tell, else by what is known of the
//!   emitter; where nothing tells, the call is flagged.
//! - A span of the called side (kind server) tells of an engine's own work and is not booked here. It is counted.
//! - Without sampling information in `tracestate` (`ot=th:...`, W3C level 2 and OpenTelemetry's probability sampling)
//!   each call stands for itself.
//! - A span whose times cannot be right is booked as of now and flagged.
//!
//! What was said is never kept: prompts and answers stay in the bytes, and all that is made of a prompt is a hash under
//! a key that no other process has.

mod attributes;
mod events;
mod kinds;
mod leaves;
mod model;
mod operation;
mod sampling;
mod sums;
mod usage;
mod words;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use wattline_core::reading::{
    ActivityKind, AgentActivity, CallIdentity, CallKind, Doubts, Inference, TokenUsage, ToldBy,
};
use wattline_core::subject::InferenceKey;
use wattline_core::{Seconds, Text, Timestamp};
use wattline_wire::protobuf::Error;
use wattline_wire::schema::Limits;
use wattline_wire::trace::{
    AnyValue, Attribute, Listen, ResourceSpans, ScopeSpans, Span, SpanKind, check_and_read, resource_spans,
};

use crate::identity::hash;
use attributes::{Call, Line, Name, find};
use kinds::{Kinds, Said};
use leaves::{Class, Leaves, Role};
use operation::{Operation, Told, told};
use usage::{CachedInput, NoUsage};
use words::{Words, word};

/// What a span without a provider or a model is booked under.
const UNKNOWN: &str = "unknown";
/// What OpenTelemetry calls a service without a name.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// What the conventions call an error that nobody names.
const OTHER_ERROR: &str = "_OTHER";
/// A span that ends later than this after its arrival is of a clock that is wrong,
const MOST_AHEAD: Seconds = Seconds::new(60.0);
/// and so is one that ended longer ago than this: nobody keeps spans for so long.
const MOST_BEHIND: Seconds = Seconds::new(8.0 * 86_400.0);

/// The calls that one request tells of, and how many spans of calls tell of none.
#[derive(Debug, Default, PartialEq)]
pub struct Calls {
    /// Completed calls, each once.
    pub booked: Vec<Inference>,
    /// What agents did beside.
    pub activities: Vec<Box<AgentActivity>>,
    /// Spans left out because a span below them tells of the same call.
    pub repeated: u64,
    /// Calls without any token count.
    pub without_tokens: u64,
    /// Calls whose token counts cannot be believed.
    pub absurd_tokens: u64,
    /// Calls whose token counts contradict one another.
    pub contradictory_tokens: u64,
    /// Spans of the engine that was called.
    pub of_engines: u64,
}

/// Reads calls out of export requests.
#[derive(Debug, Default)]
pub struct Normaliser {
    /// Hashes what was said, so that what is said again is known without being kept.
    prompts: RandomState,
    /// What is read was recorded, and its times are compared with nothing.
    is_recorded: bool,
    /// Kinds of calls that were seen, for as many requests as were read at one time.
    kinds: Mutex<Vec<Kinds>>,
}

/// Requests that are read at one time and remember the kinds of their calls; more begin anew.
const MOST_AT_ONCE: usize = 4;

impl Normaliser {
    /// One for what was recorded, whose times are believed whenever they were.
    pub fn of_recordings() -> Self {
        Self { is_recorded: true, ..Self::default() }
    }

    /// Reads the calls out of an export request of spans. A call without an end is taken to have ended at `now`.
    pub fn spans(&self, request: &[u8], now: Timestamp) -> Result<Calls, Error> {
        let mut reader = self.reader(now);
        for group in resource_spans(request) {
            let group = group?;
            reader.resource(&group)?;
            for scope in group.scopes() {
                let scope = scope?;
                reader.scope(&scope)?;
                for span in scope.spans() {
                    let span = span?;
                    for attribute in span.attributes() {
                        let attribute = attribute?;
                        let line = find(attribute.key.as_bytes());
                        reader.call.take(&attribute, line, || attribute.value(), &self.prompts)?;
                    }
                    reader.span(&span)?;
                }
            }
        }
        Ok(self.finished(reader))
    }

    /// The same of a request that nobody has checked: it is checked as [`check`](wattline_wire::schema::check) does, in
    /// the same walk. Tells how many spans are in it, too.
    pub fn checked_spans(&self, request: &[u8], limits: Limits, now: Timestamp) -> Result<(u64, Calls), Error> {
        let mut reader = self.reader(now);
        match check_and_read(request, limits, &mut reader) {
            Ok(items) => Ok((items, self.finished(reader))),
            Err(error) => {
                self.keep(reader.kinds);
                Err(error)
            }
        }
    }

    fn reader<'a>(&self, now: Timestamp) -> SpanReader<'_, 'a> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).pop();
        SpanReader {
            clock: if self.is_recorded { None } else { Some(now) },
            prompts: &self.prompts,
            kinds: kinds.unwrap_or_default(),
            origin: Origin::default(),
            call: Call::new(),
            words: Words::default(),
            leaves: Leaves::default(),
            calls: Calls::default(),
        }
    }

    fn finished(&self, reader: SpanReader<'_, '_>) -> Calls {
        let (calls, kinds) = reader.finish();
        self.keep(kinds);
        calls
    }

    fn keep(&self, kinds: Kinds) {
        let mut kept = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_AT_ONCE {
            kept.push(kinds);
        }
    }
}

/// Who sent a span.
#[derive(Clone, Copy, Default)]
struct Origin<'a> {
    service: Option<&'a str>,
    region: Option<&'a str>,
    /// What is known of the instrumentation.
    emitter: Option<CachedInput>,
    scope_hash: u64,
}

/// Why a span of a call is not booked.
enum NotBooked {
    Tokens(NoUsage),
    OfEngine,
}

/// When something was, as it is booked.
struct When {
    start: Timestamp,
    duration: Seconds,
    is_doubtful: bool,
}

struct SpanReader<'n, 'a> {
    /// What time it is; `None` in a recording.
    clock: Option<Timestamp>,
    prompts: &'n RandomState,
    kinds: Kinds,
    /// Of the spans that come now.
    origin: Origin<'a>,
    /// The attributes of the span that comes next.
    call: Call<'a>,
    words: Words<'a>,
    leaves: Leaves,
    calls: Calls,
}

impl<'a> Listen<'a> for SpanReader<'_, 'a> {
    type Known = &'static Line;

    #[inline]
    fn know(&self, key: &[u8]) -> Option<(&'static str, &'static Line)> {
        find(key).map(|line| (line.key, line))
    }

    fn resource(&mut self, resource: &ResourceSpans<'a>) -> Result<(), Error> {
        self.origin = Origin::default();
        for attribute in resource.attributes() {
            let attribute = attribute?;
            let slot = match attribute.key {
                "service.name" => &mut self.origin.service,
                "cloud.region" => &mut self.origin.region,
                _ => continue,
            };
            if let AnyValue::Text(text) = attribute.value()? {
                *slot = Some(text);
            }
        }
        Ok(())
    }

    fn scope(&mut self, scope: &ScopeSpans<'a>) -> Result<(), Error> {
        self.origin.scope_hash = hash(scope.name);
        self.origin.emitter = usage::of_emitter(scope.name);
        Ok(())
    }

    #[inline]
    fn attribute(
        &mut self,
        attribute: &Attribute<'a>,
        known: Option<&'static Line>,
        value: AnyValue<'a>,
    ) -> Result<(), Error> {
        self.call.take(attribute, known, || Ok(value), self.prompts)
    }

    fn span(&mut self, span: &Span<'a>) -> Result<(), Error> {
        let role = match told(&self.call, span.kind) {
            Told::Other => Role::Other,
            Told::Run => self.activity(span, ActivityKind::Run),
            Told::Tool => {
                let name = self.words.shared(Name::Tool, self.call.text(Name::Tool).or(Some(span.name)));
                self.activity(span, ActivityKind::Tool(name.unwrap_or(Text::Static(UNKNOWN))))
            }
            Told::Call(operation) => match self.inference(span, operation) {
                Ok(inference) => {
                    self.calls.booked.push(inference);
                    let is_embedding = operation == Operation::Known("embeddings");
                    Role::Call(if is_embedding { Class::Embeddings } else { Class::Generation })
                }
                Err(reason) => {
                    *match reason {
                        NotBooked::Tokens(NoUsage::Unknown) => &mut self.calls.without_tokens,
                        NotBooked::Tokens(NoUsage::Absurd) => &mut self.calls.absurd_tokens,
                        NotBooked::Tokens(NoUsage::Contradictory) => &mut self.calls.contradictory_tokens,
                        NotBooked::OfEngine => &mut self.calls.of_engines,
                    } += 1;
                    Role::Other
                }
            },
        };
        let agent = self.words.shared(Name::Agent, self.call.text(Name::Agent));
        self.leaves.add(span, role, agent);
        self.call.clear();
        Ok(())
    }
}

impl<'a> SpanReader<'_, 'a> {
    fn inference(&mut self, span: &Span<'a>, operation: Operation<'a>) -> Result<Inference, NotBooked> {
        if span.kind == SpanKind::Server {
            return Err(NotBooked::OfEngine);
        }
        let (origin, call) = (self.origin, &self.call);
        let When { start, duration, is_doubtful } = when(span, self.clock);
        let error = call.text(Name::Error).or_else(|| span.failed.then_some(OTHER_ERROR));
        let (usage, cached_input) = match usage::usage(call, origin.emitter) {
            // A call that failed has used nothing that anybody was told of.
            Err(NoUsage::Unknown) if error.is_some() => (TokenUsage::default(), false),
            usage => usage.map_err(NotBooked::Tokens)?,
        };
        let texts = Texts::of(call, &origin, operation, error);
        let kind = self.kinds.find(&texts.said(), || texts.kind());
        let first_token = call.first_token();
        Ok(Inference {
            time_to_first_token: first_token.map(Seconds::new).filter(|&time| time <= duration || is_doubtful),
            tools: call.tools(),
            probability: sampling::probability(span.trace_state),
            doubts: Doubts { cached_input, clock: is_doubtful, operation: matches!(operation, Operation::Unknown(_)) },
            identity: CallIdentity {
                told_by: ToldBy::Span,
                scope: origin.scope_hash,
                response: call.text(Name::ResponseId).map_or(0, hash),
                prompt: call.prompt().map_or(0, |prompt| {
                    let model = call.text(Name::RequestModel).or(call.text(Name::ResponseModel));
                    self.prompts.hash_one((prompt, model)).max(1)
                }),
                trace: leaves::trace(span),
                span: leaves::number(span.span_id).unwrap_or(0),
                parent: leaves::number(span.parent_span_id).unwrap_or(0),
            },
            ..Inference::of(kind, start, duration, usage)
        })
    }

    fn activity(&mut self, span: &Span<'a>, kind: ActivityKind) -> Role {
        let When { start, duration, is_doubtful: _ } = when(span, self.clock);
        let call = &self.call;
        let mut word = |name: Name, text| self.words.shared(name, text);
        let error = word(Name::Error, call.text(Name::Error));
        let activity = AgentActivity {
            kind,
            service: word(Name::Service, self.origin.service).unwrap_or(Text::Static(UNKNOWN_SERVICE)),
            agent: word(Name::Agent, call.text(Name::Agent)),
            start,
            duration,
            error: error.or_else(|| span.failed.then_some(Text::Static(OTHER_ERROR))),
            probability: sampling::probability(span.trace_state),
            trace: leaves::trace(span),
            span: leaves::number(span.span_id).unwrap_or(0),
            parent: leaves::number(span.parent_span_id).unwrap_or(0),
        };
        self.calls.activities.push(Box::new(activity));
        Role::Activity
    }

    fn finish(self) -> (Calls, Kinds) {
        let Self { mut calls, leaves, mut kinds, .. } = self;
        let found = leaves.found();
        for (call, agent) in calls.booked.iter_mut().zip(found.agents_of_calls) {
            if let (None, Some(agent)) = (&call.kind.key.agent, agent) {
                call.kind = kinds.under(&call.kind, &agent);
            }
        }
        for (activity, agent) in calls.activities.iter_mut().zip(found.agents_of_activities) {
            activity.agent = activity.agent.take().or(agent);
        }
        leave_out(&mut calls, &found.repeated);
        (calls, kinds)
    }
}

/// The texts by which the kind of a call is decided.
#[derive(Clone, Copy)]
struct Texts<'a> {
    operation: Operation<'a>,
    service: Option<&'a str>,
    /// The region of whoever sent the span.
    region_of_caller: Option<&'a str>,
    asked: Option<&'a str>,
    answered: Option<&'a str>,
    provider: Option<&'a str>,
    routed: Option<&'a str>,
    agent: Option<&'a str>,
    finish_reason: Option<&'a str>,
    region: Option<&'a str>,
    server_address: Option<&'a str>,
    service_tier: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Texts<'a> {
    fn of(call: &Call<'a>, origin: &Origin<'a>, operation: Operation<'a>, error: Option<&'a str>) -> Self {
        Self {
            operation,
            service: origin.service,
            region_of_caller: origin.region,
            asked: call.text(Name::RequestModel),
            answered: call.text(Name::ResponseModel),
            provider: call.text(Name::Provider),
            routed: call.text(Name::RoutedModel),
            agent: call.text(Name::Agent),
            finish_reason: call.first_text(Name::FinishReason),
            region: call.text(Name::Region),
            server_address: call.text(Name::ServerAddress),
            service_tier: call.text(Name::ServiceTier),
            error,
        }
    }

    fn said(&self) -> Said<'a> {
        let operation = match self.operation {
            Operation::Known(name) | Operation::Unknown(name) => name,
        };
        let texts = [
            self.service,
            self.region_of_caller,
            self.asked,
            self.answered,
            self.provider,
            self.routed,
            self.agent,
            self.finish_reason,
            self.region,
            self.server_address,
            self.service_tier,
            self.error,
        ];
        Said { operation, texts: texts.map(Option::unwrap_or_default) }
    }

    fn kind(&self) -> CallKind {
        let asked = self.asked.map(model::named);
        let answered = self.answered.map(model::named);
        // Some name who made the model where they should name who serves it.
        let provider = asked.as_ref().and_then(model::Named::provider);
        let provider = provider.or_else(|| self.provider.filter(|name| !model::is_framework(name)));
        let provider = provider.or_else(|| Some(self.routed?.split_once('/')?.0));
        let region = self.region_of(provider);
        let region = region.or_else(|| answered.as_ref().or(asked.as_ref()).and_then(|model| model.region));
        let request_model = word(asked.map(|model| model.name));
        let response_model = word(answered.map(|model| model.name));
        let key = InferenceKey {
            model: response_model.or_else(|| request_model.clone()).unwrap_or(Text::Static(UNKNOWN)),
            provider: word(provider).unwrap_or(Text::Static(UNKNOWN)),
            service: word(self.service).unwrap_or(Text::Static(UNKNOWN_SERVICE)),
            agent: word(self.agent),
            operation: match self.operation {
                Operation::Known(name) => Text::Static(name),
                Operation::Unknown(name) => word(Some(name)).unwrap_or(Text::Static(UNKNOWN)),
            },
        };
        CallKind {
            key,
            request_model,
            finish_reason: word(self.finish_reason),
            region: word(region),
            server_address: word(self.server_address),
            service_tier: word(self.service_tier),
            error: word(self.error),
        }
    }

    /// Where the model ran, as far as the span tells. The region of the caller is the region of the model only where
    /// the provider's address is regional, as that of Amazon Bedrock is.
    fn region_of(&self, provider: Option<&str>) -> Option<&'a str> {
        let of_address = || {
            let mut labels = self.server_address?.strip_suffix(".amazonaws.com")?.rsplit('.');
            labels.next().filter(|_region| labels.next().is_some())
        };
        let of_caller = || self.region_of_caller.filter(|_region| provider == Some("aws.bedrock"));
        self.region.or_else(of_address).or_else(of_caller)
    }
}

/// Leaves out the calls that repeat another one, which keeps what only they know of it.
fn leave_out(calls: &mut Calls, repeated: &[Option<u32>]) {
    for (call, leaf) in repeated.iter().enumerate() {
        // A leaf that is itself left out, since its span came twice, has its twin's counts.
        if let Some(leaf) = leaf
            && let Ok([call, leaf]) = calls.booked.get_disjoint_mut([call, *leaf as usize])
            && (call.usage.input, call.usage.output) == (leaf.usage.input, leaf.usage.output)
        {
            leaf.complete(call);
        }
    }
    let mut numbers = repeated.iter();
    calls.booked.retain(|_| !matches!(numbers.next(), Some(Some(_))));
    calls.repeated = repeated.iter().flatten().count() as u64;
}

/// When a span was, as far as its times can be believed at `clock`, its arrival.
fn when(span: &Span<'_>, clock: Option<Timestamp>) -> When {
    let now = clock.unwrap_or_else(|| Timestamp::from_unix_nanos(span.start_unix_nanos.max(span.end_unix_nanos)));
    let end = if span.end_unix_nanos == 0 { now } else { Timestamp::from_unix_nanos(span.end_unix_nanos) };
    let start = if span.start_unix_nanos == 0 { end } else { Timestamp::from_unix_nanos(span.start_unix_nanos) };
    let duration = end.since(start);
    let is_doubtful = start > end || end.since(now) > MOST_AHEAD || now.since(end) > MOST_BEHIND;
    When { start: if is_doubtful { now } else { start }, duration, is_doubtful }
}

#[cfg(test)]
mod tests;
