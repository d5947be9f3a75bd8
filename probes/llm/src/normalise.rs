//! Spans of language model calls, read into [`Inference`].
//!
//! A call is told by a *leaf inference span*: its `gen_ai.operation.name` is chat, `text_completion`,
//! `generate_content` or embeddings, or it has none and is a client span with a model and with token counts. Spans of
//! agents, tools and workflows repeat what the calls below them used, and so may an inference span that has another
//! one below it in the same request: only the lowest is booked. Twins that arrive in different requests are not
//! paired yet.
//!
//! - A call without any token count is not booked: nothing is known about it but that it was. It is counted.
//! - A count that is no whole number from 0 to 10^9 cannot be believed, and neither can the others of its call: the
//!   call is not booked and counted.
//! - Input includes cached tokens by convention. If what was read from and written to caches together exceeds the
//!   input, the sender counts them apart, and they are added; in the same way reasoning that exceeds the output.
//! - A span of the called side (kind server) tells of an engine's own work and is not booked here. It is counted.
//! - Without sampling information in `tracestate` (`ot=th:...`, W3C level 2 and OpenTelemetry's probability sampling)
//!   each call stands for itself.
//!
//! What was said is never read: prompts and answers stay in the bytes, and no value here holds any part of them.

mod attributes;
mod leaves;
mod sampling;
mod words;

use wattline_core::reading::{Inference, TokenUsage};
use wattline_core::subject::InferenceKey;
use wattline_core::{Ratio, Seconds, Text, Timestamp};
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, ResourceSpans, Span, SpanKind, resource_spans};

use attributes::{Call, Name};
use leaves::{Class, Leaves};
use words::Words;

/// The most tokens that one call can have used. A larger count is a mistake of the sender.
const MOST_TOKENS: u64 = 1_000_000_000;
/// What a span without a provider or a model is booked under.
const UNKNOWN: &str = "unknown";
/// What OpenTelemetry calls a service without a name.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// The calls that one request tells of, and how many spans of calls tell of none.
#[derive(Debug, Default, PartialEq)]
pub struct Calls {
    /// Completed calls, each once.
    pub booked: Vec<Box<Inference>>,
    /// Spans left out because a span below them tells of the same call.
    pub repeated: u64,
    /// Calls without any token count.
    pub without_tokens: u64,
    /// Calls whose token counts cannot be believed.
    pub absurd_tokens: u64,
    /// Spans of the engine that was called.
    pub of_engines: u64,
}

/// Reads the calls out of an export request of spans. A call without an end is taken to have ended at `now`.
pub fn calls(request: &[u8], now: Timestamp) -> Result<Calls, Error> {
    let mut reader = CallReader { now, words: Words::default(), leaves: Leaves::default(), calls: Calls::default() };
    for group in resource_spans(request) {
        let group = group?;
        let resource = Resource::read(&group)?;
        for scope in group.scopes() {
            for span in scope?.spans() {
                reader.read(&resource, &span?)?;
            }
        }
    }
    Ok(reader.finish())
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

/// Why a span of a call is not booked.
enum NotBooked {
    WithoutTokens,
    AbsurdTokens,
    OfEngine,
}

struct CallReader<'a> {
    now: Timestamp,
    words: Words<'a>,
    leaves: Leaves,
    calls: Calls,
}

impl<'a> CallReader<'a> {
    fn read(&mut self, resource: &Resource<'a>, span: &Span<'a>) -> Result<(), Error> {
        let call = Call::read(span)?;
        let booked = match operation(&call, span.kind) {
            None => None,
            Some(operation) => match self.inference(resource, span, &call, operation) {
                Ok(inference) => {
                    self.calls.booked.push(Box::new(inference));
                    Some(if operation == "embeddings" { Class::Embeddings } else { Class::Generation })
                }
                Err(reason) => {
                    *match reason {
                        NotBooked::WithoutTokens => &mut self.calls.without_tokens,
                        NotBooked::AbsurdTokens => &mut self.calls.absurd_tokens,
                        NotBooked::OfEngine => &mut self.calls.of_engines,
                    } += 1;
                    None
                }
            },
        };
        self.leaves.add(span, booked);
        Ok(())
    }

    fn inference(
        &mut self,
        resource: &Resource<'a>,
        span: &Span<'a>,
        call: &Call<'a>,
        operation: &'static str,
    ) -> Result<Inference, NotBooked> {
        if span.kind == SpanKind::Server {
            return Err(NotBooked::OfEngine);
        }
        let usage = usage(call)?;
        let mut word = |name: Name| self.words.shared(name, call.text(name));
        let request_model = word(Name::RequestModel);
        let response_model = word(Name::ResponseModel);
        let provider = word(Name::Provider).unwrap_or(Text::Static(UNKNOWN));
        let agent = word(Name::Agent);
        let server_address = word(Name::ServerAddress);
        let service_tier = word(Name::ServiceTier);
        let error = word(Name::Error).or_else(|| span.failed.then_some(Text::Static("_OTHER")));
        let region = self.words.shared(Name::Region, region(call, resource));
        let service = self.words.shared(Name::Service, resource.service).unwrap_or(Text::Static(UNKNOWN_SERVICE));
        let model = response_model.or_else(|| request_model.clone()).unwrap_or(Text::Static(UNKNOWN));
        let end = if span.end_unix_nanos == 0 { self.now } else { Timestamp::from_unix_nanos(span.end_unix_nanos) };
        let start = if span.start_unix_nanos == 0 { end } else { Timestamp::from_unix_nanos(span.start_unix_nanos) };
        let duration: Seconds = end.since(start);
        let probability: Ratio = sampling::probability(span.trace_state);
        let key = InferenceKey { model, provider, service, agent, operation: Text::Static(operation) };
        Ok(Inference {
            request_model,
            region,
            server_address,
            service_tier,
            error,
            probability,
            ..Inference::new(key, start, duration, usage)
        })
    }

    fn finish(self) -> Calls {
        let Self { mut calls, leaves, .. } = self;
        let repeated = leaves.repeated();
        if !repeated.is_empty() {
            let mut index = 0;
            calls.booked.retain(|_| {
                index += 1;
                !repeated.get(index - 1).copied().unwrap_or(false)
            });
            calls.repeated = repeated.iter().filter(|&&repeated| repeated).count() as u64;
        }
        calls
    }
}

/// The operation of an inference span; `None` for every other span.
fn operation(call: &Call<'_>, kind: SpanKind) -> Option<&'static str> {
    const INFERENCE: [&str; 4] = ["chat", "text_completion", "generate_content", "embeddings"];
    if let Some(operation) = call.text(Name::Operation) {
        return INFERENCE.into_iter().find(|known| *known == operation);
    }
    let has_model = call.has(Name::RequestModel) || call.has(Name::ResponseModel);
    let has_usage = call.has(Name::Input) || call.has(Name::Output);
    (kind == SpanKind::Client && has_model && has_usage).then_some(UNKNOWN)
}

fn usage(call: &Call<'_>) -> Result<TokenUsage, NotBooked> {
    if !call.has(Name::Input) && !call.has(Name::Output) {
        return Err(NotBooked::WithoutTokens);
    }
    let tokens = |name| match call.value(name) {
        None => Ok(0),
        Some(value) => whole_tokens(value).ok_or(NotBooked::AbsurdTokens),
    };
    let (input, output) = (tokens(Name::Input)?, tokens(Name::Output)?);
    let (cache_read, cache_write) = (tokens(Name::CacheRead)?, tokens(Name::CacheWrite)?);
    let reasoning = tokens(Name::Reasoning)?;
    let cached = cache_read + cache_write;
    Ok(TokenUsage {
        input: if cached > input { input + cached } else { input },
        output: if reasoning > output { output + reasoning } else { output },
        cache_read,
        cache_write,
        // No attribute that emitters agree on tells for how long a cache was written.
        cache_write_1h: 0,
        reasoning,
    })
}

/// A count of tokens that can be believed. Some senders write it as a text or as a floating-point number.
fn whole_tokens(value: &AnyValue<'_>) -> Option<u64> {
    let count = match value {
        AnyValue::Int(count) => u64::try_from(*count).ok(),
        AnyValue::Double(count) => whole(*count),
        AnyValue::Text(text) => {
            let text = text.trim_ascii();
            text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
        }
        _ => None,
    };
    count.filter(|&count| count <= MOST_TOKENS)
}

fn whole(count: f64) -> Option<u64> {
    let in_range = (0.0..=MOST_TOKENS as f64).contains(&count);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range")]
    (in_range && count.fract() == 0.0).then_some(count as u64)
}

/// Where the model ran, as far as the span tells. The region of the caller is the region of the model only where the
/// provider's address is regional, as that of Amazon Bedrock is.
fn region<'a>(call: &Call<'a>, resource: &Resource<'a>) -> Option<&'a str> {
    let of_address = || {
        let mut labels = call.text(Name::ServerAddress)?.strip_suffix(".amazonaws.com")?.rsplit('.');
        labels.next().filter(|_region| labels.next().is_some())
    };
    let of_caller = || resource.region.filter(|_region| call.text(Name::Provider) == Some("aws.bedrock"));
    call.text(Name::Region).or_else(of_address).or_else(of_caller)
}

#[cfg(test)]
mod tests;
