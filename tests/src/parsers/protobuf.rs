//! A body of OTLP in protobuf, on the way that a request takes: judged, read, treated, enriched.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use wattline_core::Signal;
use wattline_probe_llm::bedrock::{Rules, calls_of_logs};
use wattline_probe_llm::normalise::{Calls, Normaliser};
use wattline_wire::content::{Treatment, without_content};
use wattline_wire::enrich::{Attribute, SpanId, Value, with_attributes};
use wattline_wire::schema::{Limits, check};

use super::{NOW, calls};

/// The signals, each of which has a request of its own.
pub(super) const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];
/// Decoders have no limit of attributes, and here they are what ours is compared with.
const UNLIMITED: Limits = Limits { attributes: u32::MAX };
/// What stands in the place of content. Hashes of it would be hashed again, and this is not.
const HIDDEN: Treatment<'_> = Treatment::Replace(&|_| "hidden".to_owned());
/// Some of the names that content has, by conventions of six makers. Spelled out, so that the table of them is not
/// compared with itself.
const CONTENT: [&str; 8] = [
    "gen_ai.input.messages",
    "gen_ai.prompt",
    "gen_ai.tool.call.arguments",
    "gen_ai.completion.0.content",
    "input.value",
    "llm.input_messages.0.message.content",
    "ai.prompt.messages",
    "mlflow.spanInputs",
];

/// Plays a body as a request of each signal.
pub fn play(body: &[u8]) {
    for signal in SIGNALS {
        let judged = check(signal, body, UNLIMITED);
        let decoded = Decoded::read(signal, body);
        assert_eq!(judged.is_ok(), decoded.is_some(), "{signal:?}: judged otherwise than by prost: {judged:?}");
        if let (Ok(items), Some(decoded)) = (judged, decoded) {
            assert_eq!(items, decoded.items(), "{signal:?}: items");
            request(signal, body, items, &decoded);
        }
    }
}

/// What holds of a request that was accepted.
fn request(signal: Signal, body: &[u8], items: u64, decoded: &Decoded) {
    let normaliser = Normaliser::default();
    match signal {
        Signal::Metrics => {
            let sums = normaliser.sums(body, NOW).unwrap_or_else(|error| panic!("sums: {error}"));
            for sum in &sums {
                calls::sum(sum, NOW);
            }
            assert!(sums.len() as u64 <= items, "{} sums in {items} points", sums.len());
        }
        Signal::Logs => {
            let calls = normaliser.logs(body, NOW).unwrap_or_else(|error| panic!("logs: {error}"));
            read(&calls, items);
            let told =
                calls_of_logs(body, &Rules::default(), NOW).unwrap_or_else(|error| panic!("logs of AWS: {error}"));
            super::bedrock::told(&told);
        }
        Signal::Traces => {
            let calls = normaliser.spans(body, NOW).unwrap_or_else(|error| panic!("spans: {error}"));
            read(&calls, items);
            unmoved_by_content(&normaliser, body, &calls);
            enriched(body, items, decoded, &calls);
        }
    }
    treated(signal, body, items, decoded);
}

/// Each item tells of one thing at most, and what it tells is possible.
fn read(calls: &Calls, items: u64) {
    calls.booked.iter().for_each(|call| calls::call(call, NOW));
    calls.activities.iter().for_each(|activity| calls::activity(activity, NOW));
    let Calls { booked, activities, repeated, without_tokens, absurd_tokens, contradictory_tokens, of_engines } = calls;
    let told = (booked.len() + activities.len()) as u64;
    let told = told + repeated + without_tokens + absurd_tokens + contradictory_tokens + of_engines;
    assert!(told <= items, "{items} items tell of {told} things");
}

/// What was said decides nothing: without it the same calls are read, but for the tools and for the hash of it.
fn unmoved_by_content(normaliser: &Normaliser, body: &[u8], calls: &Calls) {
    let Some(treated) = treat(Signal::Traces, body, Treatment::Drop) else { return };
    let mut others = normaliser.spans(&treated, NOW).unwrap_or_else(|error| panic!("spans without content: {error}"));
    for (call, other) in calls.booked.iter().zip(&mut others.booked) {
        other.tools = call.tools;
        other.identity.prompt = call.identity.prompt;
    }
    assert_eq!(&others, calls, "calls without content");
}

/// Spans that are named bear what is told of them behind their own attributes, and nothing else changes.
fn enriched(body: &[u8], items: u64, decoded: &Decoded, calls: &Calls) {
    let figures: [Attribute; 2] = [("energy", Value::Number(1.5)), ("method", Value::Text("modelled".to_owned()))];
    let told: BTreeMap<SpanId, Vec<Attribute>> =
        calls.booked.iter().map(|call| ((call.identity.trace, call.identity.span), figures.to_vec())).collect();
    let enriched = with_attributes(body, &told).unwrap_or_else(|error| panic!("enriching: {error}"));
    let Some(enriched) = enriched else { return assert!(told.is_empty(), "no span is one of {:?}", told.keys()) };
    assert_eq!(check(Signal::Traces, &enriched, UNLIMITED), Ok(items), "an enriched request");
    let Some(Decoded::Traces(mut enriched)) = Decoded::read(Signal::Traces, &enriched) else { panic!("not read") };
    for span in spans(&mut enriched).filter(|span| told.contains_key(&id(span))) {
        let own = span.attributes.len().checked_sub(figures.len()).unwrap_or_else(|| panic!("nothing was added"));
        let added = span.attributes.split_off(own);
        assert!(added.iter().map(|added| added.key.as_str()).eq(["energy", "method"]), "{added:?}");
    }
    assert!(Decoded::Traces(enriched).encoded() == decoded.encoded(), "enriching changes something else");
}

fn spans(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
    request.resource_spans.iter_mut().flat_map(|group| &mut group.scope_spans).flat_map(|scope| &mut scope.spans)
}

fn id(span: &Span) -> SpanId {
    let trace = span.trace_id.as_slice().try_into().map_or(0, u128::from_be_bytes);
    (trace, span.span_id.as_slice().try_into().map_or(0, u64::from_be_bytes))
}

fn treat(signal: Signal, body: &[u8], treatment: Treatment<'_>) -> Option<Vec<u8>> {
    without_content(signal, body, treatment).unwrap_or_else(|error| panic!("treating content: {error}"))
}

/// Content is gone or hidden, once and for all, and nothing else changes.
fn treated(signal: Signal, body: &[u8], items: u64, decoded: &Decoded) {
    for (what, treatment) in [("dropped", Treatment::Drop), ("hidden", HIDDEN)] {
        let Some(treated) = treat(signal, body, treatment) else { continue };
        assert_eq!(check(signal, &treated, UNLIMITED), Ok(items), "content {what}");
        let again = treat(signal, &treated, treatment);
        let Some(mut bare) = Decoded::read(signal, &treated) else { panic!("content {what}: not read") };
        if what == "dropped" {
            assert_eq!(again, None, "content is left");
            bare.each_attributes(&mut |attributes| {
                let left = attributes.iter().find(|attribute| CONTENT.contains(&attribute.key.as_str()));
                assert!(left.is_none(), "left: {left:?}");
            });
        } else {
            assert!(again.is_some_and(|again| again == treated), "what is hidden is hidden otherwise");
        }
        let mut whole = decoded.clone();
        whole.strip(what == "dropped");
        bare.strip(what == "dropped");
        assert!(whole.encoded() == bare.encoded(), "content {what}: something else changes");
    }
}

/// A request as the protocol's own crate reads it.
#[derive(Clone, Debug)]
pub(super) enum Decoded {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

impl Decoded {
    pub(super) fn read(signal: Signal, body: &[u8]) -> Option<Self> {
        match signal {
            Signal::Traces => ExportTraceServiceRequest::decode(body).ok().map(Self::Traces),
            Signal::Logs => ExportLogsServiceRequest::decode(body).ok().map(Self::Logs),
            Signal::Metrics => ExportMetricsServiceRequest::decode(body).ok().map(Self::Metrics),
        }
    }

    /// In the order and form that the crate writes, so that numbers that are none compare.
    pub(super) fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Traces(request) => request.encode_to_vec(),
            Self::Logs(request) => request.encode_to_vec(),
            Self::Metrics(request) => request.encode_to_vec(),
        }
    }

    /// As OTLP/JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        let written = match self {
            Self::Traces(request) => serde_json::to_vec(request),
            Self::Logs(request) => serde_json::to_vec(request),
            Self::Metrics(request) => serde_json::to_vec(request),
        };
        written.unwrap_or_else(|error| panic!("writing JSON: {error}"))
    }

    fn items(&self) -> u64 {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        let count = match self {
            Self::Traces(request) => {
                request.resource_spans.iter().flat_map(|group| &group.scope_spans).map(|scope| scope.spans.len()).sum()
            }
            Self::Logs(request) => {
                request.resource_logs.iter().flat_map(|group| &group.scope_logs).map(|s| s.log_records.len()).sum()
            }
            Self::Metrics(request) => {
                let scopes = request.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
                let points = scopes.flat_map(|scope| &scope.metrics).map(|metric| match &metric.data {
                    None => 0,
                    Some(Data::Gauge(gauge)) => gauge.data_points.len(),
                    Some(Data::Sum(sum)) => sum.data_points.len(),
                    Some(Data::Histogram(histogram)) => histogram.data_points.len(),
                    Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
                    Some(Data::Summary(summary)) => summary.data_points.len(),
                });
                points.sum::<usize>()
            }
        };
        count as u64
    }

    /// Takes out all that content may stand in: attributes and bodies of log records, and events of spans where they
    /// may go as a whole.
    fn strip(&mut self, with_events: bool) {
        self.each_attributes(&mut Vec::clear);
        match self {
            Self::Traces(request) if with_events => spans(request).for_each(|span| span.events.clear()),
            Self::Traces(_) | Self::Metrics(_) => {}
            Self::Logs(request) => {
                let scopes = request.resource_logs.iter_mut().flat_map(|group| &mut group.scope_logs);
                scopes.flat_map(|scope| &mut scope.log_records).for_each(|record| record.body = None);
            }
        }
    }

    /// Gives the attributes of each resource, scope, span, event, link and log record.
    fn each_attributes(&mut self, take: &mut impl FnMut(&mut Vec<KeyValue>)) {
        match self {
            Self::Traces(request) => {
                for group in &mut request.resource_spans {
                    group.resource.iter_mut().for_each(|resource| take(&mut resource.attributes));
                    for scope in &mut group.scope_spans {
                        scope.scope.iter_mut().for_each(|scope| take(&mut scope.attributes));
                        for span in &mut scope.spans {
                            take(&mut span.attributes);
                            span.events.iter_mut().for_each(|event| take(&mut event.attributes));
                            span.links.iter_mut().for_each(|link| take(&mut link.attributes));
                        }
                    }
                }
            }
            Self::Logs(request) => {
                for group in &mut request.resource_logs {
                    group.resource.iter_mut().for_each(|resource| take(&mut resource.attributes));
                    for scope in &mut group.scope_logs {
                        scope.scope.iter_mut().for_each(|scope| take(&mut scope.attributes));
                        scope.log_records.iter_mut().for_each(|record| take(&mut record.attributes));
                    }
                }
            }
            Self::Metrics(_) => {}
        }
    }
}
