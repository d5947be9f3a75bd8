"""The real programs on the other side: where they are, how they are started, what they say."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from program import Program, fetch, free_ports, listens, until

HERE = Path(__file__).resolve().parent


@cache
def paths() -> dict[str, Path]:
    """Where `install` has put each program."""
    printed = subprocess.run([HERE / "install", "--paths"], check=True, capture_output=True, text=True)
    return {name: Path(path) for name, path in (line.split("=", 1) for line in printed.stdout.splitlines())}


@dataclass
class Collector:
    """A running OpenTelemetry Collector that writes down what it receives."""

    program: Program
    grpc: int
    http: int
    page: str
    metrics: Path
    traces: Path
    logs: Path

    def complaints(self) -> list[str]:
        """Its log lines above `info`: what it could not decode or translate, among others."""
        return [line for line in self.program.lines() if not _is_quiet(line)]


def start_collector(folder: Path, processors: Sequence[str] = ()) -> Collector:
    """A Collector with OTLP over gRPC and HTTP in, and files, a log and a page for Prometheus out. Metrics go through
    `processors`."""
    grpc, http, page = free_ports(3)
    config = folder / "collector.yaml"
    # YAML takes JSON as it is.
    config.write_text(json.dumps(_collector_config(folder, grpc, http, page, processors), indent=2))
    program = Program("collector", [paths()["collector"], "--config", config], folder)
    until("the Collector listens", lambda: all(map(listens, (grpc, http, page))), [program])
    files = [folder / f"{signal}.jsonl" for signal in ("metrics", "traces", "logs")]
    return Collector(program, grpc, http, f"http://127.0.0.1:{page}/metrics", *files)


def _collector_config(folder: Path, grpc: int, http: int, page: int, processors: Sequence[str]) -> dict:
    protocols = {"grpc": {"endpoint": f"127.0.0.1:{grpc}"}, "http": {"endpoint": f"127.0.0.1:{http}"}}
    receivers, debug = ["otlp"], "debug"
    return {
        "receivers": {"otlp": {"protocols": protocols}},
        "processors": {name: {} for name in processors},
        "exporters": {
            "debug": {"verbosity": "basic"},
            "file/metrics": {"path": str(folder / "metrics.jsonl"), "flush_interval": "100ms"},
            "file/traces": {"path": str(folder / "traces.jsonl"), "flush_interval": "100ms"},
            "file/logs": {"path": str(folder / "logs.jsonl"), "flush_interval": "100ms"},
            "prometheus": {"endpoint": f"127.0.0.1:{page}"},
        },
        "service": {
            "telemetry": {"logs": {"level": "info", "encoding": "json"}, "metrics": {"level": "none"}},
            "pipelines": {
                "metrics": {
                    "receivers": receivers,
                    "processors": list(processors),
                    "exporters": [debug, "file/metrics", "prometheus"],
                },
                "traces": {"receivers": receivers, "exporters": [debug, "file/traces"]},
                "logs": {"receivers": receivers, "exporters": [debug, "file/logs"]},
            },
        },
    }


def _is_quiet(line: str) -> bool:
    try:
        return json.loads(line).get("level") in ("debug", "info")
    except (ValueError, AttributeError):
        return False


@dataclass
class Prometheus:
    """A running Prometheus server."""

    program: Program
    port: int

    @property
    def otlp(self) -> str:
        """The base of its OTLP endpoint, to which `/v1/metrics` is added."""
        return f"http://127.0.0.1:{self.port}/api/v1/otlp"

    def api(self, path: str) -> dict | list:
        """The data that its HTTP API answers."""
        status, body = fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}")
        if status != 200:
            raise RuntimeError(f"Prometheus answers {status} to {path}: {body[:500]}")
        return json.loads(body)["data"]

    def complaints(self) -> list[str]:
        """Its log lines above `info`."""
        return [line for line in self.program.lines() if "level=INFO" not in line and "level=DEBUG" not in line]


def start_prometheus(folder: Path, scrape: str, every: str) -> Prometheus:
    """A Prometheus that takes OTLP, and scrapes `scrape`, a host and port, as the job `scrape`."""
    (port,) = free_ports(1)
    job = {"job_name": "scrape", "scrape_interval": every, "scrape_timeout": every}
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"scrape_configs": [job | {"static_configs": [{"targets": [scrape]}]}]}, indent=2))
    argv = [
        paths()["prometheus"],
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-otlp-receiver",
    ]
    program = Program("prometheus", argv, folder)
    ready = f"http://127.0.0.1:{port}/-/ready"
    until("Prometheus is ready", lambda: fetch(ready)[0] == 200, [program])
    return Prometheus(program, port)
