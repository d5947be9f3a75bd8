"""Runs each emitter once and writes what it sent, and what it was served, as fixtures. Started by `capture`."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drive import DriverFailed, drive
from emitters import EMITTERS, Emitter
from fixtures import cleaned
from provider import Provider
from recorder import Recorder

FIXTURES = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "dialects"


KINDS = ("resourceSpans", "resourceMetrics", "resourceLogs")


def main(environments: dict[str, Path], names: list[str]) -> int:
    """Captures the emitters named, or all, and returns the exit status."""
    unknown = set(names) - {each.name for each in EMITTERS}
    if unknown:
        print(f"no such emitter: {', '.join(sorted(unknown))}; there are {', '.join(e.name for e in EMITTERS)}")
        return 2
    FIXTURES.mkdir(parents=True, exist_ok=True)
    wanted = [each for each in EMITTERS if not names or each.name in names]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        captured = list(pool.map(lambda each: _capture(each, environments), wanted))
    return 0 if all(captured) else 1


def _capture(emitter: Emitter, environments: dict[str, Path]) -> bool:
    try:
        print(f"ok    {emitter.name}: {_captured(emitter, environments)}", flush=True)
    except (DriverFailed, AssertionError) as error:
        print(f"FAIL  {emitter.name}: {error}", flush=True)
        return False
    return True


def _captured(emitter: Emitter, environments: dict[str, Path]) -> str:
    with Provider(emitter.name) as provider, Recorder() as recorder:
        drive(emitter, environments, provider.port, recorder.port)
        served, requests = provider.manifest(), recorder.requests
        ports = {provider.port: 8080, recorder.port: 4318}
        assert not recorder.strangers, f"sent what is not OTLP: {recorder.strangers}"
    requests = cleaned(emitter.name, requests, environments, ports)
    _write(FIXTURES / f"{emitter.name}.jsonl", requests)
    _write(FIXTURES / f"{emitter.name}.served.jsonl", served)
    counts = {kind: sum(kind in each for each in requests) for kind in KINDS}
    return f"{len(served)} calls served, " + ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in lines))


if __name__ == "__main__":
    folders = dict(word.split("=", 1) for word in sys.argv[1].split())
    sys.exit(main({name: Path(folder) for name, folder in folders.items()}, sys.argv[2:]))
