//! Metrics of applications that tell of tokens.
//!
//! To teach wattline another one, add a line to [`SUMS`] and a test that bears it.

use memchr::memmem;
use wattline_core::reading::{TokenKind, TokenSum};
use wattline_core::subject::InferenceKey;
use wattline_core::{Text, Timestamp, metrics};
use wattline_wire::points::{Point, points};
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, Attributes};

use super::words::word;
use super::{Normaliser, UNKNOWN, UNKNOWN_SERVICE, model};
use crate::identity::hash;

/// A counter or histogram of tokens.
struct Sum {
    name: &'static str,
    /// Who serves the model, where the points do not tell.
    provider: Option<&'static str>,
    /// The label that says which tokens are counted; or, where there is none, the kind that the name says.
    kind: Kind,
}

enum Kind {
    Of(TokenKind),
    Label(&'static str),
}

/// Counters of tokens, each of which a program may send beside spans or events that tell the same.
///
/// Sources: the semantic conventions for generative AI up to 1.41 and their working copy; Anthropic, "Monitoring usage" of
/// Claude Code; openai/codex, `codex-rs/otel`; google-gemini/gemini-cli, `docs/telemetry.md`.
static SUMS: &[Sum] = &[
    Sum { name: metrics::GEN_AI_TOKEN_USAGE.descriptor().name, provider: None, kind: Kind::Label("gen_ai.token.type") },
    Sum { name: metrics::GEN_AI_USAGE_INPUT.descriptor().name, provider: None, kind: Kind::Of(TokenKind::Input) },
    Sum { name: metrics::GEN_AI_USAGE_OUTPUT.descriptor().name, provider: None, kind: Kind::Of(TokenKind::Output) },
    Sum {
        name: metrics::GEN_AI_USAGE_CACHE_READ.descriptor().name,
        provider: None,
        kind: Kind::Of(TokenKind::CacheRead),
    },
    Sum {
        name: metrics::GEN_AI_USAGE_CACHE_WRITE.descriptor().name,
        provider: None,
        kind: Kind::Of(TokenKind::CacheWrite),
    },
    Sum {
        name: metrics::GEN_AI_USAGE_REASONING.descriptor().name,
        provider: None,
        kind: Kind::Of(TokenKind::Reasoning),
    },
    Sum { name: "claude_code.token.usage", provider: Some("anthropic"), kind: Kind::Label("type") },
    Sum { name: "codex.turn.token_usage", provider: Some("openai"), kind: Kind::Label("token_type") },
    Sum { name: "gemini_cli.token.usage", provider: Some("gcp.gemini"), kind: Kind::Label("type") },
];

/// What the label says, and whether the tokens stand beside those of the kind that they are part of.
const KINDS: &[(&str, TokenKind)] = &[
    ("input", TokenKind::Input),
    ("output", TokenKind::Output),
    ("completion", TokenKind::Output),
    ("prompt", TokenKind::Input),
    ("cacheRead", TokenKind::CacheReadBeside), // Claude Code
    ("cacheCreation", TokenKind::CacheWriteBeside),
    ("cached_input", TokenKind::CacheRead), // Codex
    ("reasoning_output", TokenKind::Reasoning),
    ("cache", TokenKind::CacheRead), // Gemini CLI
    ("thought", TokenKind::ReasoningBeside),
];

/// Words that no metric of ours is without.
const MARKS: [&[u8]; 4] = [b"gen_ai.client.", b"claude_code.token", b"codex.turn.token", b"gemini_cli.token"];

impl Normaliser {
    /// Reads the sums of tokens out of an export request of metrics. Most requests have none, and are searched for a few
    /// words only.
    pub fn sums(&self, request: &[u8], now: Timestamp) -> Result<Vec<TokenSum>, Error> {
        let mut sums = Vec::new();
        if MARKS.iter().any(|mark| memmem::find(request, mark).is_some()) {
            let is_wanted = |name: &str| SUMS.iter().any(|sum| sum.name == name);
            points(request, is_wanted, |point| {
                sums.extend(sum_of(&point, now)?);
                Ok(())
            })?;
        }
        Ok(sums)
    }
}

fn sum_of(point: &Point<'_>, now: Timestamp) -> Result<Option<TokenSum>, Error> {
    let Some(sum) = SUMS.iter().find(|sum| sum.name == point.name) else { return Ok(None) };
    let mut labels = Labels::default();
    labels.read(point.attributes(), sum)?;
    let kind = match sum.kind {
        Kind::Of(kind) => Some(kind),
        Kind::Label(_) => KINDS.iter().find(|(word, _)| Some(*word) == labels.kind).map(|(_, kind)| *kind),
    };
    // A total repeats its parts, and nobody knows what else there may be.
    let Some(kind) = kind.filter(|_| point.sum >= 0.0 && point.sum.is_finite()) else { return Ok(None) };
    let mut service = None;
    let mut instance = 0;
    for attribute in point.resource_attributes() {
        let attribute = attribute?;
        instance = hash(attribute.key) ^ fold(instance, attribute.raw());
        if attribute.key == "service.name"
            && let AnyValue::Text(text) = attribute.value()?
        {
            service = word(Some(text));
        }
    }
    let asked = labels.request_model.map(model::named);
    let answered = labels.response_model.map(model::named);
    let word = |said: Option<&str>, otherwise| word(said).unwrap_or(Text::Static(otherwise));
    let provider = labels.provider.or(sum.provider).or_else(|| asked.and_then(|model| model.provider()));
    Ok(Some(TokenSum {
        series: labels.series ^ instance ^ hash(point.name),
        key: InferenceKey {
            model: word(answered.or(asked).map(|model| model.name), UNKNOWN),
            provider: word(provider, UNKNOWN),
            service: service.unwrap_or(Text::Static(UNKNOWN_SERVICE)),
            agent: None,
            operation: word(labels.operation, "chat"),
        },
        kind,
        tokens: point.sum,
        calls: point.count.filter(|_| kind == TokenKind::Input),
        is_delta: point.is_delta,
        start: Timestamp::from_unix_nanos(point.start_unix_nanos),
        at: match point.time_unix_nanos {
            0 => now,
            nanos => Timestamp::from_unix_nanos(nanos).min(now),
        },
    }))
}

/// What the labels of a point say.
#[derive(Default)]
struct Labels<'a> {
    kind: Option<&'a str>,
    request_model: Option<&'a str>,
    response_model: Option<&'a str>,
    provider: Option<&'a str>,
    operation: Option<&'a str>,
    /// Tells the point's series from others.
    series: u64,
}

impl<'a> Labels<'a> {
    fn read(&mut self, attributes: Attributes<'a>, sum: &Sum) -> Result<(), Error> {
        for attribute in attributes {
            let attribute = attribute?;
            // Labels may come in any order.
            self.series ^= fold(hash(attribute.key), attribute.raw());
            let slot = match (attribute.key, &sum.kind) {
                (key, Kind::Label(label)) if key == *label => &mut self.kind,
                ("gen_ai.request.model" | "model", _) => &mut self.request_model,
                ("gen_ai.response.model", _) => &mut self.response_model,
                ("gen_ai.provider.name" | "gen_ai.system", _) => &mut self.provider,
                ("gen_ai.operation.name", _) => &mut self.operation,
                _ => continue,
            };
            if let AnyValue::Text(text) = attribute.value()? {
                *slot = Some(text);
            }
        }
        Ok(())
    }
}

fn fold(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue};
    use opentelemetry_proto::tonic::metrics::v1::{
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum as ProtoSum, metric, number_data_point,
    };
    use prost::Message;

    use super::*;

    fn label(key: &str, value: &str) -> KeyValue {
        let value = Some(ProtoValue { value: Some(Value::StringValue(value.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..Default::default() }
    }

    fn read(name: &str, labels: &[&[(&str, &str)]]) -> Vec<TokenSum> {
        let point = |labels: &&[(&str, &str)]| NumberDataPoint {
            attributes: labels.iter().map(|(key, value)| label(key, value)).collect(),
            time_unix_nano: 5,
            value: Some(number_data_point::Value::AsInt(70)),
            ..Default::default()
        };
        let data_points = labels.iter().map(point).collect();
        let data = metric::Data::Sum(ProtoSum { data_points, aggregation_temporality: 1, is_monotonic: true });
        let metrics = vec![Metric { name: name.to_owned(), data: Some(data), ..Default::default() }];
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }],
        };
        Normaliser::default().sums(&request.encode_to_vec(), Timestamp::from_unix_nanos(9)).unwrap()
    }

    #[test]
    fn the_types_of_tokens_are_told_apart() {
        let kinds = |name, label: &'static str, words: &[&'static str]| -> Vec<TokenKind> {
            let labels: Vec<_> = words.iter().map(|word| [(label, *word), ("model", "m")]).collect();
            let labels: Vec<&[(&str, &str)]> = labels.iter().map(<[_; 2]>::as_slice).collect();
            read(name, &labels).iter().map(|sum| sum.kind).collect()
        };
        assert_eq!(
            kinds("claude_code.token.usage", "type", &["input", "output", "cacheRead", "cacheCreation", "else"]),
            [TokenKind::Input, TokenKind::Output, TokenKind::CacheReadBeside, TokenKind::CacheWriteBeside]
        );
        assert_eq!(
            kinds("codex.turn.token_usage", "token_type", &["input", "cached_input", "reasoning_output", "total"]),
            [TokenKind::Input, TokenKind::CacheRead, TokenKind::Reasoning]
        );
        assert_eq!(kinds("gen_ai.client.inference.usage.input_tokens", "x", &["y"]), [TokenKind::Input]);
        assert_eq!(kinds("claude_code.cost.usage", "type", &["input"]), []);
    }

    #[test]
    fn labels_are_cut_and_empty_ones_say_nothing() {
        let long = "m".repeat(300);
        let sums = read(
            "claude_code.token.usage",
            &[&[("type", "input"), ("model", &long)], &[("type", "input"), ("model", " "), ("gen_ai.system", "")]],
        );
        assert_eq!((sums[0].key.model.len(), &*sums[0].key.operation), (256, "chat"));
        assert_eq!((&*sums[1].key.model, &*sums[1].key.provider), ("unknown", "unknown"));
    }

    #[test]
    fn series_are_told_apart_by_their_labels_in_whatever_order() {
        let one = read(
            "claude_code.token.usage",
            &[&[("type", "input"), ("model", "m")], &[("model", "m"), ("type", "input")]],
        );
        assert_eq!(one[0].series, one[1].series);
        let other = read("claude_code.token.usage", &[&[("type", "input"), ("model", "n")]]);
        assert_ne!(one[0].series, other[0].series);
        assert_eq!((&*one[0].key.model, &*one[0].key.provider, one[0].tokens), ("m", "anthropic", 70.0));
    }
}
