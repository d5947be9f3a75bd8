"""The only place that knows wattline's command line, its configuration and the shape of its JSON."""

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from program import Program, fetch, free_ports, until

ROOT = Path(__file__).resolve().parents[2]

# The tables of factors that are built into the program.
FACTORS = ROOT / "collector" / "model" / "data"

# A window settles every second, so that a scene is over in seconds.
WINDOW_SECONDS = 1
EXPORT_SECONDS = 1

# Where the suite says the machine stands, so that carbon does not depend on where the suite runs.
INTENSITY = 400
PUE = 1.25
ELECTRICITY = 0.30


# A line of the log above `info`, after its time.
COMPLAINT = re.compile(r"^\S+\s+(WARN|ERROR)\b|^wattline: |.*panicked at")


@dataclass(frozen=True)
class Row:
    """One line of the metric table."""

    name: str
    instrument: str
    unit: str
    prometheus: str


@dataclass
class Wattline:
    """A running wattline and its addresses."""

    program: Program
    admin: int
    grpc: int
    http: int

    def metrics_page(self) -> tuple[int, str]:
        """What Prometheus would scrape."""
        return fetch(f"http://127.0.0.1:{self.admin}/metrics")

    def stop(self) -> list[str]:
        """Asks it to end and waits; returns what went wrong: its exit status, warnings and errors in its log."""
        status = self.program.stop()
        faults = [line for line in self.program.lines() if COMPLAINT.match(line)]
        return faults + ([] if status == 0 else [f"its exit status is {status}"])


@dataclass(frozen=True)
class Destination:
    """Where wattline sends OTLP."""

    endpoint: str
    protocol: str
    signals: list[str] = field(default_factory=lambda: ["metrics", "traces", "logs"])


def binary() -> Path:
    """The program under test; $WATTLINE names another build of it."""
    return Path(os.environ.get("WATTLINE") or ROOT / "target" / "debug" / "wattline")


def table() -> dict[str, Row]:
    """The metric table, as the program itself prints it."""
    printed = subprocess.run([binary(), "metrics", "--json"], check=True, capture_output=True, timeout=30, text=True)
    return {
        row["name"]: Row(row["name"], row["instrument"], row["unit"], row["prometheus"])
        for row in json.loads(printed.stdout)
    }


def start(
    folder: Path,
    destinations: list[Destination],
    admin: int | None = None,
    more: str = "",
    env: dict[str, str] | None = None,
) -> Wattline:
    """Starts wattline in `folder`, with its page at the port `admin`, and waits until it has figures and listens.
    `more` ends its configuration."""
    page, grpc, http = free_ports(3)
    admin = admin or page
    config = folder / "wattline.toml"
    config.write_text(_config(folder, destinations, admin, grpc, http) + more)
    program = Program("wattline", [binary(), "run", "--config", config], folder, env)
    ready = f"http://127.0.0.1:{admin}/readyz"
    until("wattline says that it is ready", lambda: fetch(ready)[0] == 200, [program])
    return Wattline(program, admin, grpc, http)


def _config(folder: Path, destinations: list[Destination], admin: int, grpc: int, http: int) -> str:
    # No look for a cloud: the suite talks to loopback only.
    text = f"""
[state]
directory = "{folder}/state"

[sampling]
interval = "{WINDOW_SECONDS}s"
window = "{WINDOW_SECONDS}s"

[carbon]
intensity = {INTENSITY}
pue = {PUE}

[cost]
electricity = {ELECTRICITY}

[admin]
listen = "127.0.0.1:{admin}"

[probes.cloud]
mode = "never"

[probes.otlp]
grpc.listen = "127.0.0.1:{grpc}"
http.listen = "127.0.0.1:{http}"
"""
    for number, each in enumerate(destinations):
        text += f"""
[[exporters.otlp]]
name = "real-{number}"
endpoint = "{each.endpoint}"
protocol = "{each.protocol}"
interval = "{EXPORT_SECONDS}s"
signals = {json.dumps(each.signals)}
"""
    return text
