"""A receiver of OTLP over HTTP that keeps what it gets, and turns it into OTLP's JSON."""

import base64
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bodies
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
IDS = ("traceId", "spanId", "parentSpanId")


class Recorder:
    """The receiver. `requests` are what it got, in the order in which it came."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.strangers: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def keep(self, path: str, content: str, body: bytes) -> bool:
        """Keeps a request. False where it is none of OTLP's."""
        kind = REQUESTS.get(path)
        with self._lock:
            if kind is None:
                self.strangers.append(path)
                return False
            self.requests.append(as_json(Parse(body, kind()) if "json" in content else kind.FromString(body)))
            return True


def as_json(message: Message) -> dict:
    """A request in OTLP's JSON, where ids stand in hexadecimal and enums as integers."""
    value = MessageToDict(message, use_integers_for_enums=True)
    _hexadecimal(value)
    return value


def _hexadecimal(value: object) -> None:
    if isinstance(value, list):
        for each in value:
            _hexadecimal(each)
    if isinstance(value, dict):
        for key, each in value.items():
            if key in IDS and isinstance(each, str):
                value[key] = base64.b64decode(each).hex()
            else:
                _hexadecimal(each)


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Takes a request."""
            body = bodies.read(self)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            content = self.headers.get("Content-Type", "")
            known = recorder.keep(self.path, content, body)
            answer = json.dumps({}).encode() if "json" in content else b""
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", content)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler
