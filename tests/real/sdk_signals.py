"""Signals as OpenTelemetry's own SDKs send them: metrics and log records by both exporters of the one for Python, all
three signals by all three exporters of the one for JavaScript."""

import subprocess
from collections.abc import Iterator, Sequence
from typing import Protocol

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from components import HERE, paths


class Ports(Protocol):
    """Something that listens for OTLP on loopback."""

    grpc: int
    http: int


def send(receivers: Sequence[Ports]) -> list[str]:
    """Sends the same to each of `receivers`, by each exporter, and returns the names of the services that it is of."""
    services = []
    for signal, way, data in _data():
        for ports in receivers:
            exporter = _exporter(signal, way, ports)
            result = exporter.export(data)
            exporter.shutdown()
            assert result.name == "SUCCESS", f"{signal} by {way}: {result}"
        services.append(f"relay-sdk-{signal}-{way}")
    return services + _send_by_javascript(receivers)


def _send_by_javascript(receivers: Sequence[Ports]) -> list[str]:
    # A script that comes by standard input finds the packages of the folder that it runs in.
    argv = ["node", "--input-type=module", "-", *(f"{ports.grpc}:{ports.http}" for ports in receivers)]
    with (HERE / "js" / "send.mjs").open() as script:
        sent = subprocess.run(argv, cwd=paths()["js"], stdin=script, capture_output=True, timeout=60, text=True)
    assert sent.returncode == 0, sent.stderr
    return sent.stdout.splitlines()


def _exporter(signal: str, way: str, ports: Ports) -> GrpcMetrics | HttpMetrics | GrpcLogs | HttpLogs:
    if way == "grpc":
        kind = GrpcMetrics if signal == "metrics" else GrpcLogs
        return kind(endpoint=f"127.0.0.1:{ports.grpc}", insecure=True, timeout=10)
    kind = HttpMetrics if signal == "metrics" else HttpLogs
    return kind(endpoint=f"http://127.0.0.1:{ports.http}/v1/{signal}", compression=Compression.Gzip, timeout=10)


def _data() -> Iterator[tuple[str, str, object]]:
    for way in ("grpc", "http"):
        yield "metrics", way, _metrics(Resource.create({"service.name": f"relay-sdk-metrics-{way}"}))
        yield "logs", way, _logs(Resource.create({"service.name": f"relay-sdk-logs-{way}"}))


def _metrics(resource: Resource) -> object:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], resource=resource)
    meter = provider.get_meter("tests.real", "1.0", schema_url="https://opentelemetry.io/schemas/1.37.0")
    meter.create_counter("orders", "{order}", "Orders taken.").add(3, {"shop": "Köln", "paid": True})
    meter.create_up_down_counter("waiting").add(-2)
    meter.create_gauge("share").set(0.25, {"parts": ("a", "b")})
    durations = meter.create_histogram("gen_ai.client.operation.duration", "s")
    for seconds in (0.1, 2.5, 70.0):
        durations.record(seconds, {"gen_ai.request.model": "gpt-4o"})
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def _logs(resource: Resource) -> object:
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    logger = provider.get_logger("tests.real", "1.0")
    bodies = ["it rains", {"role": "user", "content": ["Grüße", 1, 0.5, True]}, b"\x00\xff"]
    for number, body in enumerate(bodies):
        logger.emit(
            LogRecord(
                timestamp=1_700_000_000_000_000_000 + number,
                observed_timestamp=1_700_000_001_000_000_000 + number,
                severity_text="WARN",
                severity_number=SeverityNumber.WARN,
                body=body,
                attributes={"number": number},
                event_name="gen_ai.user.message",
            )
        )
    return kept.get_finished_logs()
