//! Requests of several services that call several models, and what makes each new.

use memchr::memmem;
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, Span, resource_spans};

use super::request::{Kind, request_of};

const SERVICES: [&str; 8] = ["shop", "search", "support", "billing", "mail", "translate", "review", "index"];

/// Who answers, under the names that instrumentations give.
const KINDS: [Kind; 8] = [
    Kind { provider: "openai", model: ["gpt-5-mini", "gpt-5-mini-2025-08-07"], address: "api.openai.com" },
    Kind { provider: "openai", model: ["gpt-4o", "gpt-4o-2024-08-06"], address: "api.openai.com" },
    Kind {
        provider: "anthropic",
        model: ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"],
        address: "api.anthropic.com",
    },
    Kind {
        provider: "aws.bedrock",
        model: ["us.anthropic.claude-haiku-4-5-20251001-v1:0"; 2],
        address: "bedrock-runtime.us-east-1.amazonaws.com",
    },
    Kind { provider: "gcp.gemini", model: ["gemini-2.5-flash"; 2], address: "generativelanguage.googleapis.com" },
    Kind { provider: "azure.ai.openai", model: ["gpt-4.1", "gpt-4.1-2025-04-14"], address: "shop.openai.azure.com" },
    Kind { provider: "mistral_ai", model: ["mistral-large-latest"; 2], address: "api.mistral.ai" },
    Kind { provider: "deepseek", model: ["deepseek-chat"; 2], address: "api.deepseek.com" },
];

/// An encoded request and the places in it that each sending writes anew.
pub(crate) struct Template {
    pub(crate) body: Vec<u8>,
    spans: Vec<Places>,
}

/// Where the ids and the times of a span are.
struct Places {
    trace: usize,
    span: usize,
    parent: usize,
    start: usize,
    end: usize,
    answer: usize,
}

/// A request of each service.
pub(crate) fn templates() -> Result<Vec<Template>, Error> {
    let template = |(shift, service): (usize, &&str)| {
        let kind = |index| {
            let at = usize::try_from(index).unwrap_or_default() + shift;
            KINDS.get(at % KINDS.len()).copied().unwrap_or(KINDS[0])
        };
        let body = request_of(service, kind);
        let mut spans = Vec::new();
        for group in resource_spans(&body) {
            for scope in group?.scopes() {
                for span in scope?.spans() {
                    spans.push(places(&body, &span?)?);
                }
            }
        }
        Ok(Template { body, spans })
    };
    SERVICES.iter().enumerate().map(template).collect()
}

fn places(body: &[u8], span: &Span<'_>) -> Result<Places, Error> {
    let at = |part: &[u8]| part.as_ptr().addr() - body.as_ptr().addr();
    let time = |nanos: u64| memmem::find(body, &nanos.to_le_bytes()).unwrap_or_default();
    let mut answer = 0;
    for attribute in span.attributes() {
        let attribute = attribute?;
        if let ("gen_ai.response.id", AnyValue::Text(text)) = (attribute.key, attribute.value()?) {
            // Behind "chatcmpl-".
            answer = at(text.as_bytes()) + 9;
        }
    }
    Ok(Places {
        trace: at(span.trace_id),
        span: at(span.span_id),
        parent: at(span.parent_span_id),
        start: time(span.start_unix_nanos),
        end: time(span.end_unix_nanos),
        answer,
    })
}

impl Template {
    /// Writes ids and times into a copy of the body: those of the request `number` of a run, ended at `now`.
    pub(crate) fn write(&self, body: &mut [u8], run: u64, number: u64, now: u64) {
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = body.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        for (index, places) in (0_u64..).zip(&self.spans) {
            let id = mixed(run << 32 | (number * super::request::SPANS + index));
            put(places.trace, &number.to_be_bytes());
            put(places.trace + 8, &mixed((run << 16) | (index / 4)).to_be_bytes());
            put(places.span, &id.to_be_bytes());
            put(places.parent, &mixed(id).to_be_bytes());
            let end = now - index * 1_000_000;
            put(places.start, &(end - 500_000_000 - id % 8_000_000_000).to_le_bytes());
            put(places.end, &end.to_le_bytes());
            put(places.answer, &digits(id));
            put(places.answer + 16, &digits(mixed(!id))[..8]);
        }
    }
}

/// The number of a request, by the trace id of one of its spans.
pub(crate) fn number(trace: &[u8]) -> u64 {
    trace.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

fn digits(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().enumerate() {
        let of = u8::try_from(number >> (4 * place) & 15).unwrap_or_default();
        *digit = if of < 10 { b'0' + of } else { b'a' + of - 10 };
    }
    digits
}

/// Numbers that look like chance and are all different.
/// Source: `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
