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
mod leaves;
mod model;
mod operation;
mod sampling;
mod sums;
mod usage;
mod words;

use std::hash::{BuildHasher, RandomState};

use wattline_core::reading::{ActivityKind, AgentActivity, CallIdentity, Doubts, Inference, TokenUsage, ToldBy};
use wattline_core::subject::InferenceKey;
use wattline_core::{Seconds, Text, Timestamp};
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, ResourceSpans, Span, SpanKind, resource_spans};

use crate::identity::hash;
use attributes::{Call, Name};
use leaves::{Class, Leaves, Role};
use operation::{Operation, Told, told};
use usage::NoUsage;
use words::Words;

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
    pub booked: Vec<Box<Inference>>,
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
}

impl Normaliser {
    /// One for what was recorded, whose times are believed whenever they were.
    pub fn of_recordings() -> Self {
        Self { is_recorded: true, ..Self::default() }
    }

    /// Reads the calls out of an export request of spans. A call without an end is taken to have ended at `now`.
    pub fn spans(&self, request: &[u8], now: Timestamp) -> Result<Calls, Error> {
        let mut reader = SpanReader {
            clock: if self.is_recorded { None } else { Some(now) },
            prompts: &self.prompts,
            words: Words::default(),
            leaves: Leaves::default(),
            calls: Calls::default(),
        };
        for group in resource_spans(request) {
            let group = group?;
            let resource = Resource::read(&group)?;
            for scope in group.scopes() {
                let scope = scope?;
                let scope_hash = hash(scope.name);
                for span in scope.spans() {
                    reader.read(&Origin { resource: &resource, scope: scope.name, scope_hash }, &span?)?;
                }
            }
        }
        Ok(reader.finish())
    }
}

/// What a resource says about its calls.
struct Resource<'a> {
    service: Option<&'a str>,
    region: Option<&'a str>,
}

impl<'a> Resource<'a> {
    fn read(group: &ResourceSpans<'a>) -> Result<Self, Error> {
        let mut resource = Self { service: None, region: None };
        for attribute in group.attributes() {
            let attribute = attribute?;
            let slot = match attribute.key {
                "service.name" => &mut resource.service,
                "cloud.region" => &mut resource.region,
                _ => continue,
            };
            if let AnyValue::Text(text) = attribute.value()? {
                *slot = Some(text);
            }
        }
        Ok(resource)
    }
}

/// Who sent a span.
struct Origin<'r, 'a> {
    resource: &'r Resource<'a>,
    scope: &'a str,
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
    words: Words<'a>,
    leaves: Leaves,
    calls: Calls,
}

impl<'a> SpanReader<'_, 'a> {
    fn read(&mut self, origin: &Origin<'_, 'a>, span: &Span<'a>) -> Result<(), Error> {
        let call = Call::read(span, self.prompts)?;
        let role = match told(&call, span.kind) {
            Told::Other => Role::Other,
            Told::Run => self.activity(origin, span, &call, ActivityKind::Run),
            Told::Tool => {
                let name = self.words.shared(Name::Tool, call.text(Name::Tool).or(Some(span.name)));
                self.activity(origin, span, &call, ActivityKind::Tool(name.unwrap_or(Text::Static(UNKNOWN))))
            }
            Told::Call(operation) => match self.inference(origin, span, &call, operation) {
                Ok(inference) => {
                    self.calls.booked.push(Box::new(inference));
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
        let agent = self.words.shared(Name::Agent, call.text(Name::Agent));
        self.leaves.add(span, role, agent);
        Ok(())
    }

    fn inference(
        &mut self,
        origin: &Origin<'_, 'a>,
        span: &Span<'a>,
        call: &Call<'a>,
        operation: Operation<'a>,
    ) -> Result<Inference, NotBooked> {
        if span.kind == SpanKind::Server {
            return Err(NotBooked::OfEngine);
        }
        let When { start, duration, is_doubtful } = when(span, self.clock);
        let mut word = |name: Name, text| self.words.shared(name, text);
        let error = word(Name::Error, call.text(Name::Error));
        let error = error.or_else(|| span.failed.then_some(Text::Static(OTHER_ERROR)));
        let (usage, cached_input) = match usage::usage(call, origin.scope) {
            // A call that failed has used nothing that anybody was told of.
            Err(NoUsage::Unknown) if error.is_some() => (TokenUsage::default(), false),
            usage => usage.map_err(NotBooked::Tokens)?,
        };
        let asked = call.text(Name::RequestModel).map(model::named);
        let answered = call.text(Name::ResponseModel).map(model::named);
        // Some name who made the model where they should name who serves it.
        let provider = asked.as_ref().and_then(model::Named::provider);
        let provider = provider.or_else(|| call.text(Name::Provider).filter(|name| !model::is_framework(name)));
        let provider = provider.or_else(|| Some(call.text(Name::RoutedModel)?.split_once('/')?.0));
        let region = region(call, origin.resource, provider);
        let region = region.or_else(|| answered.as_ref().or(asked.as_ref()).and_then(|model| model.region));
        let request_model = word(Name::RequestModel, asked.map(|model| model.name));
        let response_model = word(Name::ResponseModel, answered.map(|model| model.name));
        let service = word(Name::Service, origin.resource.service).unwrap_or(Text::Static(UNKNOWN_SERVICE));
        let key = InferenceKey {
            model: response_model.or_else(|| request_model.clone()).unwrap_or(Text::Static(UNKNOWN)),
            provider: word(Name::Provider, provider).unwrap_or(Text::Static(UNKNOWN)),
            service,
            agent: word(Name::Agent, call.text(Name::Agent)),
            operation: match operation {
                Operation::Known(name) => Text::Static(name),
                Operation::Unknown(name) => word(Name::Operation, Some(name)).unwrap_or(Text::Static(UNKNOWN)),
            },
        };
        let first_token = call.first_token();
        Ok(Inference {
            request_model,
            time_to_first_token: first_token.map(Seconds::new).filter(|&time| time <= duration || is_doubtful),
            finish_reason: word(Name::FinishReason, call.first_text(Name::FinishReason)),
            tools: call.tools(),
            region: word(Name::Region, region),
            server_address: word(Name::ServerAddress, call.text(Name::ServerAddress)),
            service_tier: word(Name::ServiceTier, call.text(Name::ServiceTier)),
            error,
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
            ..Inference::new(key, start, duration, usage)
        })
    }

    fn activity(&mut self, origin: &Origin<'_, 'a>, span: &Span<'a>, call: &Call<'a>, kind: ActivityKind) -> Role {
        let When { start, duration, is_doubtful: _ } = when(span, self.clock);
        let mut word = |name: Name, text| self.words.shared(name, text);
        let error = word(Name::Error, call.text(Name::Error));
        let activity = AgentActivity {
            kind,
            service: word(Name::Service, origin.resource.service).unwrap_or(Text::Static(UNKNOWN_SERVICE)),
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

    fn finish(self) -> Calls {
        let Self { mut calls, leaves, .. } = self;
        let found = leaves.found();
        for (call, agent) in calls.booked.iter_mut().map(|call| &mut call.key.agent).zip(found.agents_of_calls) {
            *call = call.take().or(agent);
        }
        for (activity, agent) in calls.activities.iter_mut().zip(found.agents_of_activities) {
            activity.agent = activity.agent.take().or(agent);
        }
        leave_out(&mut calls, &found.repeated);
        calls
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

/// Where the model ran, as far as the span tells. The region of the caller is the region of the model only where the
/// provider's address is regional, as that of Amazon Bedrock is.
fn region<'a>(call: &Call<'a>, resource: &Resource<'a>, provider: Option<&str>) -> Option<&'a str> {
    let of_address = || {
        let mut labels = call.text(Name::ServerAddress)?.strip_suffix(".amazonaws.com")?.rsplit('.');
        labels.next().filter(|_region| labels.next().is_some())
    };
    let of_caller = || resource.region.filter(|_region| provider == Some("aws.bedrock"));
    call.text(Name::Region).or_else(of_address).or_else(of_caller)
}

#[cfg(test)]
mod tests;
