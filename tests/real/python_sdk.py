"""OpenTelemetry's own Python SDK sends spans of language model calls through wattline to the Collector."""

import base64
import logging
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

import calls
import closure
import otlp
import wattline
from calls import CALLS, Bill, Call
from checks import Checks
from collector import backward, destination, doubles, misnamed, unclosed, untabled
from components import start_collector
from otlp import Point
from program import fetch, until
from wattline import Wattline

MICRO, NANO = closure.MICRO, closure.NANO

Spans = dict[tuple[str, str], dict]


class Complaints(logging.Handler):
    """What the SDK's exporters warn of: requests that were refused or partly refused."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the record."""
        self.said.append(record.getMessage())


def play(checks: Checks, folder: Path) -> None:
    """Both protocols into one wattline, and one protocol on to the Collector."""
    for onward in ("http/protobuf", "grpc"):
        scene = folder / f"python-sdk-{onward.split('/')[0]}"
        scene.mkdir()
        with checks.of(f"python sdk by grpc and http, on by {onward}"):
            _play(checks, scene, onward)


def _play(checks: Checks, folder: Path, onward: str) -> None:
    table = wattline.table()
    complaints = Complaints()
    logging.getLogger("opentelemetry").addHandler(complaints)
    collector = start_collector(folder)
    agent = wattline.start(folder, [destination(collector, onward)])
    began = time.time_ns() - calls.AGO_NANOS
    sent = {service: _send(service, exporter, began) for service, exporter in _exporters(agent).items()}
    wanted = sum(len(spans) for spans in sent.values())
    total = len(sent) * len(CALLS)
    try:
        until(
            "all spans and the books of their calls have arrived",
            lambda: len(_relayed(collector.traces)) >= wanted and _booked(collector.metrics) >= total,
            [collector.program, agent.program],
        )
        late: list[str] = []
    except TimeoutError as error:
        late = [str(error)]
    faults = agent.stop()
    page_status, page = fetch(collector.page)
    collector.program.stop()
    logging.getLogger("opentelemetry").removeHandler(complaints)

    points = otlp.points(collector.metrics)
    at = datetime.fromtimestamp(began / 1e9, UTC)
    bill = calls.bill(CALLS, at)
    for service in sent:
        checks.that(f"calls of {service} come to what independent sources say", unequal(points, service, bill))
    relayed = {key: span for spans in sent.values() for key, span in spans.items()}
    checks.that("every span goes on once, as it came", late + altered(relayed, collector.traces))
    checks.that("each metric has the unit and the instrument of the table", untabled(points, table))
    checks.that("no two points of a snapshot have one identity", doubles(points))
    checks.that("sums are cumulative, never go back and keep their start", backward(points))
    checks.that("the books of the machine close as before", unclosed(points))
    checks.that("the Prometheus page has the table's names and types", misnamed(page_status, page, points, table))
    checks.that("the SDK has nothing to complain of", complaints.said)
    checks.that("the Collector has nothing to complain of", collector.complaints())
    checks.that("wattline has nothing to complain of, and ends when asked to", faults)


def _exporters(agent: Wattline) -> dict[str, SpanExporter]:
    """By the name of the service that sends with it; one plain, one compressed."""
    http = f"http://127.0.0.1:{agent.http}/v1/traces"
    return {
        "real-grpc": GrpcExporter(endpoint=f"127.0.0.1:{agent.grpc}", insecure=True, timeout=10),
        "real-http": HttpExporter(endpoint=http, compression=Compression.Gzip, timeout=10),
    }


def _send(service: str, exporter: SpanExporter, began: int) -> Spans:
    """Sends the calls and some other spans as an instrumented program would; returns what was sent."""
    kept = InMemorySpanExporter()
    resource = Resource.create({"service.name": service, "service.namespace": "tests"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tests.real", "1.0", schema_url="https://opentelemetry.io/schemas/1.37.0")

    # An agent whose span repeats the tokens of the call below it: that call must be booked once.
    agent = tracer.start_span("invoke_agent planner", start_time=began, attributes=_agent(CALLS[0]))
    context = set_span_in_context(agent)
    for number, call in enumerate(CALLS):
        under = context if number == 0 else None
        attributes = calls.attributes(call, f"{service}-{number}")
        span = tracer.start_span(f"chat {call.asked}", under, SpanKind.CLIENT, attributes, start_time=began)
        span.end(began + round(call.seconds * 10**9))
    agent.end(began + round(CALLS[0].seconds * 10**9))
    caused = Link(agent.get_span_context(), {"why": "caused"})
    _other(tracer.start_span("refund", links=[caused], start_time=began), began)

    provider.shutdown()
    return _encoded(kept.get_finished_spans())


def _agent(call: Call) -> dict:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": call.provider,
        "gen_ai.agent.name": "planner",
        "gen_ai.request.model": call.asked,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
    }


def _other(span: Span, began: int) -> None:
    """A span that has nothing to do with models and everything that a span may have."""
    span.set_attributes({"flag": False, "zero": 0, "half": 0.5, "empty": "", "many": [1, 2, 3], "texts": ["a", ""]})
    span.add_event("half way", {"share": 0.5, "ok": True}, began + 1)
    span.record_exception(ValueError("no such order"), timestamp=began + 2)
    span.set_status(Status(StatusCode.ERROR, "no such order"))
    span.end(began + 3)


def unequal(points: list[Point], service: str, wanted: Bill) -> list[str]:
    """Where the last figures of a service's calls differ from the bill, in whole units of the books."""
    last = {point.identity: point for point in sorted(points, key=lambda point: point.time)}.values()
    mine = [point for point in last if point.attribute("service.name") == service]

    def total(metric: str, scale: int, **where: str) -> int:
        keys = {key.replace("_", "."): value for key, value in where.items()}
        chosen = [each for each in mine if each.metric == metric and keys.items() <= dict(each.attributes).items()]
        return sum(round((each.value or 0) * scale) for each in chosen)

    def tokens(kind: str) -> int:
        usage = [each for each in mine if each.metric == "gen_ai.client.token.usage"]
        return sum(round(each.histogram["sum"]) for each in usage if each.attribute("gen_ai.token.type") == kind)

    got = Bill(
        calls=total("inference.calls", 1),
        input_tokens=tokens("input"),
        output_tokens=tokens("output"),
        microjoules=total("inference.energy", MICRO, energy_origin="remote"),
        operational_nanograms=total("inference.carbon", NANO, carbon_kind="operational"),
        embodied_nanograms=total("inference.carbon", NANO, carbon_kind="embodied"),
        nano_dollars=total("inference.cost.usd", NANO),
    )
    return [
        f"{name.replace('_', ' ')}: {value} arrived, {getattr(wanted, name)} is right"
        for name, value in vars(got).items()
        if value != getattr(wanted, name)
    ]


def _booked(metrics: Path) -> int:
    """How many calls the newest figures tell of."""
    last = {point.identity: point for point in otlp.points(metrics) if point.metric == "inference.calls"}
    return round(sum(point.value or 0 for point in last.values()))


def altered(sent: Spans, traces: Path) -> list[str]:
    """Spans that are missing, doubled, invented or other than they were sent."""
    got = _relayed(traces)
    arrived: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for key, span in got:
        arrived[key].append(span)
    faults = [f"{sent[key]['span']['name']} is missing" for key in sent if key not in arrived]
    faults += [f"{spans[0]['span']['name']} was not sent" for key, spans in arrived.items() if key not in sent]
    for key, spans in arrived.items():
        if len(spans) > 1:
            faults.append(f"{spans[0]['span']['name']} arrived {len(spans)} times")
        if key in sent and spans[0] != sent[key]:
            faults.append(f"sent    {sent[key]}\narrived {spans[0]}")
    return faults


def _relayed(traces: Path) -> list[tuple[tuple[str, str], dict]]:
    return [span for request in otlp.requests(traces) for span in _flat(request)]


def _encoded(spans: tuple[ReadableSpan, ...]) -> Spans:
    """The spans in OTLP's JSON, by the SDK's own encoder."""
    request = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for holder in [span, *span.get("links", [])]:
                    _hexadecimal(holder)
    return dict(_flat(request))


def _hexadecimal(holder: dict) -> None:
    """Ids stand in hexadecimal in OTLP's JSON, in base64 in that of protobuf."""
    for key in ("traceId", "spanId", "parentSpanId"):
        if key in holder:
            holder[key] = base64.b64decode(holder[key]).hex()


def _flat(request: dict) -> list[tuple[tuple[str, str], dict]]:
    """Each span with its Resource and scope, by its ids."""
    flat = []
    for resource in request.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            around = {
                "resource": resource.get("resource", {}),
                "resource schema": resource.get("schemaUrl", ""),
                "scope": scope.get("scope", {}),
                "scope schema": scope.get("schemaUrl", ""),
            }
            for span in scope.get("spans", []):
                flat.append(((span["traceId"], span["spanId"]), _without_defaults(around | {"span": span})))
    return flat


def _without_defaults(value: object) -> object:
    """Without what protobuf does not send: one encoder writes fields that are empty or zero, another leaves them out.

    The value of an attribute is kept as it is: there, zero and empty text are values.
    """
    if isinstance(value, list):
        return [_without_defaults(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: each if key == "value" else _without_defaults(each) for key, each in value.items()}
    return {key: each for key, each in kept.items() if key == "value" or each not in ("", 0, "0", {}, [])}
