//! The exporters of the OpenTelemetry SDK for Rust as senders.

use opentelemetry::trace::{Span, SpanKind, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use opentelemetry_otlp::{Compression, Protocol, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData, SpanExporter as _};
use prost::Message;

use crate::support::{Running, Setup};

/// An agent that calls a model through a framework, as the SDK records it: the framework's span repeats the call.
fn spans() -> (Resource, Vec<SpanData>) {
    let resource = Resource::builder_empty().with_service_name("shop").build();
    let recorded = InMemorySpanExporter::default();
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(recorded.clone()).with_resource(resource.clone()).build();
    let tracer = provider.tracer("test");
    let call = |parent: &Context| {
        let attributes = [
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", "openai"),
            KeyValue::new("gen_ai.request.model", "gpt"),
            KeyValue::new("gen_ai.usage.input_tokens", 11),
            KeyValue::new("gen_ai.usage.output_tokens", 22),
        ];
        tracer
            .span_builder("chat gpt")
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .start_with_context(&tracer, parent)
    };
    let agent = tracer.span_builder("invoke_agent").start(&tracer);
    let agent = Context::new().with_span(agent);
    let framework = agent.with_span(call(&agent));
    let mut sdk = call(&framework);
    sdk.end();
    framework.span().end();
    agent.span().end();
    (resource, recorded.get_finished_spans().unwrap())
}

async fn export(exporter: SpanExporter, running: &mut Running) {
    let (resource, spans) = spans();
    let mut exporter = exporter;
    exporter.set_resource(&resource);
    exporter.export(spans).await.unwrap();
    let (calls, envelopes, counted) = running.seen();
    assert_eq!(calls.len(), 1, "{calls:?}");
    let key = &calls[0].key;
    assert_eq!((key.service.as_str(), key.model.as_str(), key.provider.as_str()), ("shop", "gpt", "openai"));
    assert_eq!((calls[0].usage.input, calls[0].usage.output), (11, 22));
    let relayed =
        opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest::decode(envelopes[0].body.clone());
    assert_eq!(relayed.unwrap().resource_spans.len(), 1);
    assert_eq!(counted, "wattline.received traces 3");
}

#[tokio::test]
async fn the_grpc_exporter_of_the_rust_sdk_is_understood() {
    let mut running = Setup::default().start();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("http://{}", running.grpc))
        .with_compression(Compression::Gzip)
        .build()
        .unwrap();
    export(exporter, &mut running).await;
}

#[tokio::test]
async fn the_http_exporter_of_the_rust_sdk_is_understood() {
    let mut running = Setup::default().start();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("http://{}/v1/traces", running.http))
        .build()
        .unwrap();
    export(exporter, &mut running).await;
}
