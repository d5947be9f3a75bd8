"""Spans that can be counted: each has an id of its own, and the service that it is from says what it is sent for."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from random import Random
from urllib.request import ProxyHandler, Request, build_opener

import otlp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# How long a sender waits before it repeats what was not acknowledged.
AGAIN_SECONDS = 0.05

numbers = itertools.count(1)
opener = build_opener(ProxyHandler({}))


def request(service: str, count: int, padding: int = 0) -> tuple[list[str], bytes]:
    """A request of `count` new spans, each with `padding` characters that do not compress, and their ids."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    put(resource.resource, "service.name", service)
    scope, ids = resource.scope_spans.add(), []
    for _ in range(count):
        number = next(numbers)
        span = scope.spans.add(trace_id=number.to_bytes(16), span_id=number.to_bytes(8), name="counted", kind=1)
        span.start_time_unix_nano = span.end_time_unix_nano = 1_700_000_000_000_000_000 + number
        if padding:
            put(span, "padding", Random(number).randbytes(padding // 2).hex())
        ids.append(span.span_id.hex())
    return ids, message.SerializeToString()


def put(on: object, key: str, value: object) -> None:
    """Gives a span or a resource an attribute: text, a number, or several texts."""
    holder = on.attributes.add(key=key).value
    match value:
        case int():
            holder.int_value = value
        case float():
            holder.double_value = value
        case tuple():
            for each in value:
                holder.array_value.values.add().string_value = each
        case _:
            holder.string_value = value


def send(port: int, body: bytes) -> bool:
    """Sends a request by OTLP/HTTP. False where it is not acknowledged."""
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        with opener.open(Request(f"http://127.0.0.1:{port}/v1/traces", body, headers), timeout=10) as answer:
            return answer.status // 100 == 2
    except (OSError, HTTPException):
        # Refused, not there, or gone in the middle of its answer.
        return False


def send_or_fail(port: int, body: bytes) -> None:
    """Sends a request that must be acknowledged."""
    if not send(port, body):
        raise RuntimeError("wattline does not take spans")


def send_all(port: int, service: str, requests: int, count: int, padding: int = 0) -> list[str]:
    """Sends `requests` of `count` spans and returns their ids. All must be acknowledged."""
    sent = []
    for _ in range(requests):
        ids, body = request(service, count, padding)
        if not send(port, body):
            raise RuntimeError(f"wattline does not take spans of {service}")
        sent += ids
    return sent


def arrived(path: Path, service: str | None = None) -> Counter:
    """How often each span has come to the Collector that writes to `path`: all, or those of one service."""
    ids: Counter = Counter()
    for each in otlp.requests(path):
        for resource in each["resourceSpans"]:
            if service in (None, dict(otlp.attributes(resource["resource"]["attributes"])).get("service.name")):
                ids.update(span["spanId"] for scope in resource["scopeSpans"] for span in scope["spans"])
    return ids


class Sender:
    """Sends a request after another until it is stopped, each again until it is acknowledged."""

    def __init__(self, port: int, make: Callable[[], tuple[list[str], bytes]]) -> None:
        self.acknowledged: list[str] = []
        self._port, self._make = port, make
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            ids, body = self._make()
            while not send(self._port, body):
                if self._over.wait(AGAIN_SECONDS):
                    return
            self.acknowledged += ids
            self._over.wait(AGAIN_SECONDS)

    def stop(self) -> list[str]:
        """The ids of all that was acknowledged."""
        self._over.set()
        self._thread.join()
        return self.acknowledged
