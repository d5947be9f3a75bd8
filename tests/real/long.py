"""Fills a spool and lets it drain. Started by `long`."""

import http.client
import re
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import kept
import program
import wattline
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from program import free_ports, until
from wattline import Destination

GIGABYTE = 1_000_000_000
BODY_BYTES = 1_000_000
SPANS = 100
# Requests that are sent at one time.
SENDERS = 4
NAME = "real-0"


class _Sink(BaseHTTPRequestHandler):
    """Takes everything."""

    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self) -> None:
        """Counts a request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        _Sink.taken += 1
        self.send_response_only(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _body() -> bytes:
    """A request whose bytes no compression makes fewer."""
    message, chance = ExportTraceServiceRequest(), Random(1)
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(1, SPANS + 1):
        span = scope.spans.add(trace_id=number.to_bytes(16), span_id=number.to_bytes(8), name="long")
        pair = span.attributes.add()
        pair.key, pair.value.bytes_value = "padding", chance.randbytes(BODY_BYTES // SPANS)
    return message.SerializeToString()


def _fill(port: int, body: bytes, requests: int) -> None:
    """Sends as many requests. What is not acknowledged is sent again: then it was not kept."""
    left, lock = [requests], threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
            status = 0
            while status != 200:
                connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status

    senders = [threading.Thread(target=work) for _ in range(SENDERS)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()


def _memory(pid: int) -> str:
    """The most that was resident at any time, and what is now."""
    text = Path(f"/proc/{pid}/status").read_text()
    kib = {name: int(re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE).group(1)) for name in ("VmHWM", "VmRSS")}
    return f"{kib['VmHWM'] / 1024:.1f} MiB at the most, {kib['VmRSS'] / 1024:.1f} MiB now"


def _forget_peak(pid: int) -> None:
    """From now on the most is counted anew (proc_pid_clear_refs(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def main(gigabytes: float) -> int:
    """Runs it and returns the exit status."""
    program.end_on_signals()
    body = _body()
    requests = round(gigabytes * GIGABYTE / len(body))
    (port,) = free_ports(1)
    room = round(gigabytes * GIGABYTE * 1.1) + (64 << 20)
    more = f'spool_bytes = {room}\nretry = {{ initial = "100ms", max = "1s" }}'
    with tempfile.TemporaryDirectory(prefix="wattline-long-") as name:
        folder = Path(name)
        setup = wattline.configure(
            folder,
            [Destination(f"http://127.0.0.1:{port}", "http/protobuf", ["traces"], more)],
            acknowledge="disk",
        )
        agent = wattline.launch(setup)
        agent.until_ready()
        pid = agent.program.process.pid
        print(f"before: {_memory(pid)}", flush=True)
        began = time.monotonic()
        _fill(setup.http, body, requests)
        seconds = time.monotonic() - began
        size = (setup.state / "spool" / f"{NAME}.db").stat().st_size
        rate = size / 1e6 / seconds
        print(f"filled: {size / GIGABYTE:.2f} GB on disk in {seconds:.0f} s, {rate:.0f} MB/s; {_memory(pid)}", flush=True)

        _forget_peak(pid)
        server = ThreadingHTTPServer(("127.0.0.1", port), _Sink)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        began = time.monotonic()
        program.PATIENCE_SECONDS = 3600
        until("everything has drained", lambda: _Sink.taken >= requests, [agent.program])
        seconds = time.monotonic() - began
        print(f"drained: in {seconds:.0f} s, {size / 1e6 / seconds:.0f} MB/s; {_memory(pid)}", flush=True)
        complaints = agent.stop()
        server.shutdown()
        tally = kept.tally(setup.state, NAME)
        left = (setup.state / "spool" / f"{NAME}.db").stat().st_size
        print(f"counted: {tally}; {left} bytes are left on disk")
        errors = [line for line in complaints if " WARN " not in line]
        is_whole = tally == kept.Tally(requests * SPANS, requests * SPANS, {}, 0) and not errors
        print("nothing is lost" if is_whole else f"LOST OR BROKEN: {errors}")
        return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
