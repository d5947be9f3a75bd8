"""Asks `wattline factors` and `wattline footprint`."""

import json
import os
import subprocess
from collections.abc import Iterator

import wattline
from comparison import Band, Machine, near

HOURS = 24

# What wattline calls the providers of EcoLogits.
PROVIDERS = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "google_genai": "gcp.gemini",
    "mistralai": "mistral_ai",
    "openai": "openai",
}


def ask(*words: object) -> dict:
    """What wattline answers, without the caller's configuration."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WATTLINE_", "OTEL_"))}
    argv = [str(word) for word in (wattline.binary(), *words, "--json")]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=60, text=True, env=clean)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
    return json.loads(done.stdout)


def of_machine(machine: Machine, load: float, region: str | None) -> dict:
    """A machine for a day."""
    where = ("--region", region) if region else ()
    return ask("footprint", *machine.words, "--utilization", load, "--hours", HOURS, *where)


def of_call(tokens: str) -> dict:
    """A call, as `--tokens` has it."""
    return ask("footprint", "--tokens", tokens)["calls"][0]


def watts(answer: dict, *kinds: str) -> float:
    """What the parts of these kinds draw."""
    return sum(part["power_w"]["central"] for part in answer["machine"]["parts"] if part["kind"] in kinds)


def span_of(answer: dict, kind: str) -> Band:
    """The 90 % range of what a part draws."""
    part = next(part["power_w"] for part in answer["machine"]["parts"] if part["kind"] == kind)
    return Band(part["low"], part["high"])


def unequal(what: str, pairs: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Faults of figures, by name, that are not the right ones beside them."""
    for name, (ours, right) in pairs.items():
        if not near(ours, right):
            yield f"{what}: {name} is {ours!r}, {right!r} is right"
