"""Spans, metrics and log records with every field that OTLP has, through wattline into the Collector.

The same requests go to a second Collector directly. What the two have written down must be equal, and a plain server
beside the first must have got the very bytes that were sent.
"""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

import otlp
import sdk_signals
import wattline
from checks import Checks
from collector import destination
from components import Collector, start_collector
from program import until
from wattline import Destination

# The message of a request and the service that takes it.
SIGNALS = {
    "traces": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2_grpc.TraceServiceStub),
    "metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2_grpc.MetricsServiceStub),
    "logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2_grpc.LogsServiceStub),
}
WAYS = ("grpc", "protobuf", "json")
JSON, PROTOBUF = "application/json", "application/x-protobuf"

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}

# Fields that OTLP has for profiles alone.
OF_PROFILES = ("key_strindex", "string_value_strindex")


def play(checks: Checks, folder: Path) -> None:
    """All signals by all ways."""
    scene = folder / "relay"
    for each in ("direct", "through"):
        (scene / each).mkdir(parents=True)
    with checks.of("relay of all signals by grpc, http/protobuf and http/json"):
        _play(checks, scene)


def _play(checks: Checks, folder: Path) -> None:
    direct, through = start_collector(folder / "direct"), start_collector(folder / "through")
    with _Witness() as witness:
        to_witness = Destination(f"http://127.0.0.1:{witness.port}", "http/protobuf")
        agent = wattline.start(folder, [destination(through, "http/protobuf"), to_witness])
        sent = list(_requests())
        for signal, way, request in sent:
            for ports in (agent, direct):
                _send(signal, way, request, ports.grpc, ports.http)
        wanted = len(sent) + len(sdk_signals.send([agent, direct]))
        try:
            until(
                "all requests have arrived",
                lambda: all(len(_told(each)) >= wanted for each in (direct, through)) and witness.holds(sent),
                [direct.program, through.program, agent.program],
            )
            late: list[str] = []
        except TimeoutError as error:
            late = [str(error)]
        faults = agent.stop()
        by_way, straight = _told(through), _told(direct)
        checks.that("the Collector knows of every field what it knows of it directly", late + _unequal(by_way, straight))
        checks.that("every field of the protocol was sent", [f"{each} was not" for each in _unset(sent)])
        checks.that("a plain server gets the very bytes that were sent", witness.missing(sent))
        checks.that("wattline has nothing to complain of, and ends when asked to", faults)


def _requests() -> Iterator[tuple[str, str, Message]]:
    """A request of each signal for each way, known by the name of its service."""
    for signal, (kind, _) in SIGNALS.items():
        for way in WAYS:
            request = kind()
            _fill(request, 0, 0)
            for resource in getattr(request, request.DESCRIPTOR.fields[0].name):
                pair = resource.resource.attributes.add()
                pair.key, pair.value.string_value = "service.name", f"relay-{signal}-{way}"
            yield signal, way, request


def _fill(message: Message, variant: int, depth: int) -> None:
    """Sets every field of `message`; of fields that exclude one another that of the number `variant`."""
    chosen = {each.name: each.fields[variant % len(each.fields)] for each in message.DESCRIPTOR.oneofs}
    for number, field in enumerate(message.DESCRIPTOR.fields):
        group = field.containing_oneof
        if field.name in OF_PROFILES or (group is not None and chosen[group.name] is not field):
            continue
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            value = _value(field, variant + number)
            if field.is_repeated:
                getattr(message, field.name).extend([value, value])
            else:
                setattr(message, field.name, value)
        elif field.message_type.name in ("ArrayValue", "KeyValueList") and depth > 8:
            # Lists inside lists end here.
            getattr(message, field.name).SetInParent()
        elif field.is_repeated:
            for each in range(_variants(field.message_type.full_name, field)):
                _fill(getattr(message, field.name).add(), each, depth + 1)
        else:
            _fill(getattr(message, field.name), variant, depth + 1)
            getattr(message, field.name).SetInParent()


@cache
def _variants(_name: str, field: FieldDescriptor) -> int:
    """How many messages show every field that excludes others: in the message itself, or in the values of its pairs."""
    kind = field.message_type
    if kind.name == "KeyValue":
        kind = kind.fields_by_name["value"].message_type
    return max([1, *(len([each for each in group.fields if each.name not in OF_PROFILES]) for group in kind.oneofs)])


def _value(field: FieldDescriptor, number: int) -> object:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return f"{field.name} {number} ü"
        case FieldDescriptor.TYPE_BYTES:
            length = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}.get(field.name, 5)
            return bytes((number + each) % 256 for each in range(1, length + 1))
        case FieldDescriptor.TYPE_BOOL:
            return True
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return number + 0.25
        case FieldDescriptor.TYPE_ENUM:
            return field.enum_type.values[1].number
        case _:
            return 1_700_000_000_000_000_000 + number if "unix_nano" in field.name else number + 1


def _unset(sent: list[tuple[str, str, Message]]) -> list[str]:
    """Fields that no request has."""
    known: set[str] = set()
    have: set[str] = set()

    def walk(message: Message) -> None:
        for field in message.DESCRIPTOR.fields:
            if field.name not in OF_PROFILES:
                known.add(field.full_name)
        for field, value in message.ListFields():
            have.add(field.full_name)
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for each in value if field.is_repeated else [value]:
                    walk(each)

    for _, _, request in sent:
        walk(request)
    return sorted(known - have)


def _send(signal: str, way: str, request: Message, grpc_port: int, http_port: int) -> None:
    if way == "grpc":
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            SIGNALS[signal][1](channel).Export(request, timeout=30)
        return
    body = json.dumps(_json(request)).encode() if way == "json" else request.SerializeToString()
    kind = JSON if way == "json" else PROTOBUF
    url = f"http://127.0.0.1:{http_port}/v1/{signal}"
    opener = build_opener(ProxyHandler({}))
    with opener.open(Request(url, data=body, headers={"Content-Type": kind}), timeout=30) as answer:
        assert answer.status == 200, answer.status


def _json(request: Message) -> dict:
    """OTLP's JSON: numbers for enums, hexadecimal ids."""
    return _hexadecimal(MessageToDict(request, use_integers_for_enums=True))


def _hexadecimal(value: object) -> object:
    if isinstance(value, list):
        return [_hexadecimal(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: base64.b64decode(each).hex() if key in IDS else _hexadecimal(each) for key, each in value.items()}


def _told(collector: Collector) -> dict[str, dict]:
    """What the Collector has written down, by the service that sent it."""
    told = {}
    for path in (collector.traces, collector.metrics, collector.logs):
        for request in otlp.requests(path):
            for resources in request.values():
                service = dict(otlp.attributes(resources[0]["resource"]["attributes"])).get("service.name", "")
                if str(service).startswith("relay-"):
                    told[str(service)] = request
    return told


def _unequal(through: dict[str, dict], direct: dict[str, dict]) -> list[str]:
    return [
        f"{service}\n  directly {json.dumps(direct.get(service))}\n  through  {json.dumps(through.get(service))}"
        for service in sorted(through.keys() | direct.keys())
        if through.get(service) != direct.get(service)
    ]


class _Witness:
    """A server that keeps the bodies it gets, after decompression."""

    def __init__(self) -> None:
        self.bodies: set[bytes] = set()
        witness = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.bodies.add(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Type", PROTOBUF)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self) -> "_Witness":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def holds(self, sent: list[tuple[str, str, Message]]) -> bool:
        """Whether all that must come as it was sent has come."""
        return not self.missing(sent)

    def missing(self, sent: list[tuple[str, str, Message]]) -> list[str]:
        """Requests in protobuf that did not come as the bytes they were."""
        return [
            f"{signal} by {way}"
            for signal, way, request in sent
            if way != "json" and request.SerializeToString() not in self.bodies
        ]
