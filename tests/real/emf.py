"""Whether what CloudWatch Logs takes as events comes to what the ledger has, though the service fails and wattline is
killed.

Events tell changes, and they come at least once: a batch whose answer is not heard is sent again. Nobody but the
service can tell that it has it twice, and here it can: such a batch is the same to the byte. What came, less what came
again, must be the ledger's books, to the last microjoule and the last billionth of a dollar.
"""

import json
import os
import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import calls
import kept
import spans
import wattline
from aws import ACTIONS, REGION, Aws, Batch, Refused, Unheard
from calls import CALLS, Bill
from checks import Checks
from host import Host
from log_events import Event, Figure
from program import until
from wattline import Setup, Wattline

NAME, GROUP = "events", "/wattline/real"
KEY, SECRET = "AKIAREALSUITE0000002", "the+secret/of=the+events"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
EVERY = "200ms"

KILLS = 15
# Moments of chance lie so long after a fault was met.
MOMENTS = (0.05, 0.6)
AWAY_SECONDS = 3
# So many requests in a row meet a fault.
TIMES = 2
# The calls after the last kill. Not one of them is lost in a kill, so that what they come to is known.
LAST, LAST_REQUESTS = "last", 5

TOKENS = "inference.tokens"
INPUT, OUTPUT = ("gen_ai.token.type", "input"), ("gen_ai.token.type", "output")
OPERATIONAL, EMBODIED = ("carbon.kind", "operational"), ("carbon.kind", "embodied")

Key = kept.Key


@dataclass(frozen=True)
class Away:
    """The service refuses connections."""


@dataclass(frozen=True)
class Well:
    """Nothing is wrong."""


Fault = Refused | Unheard | Away | Well

FAULTS: list[tuple[str, Fault]] = [
    ("no fault", Well()),
    ("throttled", Refused(400, "ThrottlingException", "Rate exceeded")),
    ("a fault inside the service", Refused(500, "InternalFailure", "")),
    ("taken, and not answered", Unheard()),
    ("away", Away()),
]


def play(checks: Checks, folder: Path) -> None:
    """Kills it under each fault, and then lets each pass."""
    scene = folder / "emf"
    scene.mkdir()
    with checks.of("events to CloudWatch Logs"), Host(scene) as host:
        with Aws(keys={KEY: (SECRET, None)}, groups={GROUP: set()}) as stand_in:
            _play(checks, scene, host, stand_in)


def _play(checks: Checks, folder: Path, host: Host, stand_in: Aws) -> None:
    seed = int(os.environ.get("WATTLINE_SEED") or random.randrange(1 << 32))
    print(f"      WATTLINE_SEED={seed}", flush=True)
    setup = wattline.configure(folder, [], more=host.setting + _destination(stand_in), every=EVERY)
    at = datetime.now(UTC)
    log = _begin(setup)
    sender = spans.Sender(setup.http, lambda: calls.request("killed"))
    log += _kill(setup, stand_in, random.Random(seed))

    agent = _launch(setup)
    agent.until_ready()
    sender.stop()
    for fault, behaviour in FAULTS:
        _meet(stand_in, behaviour, agent)
        _mend(stand_in, behaviour, agent)
        print(f"      {fault}: over after {len(stand_in.batches)} batches", flush=True)
    for _ in range(LAST_REQUESTS):
        spans.send_or_fail(setup.http, calls.request(LAST)[1])
    _until_later(stand_in, agent)
    ending = agent.stop()
    log += agent.program.lines()

    batches = list(stand_in.batches)
    once = list({batch.body: batch for batch in batches}.values())
    came = sums([event for batch in once for event in batch.events])
    checks.that("nothing was refused but what the scene refuses", _refused_otherwise(stand_in))
    checks.that("only the last batch comes again, and only unheard or after a kill", repeated(batches))
    checks.that("a batch comes again as it was, and no event is in two", _in_two(once))
    checks.that("the count closes, nothing waits or is dropped, and all delivered is there", _uncounted(setup, once))
    books = kept.books(setup.state)
    checks.that("all changes, less what came again, come to the ledger's books", unlike(came, books))
    checks.that("the report has what came", _unreported(setup, came))
    bill = calls.bill(CALLS * LAST_REQUESTS, at)
    checks.that("calls after the last kill come to what independent sources say", _unbilled(came, bill))
    errors = [line for line in log if " ERROR " in line or "panicked" in line]
    checks.that("no run of it has told of an error, a loss, a panic or the secret", errors + _told(log))
    checks.that("it ends when asked to", [line for line in ending if " WARN " not in line])


def _destination(stand_in: Aws) -> str:
    return f"""
[[exporters.emf]]
name = "{NAME}"
sink = "logs"
log_group = "{GROUP}"
endpoint = "{stand_in.url}"
interval = "{EVERY}"
timeout = "3s"
"""


def _launch(setup: Setup) -> Wattline:
    return wattline.launch(setup, ENVIRONMENT)


def _begin(setup: Setup) -> list[str]:
    """Lets it begin its books, kills it, and returns its log."""
    agent = _launch(setup)
    agent.until_ready()
    agent.kill()
    return agent.program.lines()


def _kill(setup: Setup, stand_in: Aws, chance: random.Random) -> list[str]:
    """Starts it, lets it meet a fault and kills it, again and again, and returns its logs."""
    log = []
    for number in range(KILLS):
        _, fault = FAULTS[number % len(FAULTS)]
        agent = _launch(setup)
        _meet(stand_in, fault, agent)
        time.sleep(chance.uniform(*MOMENTS))
        agent.kill()
        log += agent.program.lines()
        stand_in.next.clear()
        if isinstance(fault, Away):
            stand_in.open()
    return log


def _meet(stand_in: Aws, fault: Fault, agent: Wattline) -> None:
    """Lets the service misbehave, and waits until wattline has met it."""
    match fault:
        case Well():
            _until_later(stand_in, agent)
        case Away():
            before = agent.failures()
            stand_in.close()
            until("it finds nobody", lambda: agent.failures() > before, [agent.program])
        case _:
            stand_in.next[ACTIONS] = [fault] * TIMES
            until("the fault has been met", lambda: not stand_in.next[ACTIONS], [agent.program])


def _mend(stand_in: Aws, fault: Fault, agent: Wattline) -> None:
    """Lets the service be well again, and waits until it has all that waited."""
    if isinstance(fault, Away):
        began = time.monotonic()
        until("it has been away", lambda: time.monotonic() - began > AWAY_SECONDS, [agent.program])
        stand_in.open()
    _until_later(stand_in, agent)


def _until_later(stand_in: Aws, agent: Wattline) -> None:
    """Waits for events later than now. They come in order, so that all that waited has come by then."""
    now_ms = time.time() * 1000

    def has_come() -> bool:
        newest = stand_in.batches[-1] if stand_in.batches else None
        return newest is not None and newest.is_answered and newest.events[-1].at_ms > now_ms

    until("later events have come", has_come, [agent.program])


# What came.


def sums(events: list[Event]) -> dict[Key, Decimal]:
    """What came of each series, exactly. Of a distribution, its sum."""
    result: dict[Key, Decimal] = defaultdict(Decimal)
    for event in events:
        (labels,) = event.dimensions
        series = tuple(sorted((key, value) for key, value in labels.items() if key != "host.name"))
        for metric, figure in event.figures.items():
            result[metric, series] += _amount(figure)
    return result


def _amount(figure: Figure) -> Decimal:
    return Decimal(figure["Sum"] if isinstance(figure, dict) else figure)


def repeated(batches: list[Batch]) -> list[str]:
    """Batches that came again although the one before could be heard, or out of their turn."""
    bodies = Counter(batch.body for batch in batches)
    again = [one for one, other in zip(batches, batches[1:]) if one.body == other.body]
    heard = sum(batch.is_answered for batch in again)
    unheard = [batch for batch in batches if not batch.is_answered]
    print(
        f"      {len(batches)} batches; {len(again)} came more than once, {len(again) - heard} of them not answered, "
        f"{heard} answered to one that was killed",
        flush=True,
    )
    # One kill is that of the first run.
    kills = KILLS + 1
    faults = [] if heard <= kills else [f"{heard} came again after an answer, and it was killed {kills} times"]
    faults += [] if len(batches) - len(bodies) == len(again) else ["some came again after others"]
    faults += [] if len(again) - heard == len(unheard) else [f"{len(unheard)} had no answer and did not all come again"]
    return faults + ([] if unheard else ["every answer was heard, so that nothing was tested"])


def _in_two(once: list[Batch]) -> list[str]:
    counts = Counter(event.text for batch in once for event in batch.events)
    return [f"{count} times {text}" for text, count in counts.items() if count > 1]


def _uncounted(setup: Setup, once: list[Batch]) -> list[str]:
    tally = kept.tally(setup.state, NAME, kept.METRICS)
    points = sum(len(event.figures) for batch in once for event in batch.events)
    faults = tally.open() + ([f"{tally}"] if tally.waiting or tally.dropped else [])
    return faults + ([f"{tally.delivered} points are delivered, {points} came"] if tally.delivered != points else [])


def unlike(came: dict[Key, Decimal], books: dict[Key, int]) -> list[str]:
    """Series that came to something else than what is booked, in the parts that are booked. There is no tolerance."""
    units = wattline.units()
    faults = []
    for (metric, labels), amount in books.items():
        found = came.get((metric, labels), Decimal()) * kept.parts(units[metric])
        if found != amount:
            faults.append(f"{metric} {dict(labels)}: {found} came, {amount} are booked")
    of_books = {metric for metric, _ in books}
    faults += [f"{series} is not booked" for series in came if series[0] in of_books and series not in books]
    for metric in sorted(of_books):
        total = sum(amount for (name, _), amount in books.items() if name == metric)
        print(f"      {metric}: {total / kept.parts(units[metric])!r} {units[metric]}", flush=True)
    return faults + ([] if books else ["nothing is booked"])


def _total(came: dict[Key, Decimal], metric: str, *labels: tuple[str, str]) -> Decimal:
    """The sum over the series of a metric that have these labels."""
    wanted = set(labels)
    return sum((amount for (name, own), amount in came.items() if name == metric and wanted <= set(own)), Decimal())


def _unreported(setup: Setup, came: dict[Key, Decimal]) -> list[str]:
    """Figures of the reports on the machine and on models that are not what came."""
    told = {by: _report(setup, by) for by in ("workload", "model")}
    figures = [
        ("workload", "energy_j", _total(came, "workload.energy"), 10**6),
        ("workload", "carbon_operational_g", _total(came, "workload.carbon", OPERATIONAL), 10**9),
        ("workload", "cost_usd", _total(came, "workload.cost.usd"), 10**9),
        ("model", "calls", _total(came, "inference.calls"), 1),
        ("model", "input_tokens", _total(came, TOKENS, INPUT), 1),
        ("model", "output_tokens", _total(came, TOKENS, OUTPUT), 1),
        ("model", "energy_j", _total(came, "inference.energy"), 10**6),
        ("model", "carbon_operational_g", _total(came, "inference.carbon", OPERATIONAL), 10**9),
        ("model", "carbon_embodied_g", _total(came, "inference.carbon", EMBODIED), 10**9),
        ("model", "cost_usd", _total(came, "inference.cost.usd"), 10**9),
    ]
    return [
        f"{name} by {by}: {told[by].get(name)} is reported, {amount} came"
        for by, name, amount, parts in figures
        if not amount or round(told[by].get(name, 0) * parts) != amount * parts
    ]


def _report(setup: Setup, by: str) -> dict:
    argv = [wattline.binary(), "report", "--since", "1h", "--by", by, "--json", "--config", setup.config]
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(setup.folder)}
    printed = subprocess.run(argv, env=clean, check=True, capture_output=True, timeout=60, text=True)
    return json.loads(printed.stdout)["total"]


def _unbilled(came: dict[Key, Decimal], wanted: Bill) -> list[str]:
    def total(metric: str, parts: int, *labels: tuple[str, str]) -> Decimal:
        return _total(came, metric, ("service.name", LAST), *labels) * parts

    got = Bill(
        calls=total("inference.calls", 1),
        input_tokens=total(TOKENS, 1, INPUT),
        output_tokens=total(TOKENS, 1, OUTPUT),
        microjoules=total("inference.energy", 10**6),
        operational_nanograms=total("inference.carbon", 10**9, OPERATIONAL),
        embodied_nanograms=total("inference.carbon", 10**9, EMBODIED),
        nano_dollars=total("inference.cost.usd", 10**9),
    )
    return [
        f"{each.name.replace('_', ' ')}: {getattr(got, each.name)} came, {getattr(wanted, each.name)} is right"
        for each in fields(Bill)
        if getattr(got, each.name) != getattr(wanted, each.name)
    ]


def _refused_otherwise(stand_in: Aws) -> list[str]:
    missing = f"{ACTIONS} 400 The specified log stream does not exist."
    ours = {f"{ACTIONS} {fault.status} {fault.message}" for _, fault in FAULTS if isinstance(fault, Refused)}
    refused = [each for each in stand_in.refused if each not in ours | {missing}]
    return refused + ([] if stand_in.groups == {GROUP: {"box"}} else [f"the streams are {stand_in.groups}"])


def _told(log: list[str]) -> list[str]:
    return [line for line in log if SECRET in line or "dropped" in line]
