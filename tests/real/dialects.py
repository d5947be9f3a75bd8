"""Real instrumentations of language models play a script against a local server that speaks the providers' APIs, with
wattline as their only OTLP endpoint. What it books of each must be what that server served, to the token."""

import contextlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import calls
import exposition
import wattline
from calls import Call
from checks import Checks
from components import paths
from program import Unmet, until
from wattline import Wattline

# Its modules stand on their own: the command that captures fixtures starts from them.
sys.path.append(str(Path(__file__).resolve().parent / "dialects"))

from drive import drive
from emitters import EMITTERS, Emitter, Fault
from provider import Provider, Served

NANO = 10**9

# The words of the price table for who serves an API.
PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "bedrock": "aws"}


@dataclass(frozen=True)
class Figures:
    """What the calls of one emitter come to, but for those that failed: not every emitter tells of these."""

    calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    nano_dollars: int = 0


def play(checks: Checks, folder: Path) -> None:
    """All emitters, or those that $WATTLINE_DIALECTS names, into one wattline."""
    scene = folder / "dialects"
    scene.mkdir()
    named = os.environ.get("WATTLINE_DIALECTS", "").split()
    with checks.of("dialects"):
        _play(checks, scene, [each for each in EMITTERS if not named or each.name in named])


def _play(checks: Checks, folder: Path, emitters: list[Emitter]) -> None:
    agent = wattline.start(folder, [])
    at = datetime.now(UTC)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        played = list(zip(emitters, pool.map(lambda each: _served(each, agent), emitters), strict=True))
    wanted = {each.name: _figures(each, served, at) for each, served in played if isinstance(served, list)}

    def settled() -> bool:
        booked = _booked(agent)
        return all(booked.get(name) == figures for name, figures in wanted.items())

    # What is not met is told of each emitter below.
    with contextlib.suppress(Unmet):
        until("the books hold all calls as they were served", settled, [agent.program])
    booked = _booked(agent)
    for emitter, served in played:
        sentence = f"calls of {emitter.name} are booked {'once, ' if emitter.doubled else ''}as they were served"
        if isinstance(served, str):
            checks.that(sentence, [served])
        else:
            checks.that(sentence, _differences(booked.get(emitter.name, Figures()), wanted[emitter.name]))
    checks.that("wattline has nothing to complain of, and ends when asked to", agent.stop())


def _served(emitter: Emitter, agent: Wattline) -> list[Served] | str:
    """What the emitter was served; or, where its driver failed, why."""
    folder = paths()[f"dialect-{emitter.environment}"]
    with Provider(emitter.name) as provider:
        try:
            drive(emitter, {emitter.environment: folder}, provider.port, agent.http)
        except RuntimeError as error:
            return str(error)
        return provider.served


def _figures(emitter: Emitter, served: list[Served], at: datetime) -> Figures:
    """What the emitter tells of what it was served."""
    sums = Figures()
    for call in served:
        faults = {each.fault for each in emitter.gaps if each.befalls(call.api, call.step, call.streaming)}
        if call.status != 200 or Fault.UNSEEN in faults:
            continue
        told = _told(call, faults)
        sums = Figures(
            calls=sums.calls + 1,
            input_tokens=sums.input_tokens + told.input,
            cache_read_tokens=sums.cache_read_tokens + told.cache_read,
            cache_write_tokens=sums.cache_write_tokens + told.cache_write,
            output_tokens=sums.output_tokens + told.output,
            nano_dollars=sums.nano_dollars + _nano_dollars(told, at),
        )
    return sums


def _told(call: Served, faults: set[Fault]) -> Served:
    if Fault.NO_CACHED_INPUT in faults:
        call = replace(call, input=call.input - call.cache_read - call.cache_write, cache_read=0, cache_write=0)
    if Fault.NO_CACHE in faults:
        call = replace(call, cache_read=0, cache_write=0)
    if Fault.NO_CACHE_WRITE in faults:
        call = replace(call, cache_write=0)
    if Fault.ONE_TOO_MANY in faults:
        call = replace(call, output=call.output + 1)
    return call


def _nano_dollars(call: Served, at: datetime) -> int:
    """The list price, by the Python package of the price table. It is what tells cached tokens from others."""
    provider = PROVIDERS[call.api.split(".")[0]]
    # A name, and neither an address nor a duration, enters the price.
    priced = Call(
        provider, call.model, call.response_model, "", 0.0, call.input, call.cache_read, call.cache_write, call.output
    )
    try:
        return calls.nano_dollars(priced, at)
    except LookupError:
        return 0


def _booked(agent: Wattline) -> dict[str, Figures]:
    """What the page shows, by the service that the calls are of."""
    page = exposition.read(agent.metrics_page()[1])
    sums: dict[str, dict[str, float]] = {}
    for (name, pairs), value in page.samples.items():
        labels = dict(pairs)
        key = _key(name, labels)
        if key is None or "service_name" not in labels:
            continue
        mine = sums.setdefault(labels["service_name"], asdict(Figures()))
        mine[key] += value * (NANO if key == "nano_dollars" else 1)
    return {name: Figures(**{key: round(value) for key, value in mine.items()}) for name, mine in sums.items()}


def _key(name: str, labels: dict[str, str]) -> str | None:
    match name, labels.get("gen_ai_token_type"):
        case "inference_calls_total", _ if "error_type" not in labels:
            return "calls"
        case "inference_cost_usd_total", _:
            return "nano_dollars"
        case "inference_tokens_total", ("input" | "cache_read" | "cache_write" | "output") as kind:
            return f"{kind}_tokens"
    return None


def _differences(booked: Figures, wanted: Figures) -> list[str]:
    return [
        f"{name.replace('_', ' ')}: {value} booked, {getattr(wanted, name)} is right"
        for name, value in asdict(booked).items()
        if value != getattr(wanted, name)
    ]
