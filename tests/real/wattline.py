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

    def until_ready(self) -> None:
        """Waits until it has figures and listens."""
        ready = f"http://127.0.0.1:{self.admin}/readyz"
        until("wattline says that it is ready", lambda: fetch(ready)[0] == 200, [self.program])

    def stop(self) -> list[str]:
        """Asks it to end and waits; returns what went wrong: its exit status, warnings and errors in its log."""
        status = self.program.stop()
        return self._complaints() + ([] if status == 0 else [f"its exit status is {status}"])


    def kill(self) -> list[str]:
        """Ends it as nothing can be ended more abruptly; returns warnings and errors in its log."""
        self.program.kill()
        return self._complaints()

    def failures(self) -> int:
        """How often it has found that a destination does not take data any more."""
        return sum("fails and will be tried again" in line for line in self.program.lines())

    def _complaints(self) -> list[str]:
        return [line for line in self.program.lines() if COMPLAINT.match(line)]


@dataclass(frozen=True)
class Setup:
    """A configuration of wattline and its addresses, which outlive a run of it."""

    folder: Path
    config: Path
    admin: int
    grpc: int
    http: int
    every: str
    acknowledge: str
    more: str

    @property
    def state(self) -> Path:
        """Where its ledger and its spools are."""
        return self.folder / "state"

    def write(self, destinations: list["Destination"]) -> None:
        """Writes the configuration, with these destinations."""
        self.config.write_text(_config(self, destinations))


@dataclass(frozen=True)
class Destination:
    """Where wattline sends OTLP. `more` ends its part of the configuration."""

    endpoint: str
    protocol: str
    signals: list[str] = field(default_factory=lambda: ["metrics", "traces", "logs"])
    more: str = ""


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


def units() -> dict[str, str]:
    """The unit of each metric."""
    return {row.name: row.unit for row in table().values()}


def start(
    folder: Path,
    destinations: list[Destination],
    admin: int | None = None,
    more: str = "",
    env: dict[str, str] | None = None,
) -> Wattline:
    """Starts wattline in `folder`, with its page at the port `admin`, and waits until it has figures and listens.
    `more` ends its configuration."""
    agent = launch(configure(folder, destinations, admin, more), env)
    agent.until_ready()
    return agent


def configure(
    folder: Path,
    destinations: list[Destination],
    admin: int | None = None,
    more: str = "",
    every: str = f"{WINDOW_SECONDS}s",
    acknowledge: str = "memory",
) -> Setup:
    """Writes the configuration of a wattline that settles a window and exports it `every` so often."""
    page, grpc, http = free_ports(3)
    setup = Setup(folder, folder / "wattline.toml", admin or page, grpc, http, every, acknowledge, more)
    setup.write(destinations)
    return setup


def launch(setup: Setup, env: dict[str, str] | None = None) -> Wattline:
    """Starts wattline and does not wait for anything."""
    program = Program("wattline", [binary(), "run", "--config", setup.config], setup.folder, env)
    return Wattline(program, setup.admin, setup.grpc, setup.http)


def _config(setup: Setup, destinations: list[Destination]) -> str:
    # No look for a cloud: the suite talks to loopback only.
    text = f"""
[state]
directory = "{setup.state}"

[sampling]
interval = "{setup.every}"
window = "{setup.every}"

[carbon]
intensity = {INTENSITY}
pue = {PUE}

[cost]
electricity = {ELECTRICITY}

[admin]
listen = "127.0.0.1:{setup.admin}"

[probes.cloud]
mode = "never"

[probes.otlp]
acknowledge = "{setup.acknowledge}"
grpc.listen = "127.0.0.1:{setup.grpc}"
http.listen = "127.0.0.1:{setup.http}"
"""
    for number, each in enumerate(destinations):
        text += f"""
[[exporters.otlp]]
name = "real-{number}"
endpoint = "{each.endpoint}"
protocol = "{each.protocol}"
interval = "{setup.every}"
signals = {json.dumps(each.signals)}
{each.more}
"""
    return text + setup.more
