"""Runs each emitter once and writes what it sent, and what it was served, as fixtures. Started by `capture`."""

import json
import sys
from pathlib import Path

from drive import DriverFailed, drive
from emitters import EMITTERS, Emitter
from fixtures import cleaned
from provider import Provider
from recorder import Recorder

FIXTURES = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "dialects"


def main(environments: dict[str, Path], names: list[str]) -> int:
    """Captures the emitters named, or all, and returns the exit status."""
    unknown = set(names) - {each.name for each in EMITTERS}
    if unknown:
        print(f"no such emitter: {', '.join(sorted(unknown))}; there are {', '.join(e.name for e in EMITTERS)}")
        return 2
    FIXTURES.mkdir(parents=True, exist_ok=True)
    failed = 0
    for emitter in EMITTERS:
        if names and emitter.name not in names:
            continue
        try:
            print(_capture(emitter, environments), flush=True)
        except (DriverFailed, AssertionError) as error:
            failed += 1
            print(f"FAIL  {emitter.name}: {error}", flush=True)
    return 1 if failed else 0


def _capture(emitter: Emitter, environments: dict[str, Path]) -> str:
    with Provider(emitter.name) as provider, Recorder() as recorder:
        drive(emitter, environments, provider.port, recorder.port)
        served, requests = provider.manifest(), recorder.requests
        ports = {provider.port: 8080, recorder.port: 4318}
        assert not recorder.strangers, f"sent what is not OTLP: {recorder.strangers}"
    requests = cleaned(emitter.name, requests, environments, ports)
    _write(FIXTURES / f"{emitter.name}.jsonl", requests)
    _write(FIXTURES / f"{emitter.name}.served.jsonl", served)
    counts = {kind: sum(kind in each for each in requests) for kind in ("resourceSpans", "resourceMetrics", "resourceLogs")}
    return f"ok    {emitter.name}: {len(served)} calls served, " + ", ".join(f"{n} {k}" for k, n in counts.items())


def _write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in lines))


if __name__ == "__main__":
    folders = dict(word.split("=", 1) for word in sys.argv[1].split())
    sys.exit(main({name: Path(folder) for name, folder in folders.items()}, sys.argv[2:]))
