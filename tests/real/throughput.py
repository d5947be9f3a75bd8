"""Spans for each second of CPU time, beside the OpenTelemetry Collector. Started by `throughput`."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import program
import wattline
from components import paths
from program import Program, fetch, free_ports, listens, until

TICKS = os.sysconf("SC_CLK_TCK")
LOAD = os.environ["WATTLINE_LOAD"]
# Connections, and requests that may be on their way at one time: enough that nobody waits for the sender.
CONNECTIONS, WINDOW = 4, 16
# For latencies, a request of 512 spans so many times a second.
PACE = 20
# Windows of wattline's books have ten seconds, and its calls wait five for their twins.
BOOKED_WITHIN_SECONDS = 40


@dataclass
class Subject:
    """A program that relays spans."""

    name: str
    program: Program
    port: int
    sink: int
    # Its page of metrics, where it keeps books.
    page: str = ""
    runs: list[dict] = field(default_factory=list)
    idle: list[dict] = field(default_factory=list)

    def load(self, seconds: int, pace: int = 0) -> dict:
        """Lets it relay for so long, and says what that took."""
        words = [self.port, self.sink, seconds, CONNECTIONS, WINDOW, pace]
        pid = self.program.process.pid
        cpu = _cpu(pid)
        ran = subprocess.run([LOAD, *map(str, words)], capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"{self.name}: {ran.stderr or ran.stdout}\n" + "\n".join(self.program.lines()[-20:]))
        *complaints, told = ran.stdout.splitlines()
        for complaint in complaints:
            print(f"{self.name}: {complaint}")
        # What has been taken is booked a little later.
        if self.page:
            time.sleep(6)
        return json.loads(told) | {"cpu": (_cpu(pid) - cpu) / TICKS}

    def sent(self) -> int:
        """Spans that it was sent."""
        return sum(run["spans"] for run in self.runs + self.idle)

    def arrived(self) -> int:
        """Spans of it that the sink has taken."""
        return sum(run["arrived"] for run in self.runs + self.idle)


def main() -> int:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(prog="tests/real/throughput")
    parser.add_argument("--seconds", type=int, default=10, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each program, in turns")
    parser.add_argument("--minutes", type=float, help="load wattline alone for so long, and watch its memory")
    parser.add_argument("--rate", type=int, default=100, help="requests a second, with --minutes; 0: as many as it takes")
    parser.add_argument("--only", help="a part of the names of those that are measured")
    options = parser.parse_args()
    program.end_on_signals()
    with tempfile.TemporaryDirectory(prefix="wattline-throughput-") as name:
        try:
            folder = Path(name)
            return _hold(folder, options) if options.minutes else _compare(folder, options)
        finally:
            program.stop_all()


def _compare(folder: Path, options: argparse.Namespace) -> int:
    subjects = [each for each in _subjects(folder, options.only or "")]
    # Connections, caches and the first window.
    for each in subjects:
        each.idle.append(each.load(2))
    for _ in range(options.rounds):
        for each in subjects:
            each.runs.append(each.load(options.seconds))
    print(f"{options.rounds} rounds of {options.seconds} s, in turns; requests of 512 spans, "
          f"{CONNECTIONS} connections, {WINDOW} requests on their way")
    print(f"{'':<44}{'spans':>11}{'spans/CPU s':>13}{'each round':>30}{'most memory':>13}")
    for each in subjects:
        rates = [run["arrived"] / run["cpu"] for run in each.runs]
        spans, cpu = (sum(run[what] for run in each.runs) for what in ("arrived", "cpu"))
        print(f"{each.name:<44}{spans:>11,}{spans / cpu:>13,.0f}{' '.join(f'{rate:,.0f}' for rate in rates):>30}"
              f"{_memory(each, 'VmHWM'):>10.1f} MB")
    straight = _straight(options.seconds)
    print(f"\nfrom sender to sink, {PACE} requests of 512 spans a second for {options.seconds} s")
    print(f"{'':<44}{'p50':>9}{'p95':>11}{'p99':>11}")
    print(_latency("straight, without anybody between", straight))
    for each in subjects:
        paced = each.load(options.seconds, PACE)
        each.idle.append(paced)
        print(_latency(each.name, paced))
    print()
    return 1 if any([_is_short(each) for each in subjects]) else 0


def _latency(name: str, run: dict) -> str:
    return f"{name:<44}{run['p50_ms']:>6.2f} ms{run['p95_ms']:>8.2f} ms{run['p99_ms']:>8.2f} ms"


def _straight(seconds: int) -> dict:
    """The sender and the sink with nobody between."""
    (port,) = free_ports(1)
    words = [port, port, seconds, CONNECTIONS, WINDOW, PACE]
    return json.loads(subprocess.run([LOAD, *map(str, words)], check=True, capture_output=True, text=True).stdout)


def _hold(folder: Path, options: argparse.Namespace) -> int:
    """Loads wattline for minutes and prints its memory along the way."""
    subject = _wattline(folder, "wattline", options.only or "none")
    subject.idle.append(subject.load(2))
    began, end = time.monotonic(), time.monotonic() + options.minutes * 60
    part = max(10, min(60, int(options.minutes * 60 / 10)))
    print(f"{options.minutes:g} minutes, {options.rate or 'as many as it takes'} requests of 512 spans a second")
    while time.monotonic() < end:
        run = subject.load(part, options.rate)
        subject.runs.append(run)
        print(f"{(time.monotonic() - began) / 60:>6.1f} min {subject.sent():>13,} spans"
              f"{run['arrived'] / run['cpu']:>11,.0f} spans/CPU s"
              f"{_memory(subject, 'VmRSS'):>8.1f} MB resident, {_memory(subject, 'VmHWM'):.1f} MB at the most",
              flush=True)
    return 1 if _is_short(subject) else 0


def _is_short(subject: Subject) -> bool:
    """Whether spans are missing, which is printed with what the books say."""
    sent, arrived = subject.sent(), subject.arrived()
    refused = sum(run["refused"] for run in subject.runs + subject.idle)
    told = f"{subject.name}: {sent:,} spans sent, {arrived:,} relayed, {refused} requests sent again"
    is_short = sent != arrived
    if subject.page:
        books: dict[str, int] = {}
        deadline = time.monotonic() + BOOKED_WITHIN_SECONDS
        while time.monotonic() < deadline and books.get("booked") != sent:
            time.sleep(1)
            books = _books(subject.page)
        told += ", " + ", ".join(f"{count:,} {what}" for what, count in books.items())
        is_short |= books.get("booked") != sent or books.get("dropped", 0) > 0
    print(told + (": SHORT" if is_short else ""))
    return is_short


def _books(page: str) -> dict[str, int]:
    """What wattline has booked, dropped, found told twice and decided early."""
    text = fetch(page)[1]
    names = {"booked": "inference_calls_total", "dropped": "wattline_dropped_items_total", "twins":
             "inference_twins_total", "decided early": "inference_twins_unawaited_total"}
    count = lambda name: round(sum(float(of) for of in re.findall(rf"^{name}(?:{{[^\n]*}})? (\S+)", text, re.MULTILINE)))
    return {what: count(name) for what, name in names.items()}


def _subjects(folder: Path, only: str) -> list[Subject]:
    makers = {
        "Collector": lambda name, at: _collector(at, name, "none", queue=False),
        "Collector, sending queue": lambda name, at: _collector(at, name, "none", queue=True),
        "wattline": lambda name, at: _wattline(at, name, "none"),
        "wattline, spool in memory": lambda name, at: _wattline(at, name, "none", on_disk=False),
        "wattline, acknowledged on disk": lambda name, at: _wattline(at, name, "none", acknowledge="disk"),
        "Collector, gzip out": lambda name, at: _collector(at, name, "gzip", queue=False),
        "wattline, gzip out": lambda name, at: _wattline(at, name, "gzip"),
    }
    subjects = []
    for number, (name, make) in enumerate(makers.items()):
        if only in name:
            own = folder / str(number)
            own.mkdir()
            subjects.append(make(name, own))
    return subjects


def _wattline(folder: Path, name: str, compression: str, on_disk: bool = True, acknowledge: str = "memory") -> Subject:
    admin, grpc, http, sink = free_ports(4)
    state = folder / "state"
    if not on_disk:
        # A file where the folder should be: nothing can be kept there.
        state.write_text("")
    config = folder / "wattline.toml"
    config.write_text(
        f'[state]\ndirectory = "{state}"\n[admin]\nlisten = "127.0.0.1:{admin}"\n'
        f'[host]\nlease = false\n[probes.cloud]\nmode = "never"\n'
        f'[probes.otlp]\nacknowledge = "{acknowledge}"\ngrpc.listen = "127.0.0.1:{grpc}"\n'
        f'http.listen = "127.0.0.1:{http}"\n'
        f'[[exporters.otlp]]\nname = "sink"\nendpoint = "http://127.0.0.1:{sink}"\nprotocol = "http/protobuf"\n'
        f'signals = ["traces"]\ncompression = "{compression}"\n'
    )
    started = Program("wattline", [wattline.binary(), "run", "--config", config], folder)
    until(f"{name} listens", lambda: listens(http), [started])
    return Subject(name, started, http, sink, f"http://127.0.0.1:{admin}/metrics")


def _collector(folder: Path, name: str, compression: str, queue: bool) -> Subject:
    http, sink = free_ports(2)
    config = folder / "collector.yaml"
    # YAML takes JSON as it is.
    exporter = {"traces_endpoint": f"http://127.0.0.1:{sink}/v1/traces", "compression": compression,
                "sending_queue": {"enabled": queue}}
    config.write_text(json.dumps({
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{http}"}}}},
        "exporters": {"otlphttp": exporter},
        "service": {
            "telemetry": {"logs": {"level": "warn"}, "metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}},
        },
    }, indent=2))
    started = Program("collector", [paths()["collector"], "--config", config], folder)
    until(f"{name} listens", lambda: listens(http), [started])
    return Subject(name, started, http, sink)


def _cpu(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(subject: Subject, what: str) -> float:
    """In megabytes."""
    text = Path(f"/proc/{subject.program.process.pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB$", text, re.MULTILINE).group(1)) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
