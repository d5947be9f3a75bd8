"""Whether anything is lost, booked twice or goes back when wattline is killed at moments of chance.

What was acknowledged must arrive, no sum may go back at the Collector, and in the end the Collector, the ledger and
`wattline report` must have the same totals: as sums since the beginning, and as sums of what came since the last.
"""

import json
import os
import random
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import kept
import otlp
import spans
import wattline
from checks import Checks
from collector import destination
from components import start_collector
from host import Host
from otlp import CUMULATIVE, Point
from program import until
from wattline import Destination, Setup, Wattline

KILLS = 36
# Moments of chance lie so long after a start, or after a request was acknowledged.
MOMENTS = (0.05, 0.6)
COUNT = 5
EVERY = "200ms"
AFTER_NS = 500_000_000
RETRY = 'retry = { initial = "50ms", max = "400ms" }'

# Sums of the same figures in floating point and in whole parts may differ by this share, and by half a part.
EXACT = 1e-9

Key = tuple[str, otlp.Attributes]


def play(checks: Checks, folder: Path) -> None:
    """Kills it again and again under load."""
    scene = folder / "kills"
    for each in ("cumulative", "delta"):
        (scene / each).mkdir(parents=True)
    with checks.of("killed at moments of chance"), Host(scene) as host:
        _play(checks, scene, host)


def _play(checks: Checks, folder: Path, host: Host) -> None:
    seed = int(os.environ.get("WATTLINE_SEED") or random.randrange(1 << 32))
    print(f"      WATTLINE_SEED={seed}", flush=True)
    sums, changes = start_collector(folder / "cumulative"), start_collector(folder / "delta")
    setup = wattline.configure(
        folder,
        [
            Destination(destination(sums, "http/protobuf").endpoint, "http/protobuf", ["metrics", "traces"], RETRY),
            Destination(
                destination(changes, "http/protobuf").endpoint,
                "http/protobuf",
                ["metrics"],
                f'{RETRY}\ntemporality = "delta"',
            ),
        ],
        more=host.setting,
        every=EVERY,
        acknowledge="disk",
    )
    sender = spans.Sender(setup.http, lambda: spans.request("killed", COUNT))
    errors = _begin(setup)
    begun = host.joules
    errors += _kill(setup, sender, random.Random(seed))

    agent = wattline.launch(setup)
    agent.until_ready()
    acknowledged = set(sender.stop())
    counted = host.freeze()
    after = time.time_ns() + AFTER_NS
    until(
        "all that was acknowledged has arrived",
        lambda: set(spans.arrived(sums.traces)) >= acknowledged,
        [agent.program, sums.program],
    )
    until(
        "a window that began after the meter stood still has arrived",
        lambda: any(point.time > after for point in otlp.points(sums.metrics)),
        [agent.program, sums.program],
    )
    errors += [line for line in agent.stop() if " WARN " not in line]
    for each in (sums, changes):
        each.program.stop()

    arrived = spans.arrived(sums.traces)
    checks.that("every span that was acknowledged arrives", sorted(acknowledged - arrived.keys()))
    again = sum(count > 1 for count in arrived.values())
    print(f"      {len(acknowledged)} spans; {again} came more than once", flush=True)
    open_counts = []
    for name, signal in (("real-0", kept.METRICS), ("real-0", kept.TRACES), ("real-1", kept.METRICS)):
        tally = kept.tally(setup.state, name, signal)
        open_counts += tally.open() + ([f"{name}: {tally}"] if tally.waiting or tally.dropped else [])
    checks.that("the counts close, and nothing waits or is dropped", open_counts)
    _check_totals(checks, setup, otlp.points(sums.metrics), otlp.points(changes.metrics))
    booked = kept.booked(setup.state, "hw.energy", "package-0") / 1e6
    is_close = counted - begun <= booked <= counted
    checks.that(
        "every joule of the meter is booked once",
        [] if is_close else [f"{booked} J are booked, the meter counted {counted} J, {begun} J before it was read"],
    )
    checks.that("no run of it has told of an error or a panic", errors)


def _begin(setup: Setup) -> list[str]:
    """Lets it begin its books, kills it, and returns errors in its log."""
    agent = wattline.launch(setup)
    agent.until_ready()
    return [line for line in agent.kill() if " WARN " not in line]


def _kill(setup: Setup, sender: spans.Sender, chance: random.Random) -> list[str]:
    """Starts and kills it, and returns errors in its logs."""
    errors = []
    for number in range(KILLS):
        agent = wattline.launch(setup)
        if number % 2:
            _wait_for_more(agent, sender)
        time.sleep(chance.uniform(*MOMENTS))
        errors += [line for line in agent.kill() if " WARN " not in line]
    return errors


def _wait_for_more(agent: Wattline, sender: spans.Sender) -> None:
    before = len(sender.acknowledged)
    until("another request is acknowledged", lambda: len(sender.acknowledged) > before, [agent.program])


def _check_totals(checks: Checks, setup: Setup, sums: list[Point], changes: list[Point]) -> None:
    units = {row.name: row.unit for row in wattline.table().values()}
    totals = kept.totals(setup.state, units)
    checks.that("no sum goes back or starts anew at the Collector", backward(sums, set(totals)))
    checks.that("the last sums at the Collector are the ledger's totals", unlike(last(sums), totals))
    checks.that("all changes at the Collector come to the ledger's totals", unlike(added(changes), totals))
    checks.that("minutes, hours and days come to the same", kept.unequal_books(setup.state))
    checks.that("the report has what the ledger has", _unreported(setup, totals))


def backward(points: list[Point], booked: set[Key]) -> list[str]:
    """Cumulative sums of the ledger's series that are less than they were, or that count from another start."""
    series: dict[Key, list[Point]] = defaultdict(list)
    for point in _valued(points):
        if point.identity in booked:
            series[point.identity].append(point)
    faults = []
    for each in series.values():
        each.sort(key=lambda point: point.time)
        values = [_value(point) for point in each]
        if values != sorted(values):
            faults.append(f"{each[0]} goes back: {values}")
        if len({point.start for point in each}) != 1:
            faults.append(f"{each[0]} has {len({point.start for point in each})} starts")
        if {point.temporality for point in each} != {CUMULATIVE}:
            faults.append(f"{each[0]} is not cumulative")
    return faults + ([] if series else ["no series came"])


def last(points: list[Point]) -> dict[Key, float]:
    """The newest value of each series."""
    newest: dict[Key, Point] = {}
    for point in sorted(_valued(points), key=lambda point: point.time):
        newest[point.identity] = point
    return {key: _value(point) for key, point in newest.items()}


def added(points: list[Point]) -> dict[Key, float]:
    """The sum of all changes of each series. One that was sent again, because its answer was lost, counts once."""
    once = {(point.identity, point.start, point.time): point for point in _valued(points)}
    result: dict[Key, float] = defaultdict(float)
    for (identity, _, _), point in once.items():
        result[identity] += _value(point)
    again = len(_valued(points)) - len(once)
    print(f"      {again} of {len(points)} changes came more than once", flush=True)
    return result


def _valued(points: list[Point]) -> list[Point]:
    """All but those that only tell that a series has ended."""
    return [point for point in points if point.value is not None or point.histogram]


def _value(point: Point) -> float:
    return float(point.histogram.get("sum", 0)) if point.histogram else point.value or 0.0


def unlike(came: dict[Key, float], totals: dict[Key, float]) -> list[str]:
    """Series of the ledger that came to something else."""
    faults = [
        f"{metric} {dict(labels)}: {came.get((metric, labels))!r} came, the ledger has {total!r}"
        for (metric, labels), total in totals.items()
        if abs(came.get((metric, labels), 0.0) - total) > max(EXACT * total, 6e-7)
    ]
    return faults + ([] if totals else ["the ledger has no totals"])


def _unreported(setup: Setup, totals: dict[Key, float]) -> list[str]:
    argv = [wattline.binary(), "report", "--since", "1h", "--json", "--config", setup.config]
    told = json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=60, text=True).stdout)["total"]
    faults = []
    for metric, names in (
        ("workload.energy", ("energy_j",)),
        ("workload.carbon", ("carbon_operational_g", "carbon_embodied_g")),
        ("workload.cost", ("cost_usd",)),
    ):
        kept_total = sum(value for (name, _), value in totals.items() if name in (metric, f"{metric}.usd"))
        reported = sum(told[name] for name in names)
        if abs(reported - kept_total) > max(EXACT * kept_total, 1e-6):
            faults.append(f"{metric}: {reported} is reported, the ledger has {kept_total}")
    return faults
