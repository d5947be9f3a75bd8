"""A server between wattline and a destination that behaves as badly as it is told to.

It closes each connection after its answer, so that what it is told holds for the next request.
"""

import gzip
import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

# The longest that a request is left without an answer.
HANG_SECONDS = 60
PROTOBUF = "application/x-protobuf"

Answer = tuple[int, dict[str, str], bytes]


class Exchange(BaseHTTPRequestHandler):
    """One request and what a fault can do with it."""

    timeout = HANG_SECONDS
    proxy: "Proxy"

    def do_POST(self) -> None:
        """Leaves it to the behaviour of the moment."""
        behaviour = self.proxy.behaviour
        self.proxy.asked.append(Asked(time.monotonic(), behaviour))
        behaviour(self)

    def body(self) -> bytes:
        """The whole body as it came."""
        return self.rfile.read(self.length())

    def length(self) -> int:
        """The length of the body as announced."""
        return int(self.headers["Content-Length"])

    def plain(self, body: bytes) -> bytes:
        """The body without its compression."""
        return gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body

    def forward(self, body: bytes, plain: bool = False) -> Answer:
        """What the destination answers to `body`; 502 where it cannot be reached, as proxies do."""
        kept = {key: self.headers[key] for key in ("Content-Type", "Content-Encoding") if self.headers[key]}
        if plain:
            kept.pop("Content-Encoding", None)
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=HANG_SECONDS)
        try:
            connection.request("POST", self.path, body, kept)
            answer = connection.getresponse()
            return answer.status, {"Content-Type": answer.getheader("Content-Type", "")}, answer.read()
        except (OSError, http.client.HTTPException):
            return 502, {}, b""
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answers."""
        self.send_response_only(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """Breaks the connection off with a reset instead of an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hang(self) -> None:
        """Says nothing until the other side has had enough."""
        self.connection.recv(1)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def finish(self) -> None:
        """Ends the exchange. After a reset there is nothing left to flush."""
        try:
            super().finish()
        except OSError:
            pass


Behaviour = Callable[[Exchange], None]


@dataclass(frozen=True)
class Asked:
    """A request that came, and how it was met."""

    at: float
    behaviour: Behaviour


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """A connection that breaks, or a handshake that fails, is what this is here for."""


class Proxy:
    """The proxy, at one port for as long as it lives. It passes on until it is told otherwise."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.behaviour: Behaviour = pass_on
        self.asked: list[Asked] = []
        self.port = 0
        self._server: _Server | None = None
        self.open()

    def open(self, certificate: ssl.SSLContext | None = None) -> None:
        """Listens; with `certificate` it speaks TLS."""
        handler = type("Handler", (Exchange,), {"proxy": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        if certificate:
            # The handshake is made by the thread of the connection, when it reads.
            plain = self._server.socket
            self._server.socket = certificate.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Refuses connections from now on."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def met(self, behaviour: Behaviour) -> int:
        """How many requests were met so."""
        return sum(asked.behaviour is behaviour for asked in list(self.asked))

    def pauses(self, behaviour: Behaviour) -> list[float]:
        """The seconds from each request that was met so to the one after it."""
        asked = list(self.asked)
        return [after.at - one.at for one, after in zip(asked, asked[1:]) if one.behaviour is behaviour]


def pass_on(exchange: Exchange) -> None:
    """As if it were not there."""
    exchange.answer(*exchange.forward(exchange.body()))


def reset_in_body(exchange: Exchange) -> None:
    """Takes half of the request and breaks off."""
    exchange.rfile.read(exchange.length() // 2)
    exchange.reset()


def reset_at_once(exchange: Exchange) -> None:
    """Breaks off without reading."""
    exchange.reset()


def half_open(exchange: Exchange) -> None:
    """Takes the request and never answers."""
    exchange.body()
    exchange.hang()


def slow(exchange: Exchange) -> None:
    """Answers byte by byte, but in time."""
    status, _, body = exchange.forward(exchange.body())
    text = f"HTTP/1.1 {status} Slow\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    for byte in text:
        exchange.wfile.write(bytes([byte]))
        time.sleep(0.004)


def taken_in_silence(exchange: Exchange) -> None:
    """The destination takes the request, and its answer is never heard."""
    exchange.forward(exchange.body())
    exchange.hang()


def taken_and_reset(exchange: Exchange) -> None:
    """The destination takes the request, and the connection breaks before the answer."""
    exchange.forward(exchange.body())
    exchange.reset()


def no_http(exchange: Exchange) -> None:
    """Answers with bytes that are no HTTP."""
    exchange.body()
    exchange.wfile.write(b"\x00\xff\x13garbage\r\n\r\n" * 20)


def garbage(exchange: Exchange) -> None:
    """The destination takes the request; its answer becomes garbage in the body."""
    status, _, _ = exchange.forward(exchange.body())
    exchange.answer(status, {"Content-Type": PROTOBUF}, bytes(range(255, 0, -1)))


def web_page(exchange: Exchange) -> None:
    """Answers 200 with a page for people, as the gate of a guest network does."""
    exchange.body()
    exchange.answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html><body>Please log in.</body></html>")


def no_gzip(exchange: Exchange) -> None:
    """Takes no compression."""
    body = exchange.body()
    if exchange.headers["Content-Encoding"]:
        exchange.answer(415, {}, b"unsupported content encoding")
    else:
        exchange.answer(*exchange.forward(body))


def status(code: int, headers: Callable[[], dict[str, str]] = dict) -> Behaviour:
    """Answers so."""

    def behaviour(exchange: Exchange) -> None:
        exchange.body()
        exchange.answer(code, headers(), b"")

    return behaviour


def come_again_on(seconds: int) -> Callable[[], dict[str, str]]:
    """Headers that ask for a pause by its end, as a date on the server's clock, which is a day late."""

    def headers() -> dict[str, str]:
        now = time.time() - 86_400
        return {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + seconds, usegmt=True)}

    return headers


def at_most(plain_bytes: int) -> Behaviour:
    """Takes requests of so many bytes before compression, and calls others too large."""

    def behaviour(exchange: Exchange) -> None:
        body = exchange.body()
        if len(exchange.plain(body)) > plain_bytes:
            exchange.answer(413, {}, b"too large")
        else:
            exchange.answer(*exchange.forward(body))

    return behaviour


def but(rejected: int) -> Behaviour:
    """Takes a request less its first `rejected` spans, and says so."""

    def behaviour(exchange: Exchange) -> None:
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(exchange.plain(exchange.body()))
        del request.resource_spans[0].scope_spans[0].spans[:rejected]
        exchange.forward(request.SerializeToString(), plain=True)
        answer = trace_service_pb2.ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = "not these"
        exchange.answer(200, {"Content-Type": PROTOBUF}, answer.SerializeToString())

    return behaviour
