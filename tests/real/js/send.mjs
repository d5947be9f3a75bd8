// Sends spans, metrics and log records as OpenTelemetry's own JavaScript SDK has them, by each of its exporters, to
// each receiver. `node send.mjs GRPC:HTTP...` with the ports of the receivers on loopback. Prints the names of the
// services that it was of, and ends with status 1 when an exporter was refused.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter as LogsByGrpc } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as LogsByJson } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as LogsByProtobuf } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter as MetricsByGrpc } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as MetricsByJson } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as MetricsByProtobuf } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as TracesByGrpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as TracesByJson } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as TracesByProtobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const EXPORTERS = {
  traces: { grpc: TracesByGrpc, json: TracesByJson, protobuf: TracesByProtobuf },
  metrics: { grpc: MetricsByGrpc, json: MetricsByJson, protobuf: MetricsByProtobuf },
  logs: { grpc: LogsByGrpc, json: LogsByJson, protobuf: LogsByProtobuf },
};
const DATA = { traces: spans, metrics, logs };
const VALUES = {
  word: "Köln",
  whole: 3,
  part: 0.25,
  beyond32bits: 2 ** 40,
  yes: true,
  several: ["a", "b"],
  numbers: [1, 2.5],
};

const CALL = {
  "gen_ai.operation.name": "chat",
  "gen_ai.provider.name": "openai",
  "gen_ai.request.model": "gpt-4o",
  "gen_ai.usage.input_tokens": 1200,
  "gen_ai.usage.output_tokens": 300,
};

/** Has nothing to read on its own; it is asked. */
class OnDemand extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}

const receivers = process.argv.slice(2).map((ports) => ports.split(":"));
for (const [signal, exporters] of Object.entries(EXPORTERS)) {
  for (const [way, Exporter] of Object.entries(exporters)) {
    const service = `relay-js-${signal}-${way}`;
    const data = await DATA[signal](resourceFromAttributes({ "service.name": service, "host.id": "js" }));
    for (const [grpc, http] of receivers) {
      const url = way === "grpc" ? `http://127.0.0.1:${grpc}` : `http://127.0.0.1:${http}/v1/${signal}`;
      await send(new Exporter({ url, compression: way === "json" ? "none" : "gzip", timeoutMillis: 10_000 }), data);
    }
    console.log(service);
  }
}

async function send(exporter, data) {
  const { code, error } = await new Promise((resolve) => exporter.export(data, resolve));
  await exporter.shutdown();
  if (code !== 0) {
    throw error ?? new Error("the exporter failed and does not say why");
  }
}

async function spans(resource) {
  const kept = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(kept)] });
  const tracer = provider.getTracer("tests.real", "1.0");
  const parent = tracer.startSpan("invoke_agent", { kind: SpanKind.SERVER, attributes: VALUES }, ROOT_CONTEXT);
  const within = trace.setSpan(ROOT_CONTEXT, parent);
  const links = [{ context: parent.spanContext(), attributes: { why: "the same" } }];
  const call = tracer.startSpan("chat gpt-4o", { kind: SpanKind.CLIENT, links, attributes: CALL }, within);
  call.addEvent("first token", { after: 0.125 });
  call.recordException(new TypeError("no ü in here"));
  call.setStatus({ code: SpanStatusCode.ERROR, message: "cut off" });
  call.end();
  parent.end();
  await provider.forceFlush();
  return kept.getFinishedSpans();
}

async function metrics(resource) {
  const reader = new OnDemand();
  const provider = new MeterProvider({ resource, readers: [reader] });
  const meter = provider.getMeter("tests.real", "1.0");
  meter.createCounter("orders", { unit: "{order}", description: "Orders taken." }).add(3, VALUES);
  meter.createUpDownCounter("waiting").add(-2);
  meter.createGauge("share").record(0.25, { parts: ["a", "b"] });
  meter.createObservableGauge("depth", { unit: "m" }).addCallback((depth) => depth.observe(-11.5, { sea: "dead" }));
  const durations = meter.createHistogram("gen_ai.client.operation.duration", { unit: "s" });
  for (const seconds of [0.1, 2.5, 70]) {
    durations.record(seconds, { "gen_ai.request.model": "gpt-4o" });
  }
  const { resourceMetrics, errors } = await reader.collect();
  if (errors.length > 0) {
    throw errors[0];
  }
  return resourceMetrics;
}

async function logs(resource) {
  const kept = new InMemoryLogRecordExporter();
  const provider = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter: kept })] });
  const logger = provider.getLogger("tests.real", "1.0");
  const bodies = ["it rains", { role: "user", content: ["Grüße", 1, 0.5, true] }, new Uint8Array([0, 255])];
  for (const [number, body] of bodies.entries()) {
    logger.emit({
      body,
      timestamp: 1_700_000_000_000 + number,
      observedTimestamp: 1_700_000_001_000 + number,
      severityNumber: SeverityNumber.WARN,
      severityText: "WARN",
      attributes: { ...VALUES, number },
      eventName: "gen_ai.user.message",
    });
  }
  await provider.forceFlush();
  return kept.getFinishedLogRecords();
}
