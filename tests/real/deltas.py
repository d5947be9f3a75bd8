"""Whether a Collector that adds up wattline's changes has the ledger's sums, though answers are lost, the Collector is
away, and wattline is restarted and killed.

Changes come at least once. The Collector's own processor makes sums of them again: it leaves out what it had before, by
its time, and knows a series by its labels and its Resource, which must outlive a restart.
"""

import os
import random
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import calls
import kept
import kills
import otlp
import proxy
import python_sdk
import spans
import wattline
from calls import CALLS
from checks import Checks
from components import Collector, start_collector
from host import Host
from otlp import Point
from program import until
from proxy import Behaviour, Proxy, pass_on
from wattline import Destination, Setup, Wattline

EVERY = "200ms"
MORE = 'temporality = "delta"\ngrace = "2s"\nretry = { initial = "50ms", max = "400ms" }'
NAME = "real-0"

# What the way to the Collector does while a run lasts. Each run ends by a kill, and another by being asked to.
WAYS: list[Behaviour] = [pass_on, proxy.taken_and_reset, proxy.status(503), proxy.taken_in_silence]
RUNS = 2 * len(WAYS)
# Moments of chance lie so long after that was met.
MOMENTS = (0.05, 0.6)
AWAY_SECONDS = 3
# The calls after the last kill, not one of which is lost in a kill.
LAST, LAST_REQUESTS = "last", 5


def play(checks: Checks, folder: Path) -> None:
    """One series of runs."""
    scene = folder / "deltas"
    scene.mkdir()
    with checks.of("changes that a Collector adds up"), Host(scene) as host:
        collector = start_collector(scene, ["deltatocumulative"])
        with Proxy(collector.http) as way:
            _play(checks, scene, host, collector, way)


def _play(checks: Checks, folder: Path, host: Host, collector: Collector, way: Proxy) -> None:
    seed = int(os.environ.get("WATTLINE_SEED") or random.randrange(1 << 32))
    print(f"      WATTLINE_SEED={seed}", flush=True)
    to_way = Destination(f"http://127.0.0.1:{way.port}", "http/protobuf", ["metrics"], f'{MORE}\ntimeout = "1s"')
    setup = wattline.configure(folder, [to_way], more=host.setting, every=EVERY)
    at = datetime.now(UTC)
    agent = wattline.launch(setup)
    agent.until_ready()
    complaints = agent.kill()
    sender = spans.Sender(setup.http, lambda: calls.request("killed"))
    complaints += _end_again_and_again(setup, collector, way, random.Random(seed))

    agent = wattline.launch(setup)
    agent.until_ready()
    sender.stop()
    _until_later(collector, agent)
    _be_away(way, agent)
    for _ in range(LAST_REQUESTS):
        spans.send_or_fail(setup.http, calls.request(LAST)[1])
    _until_later(collector, agent)
    complaints += agent.stop()
    collector.program.stop()

    points = otlp.points(collector.metrics)
    books, totals = kept.books(setup.state), kept.totals(setup.state, wattline.units())
    tally = kept.tally(setup.state, NAME, kept.METRICS)
    checks.that("no sum goes back or starts anew", kills.backward(points, set(totals)))
    checks.that("each series has one Resource over all restarts", _moved(points, set(totals)))
    checks.that("the last sums are the ledger's books, to the smallest part", unlike(kills.last(points), books))
    bill = calls.bill(CALLS * LAST_REQUESTS, at)
    unequal = python_sdk.unequal(points, LAST, bill)
    checks.that("calls after the last kill come to what independent sources say", unequal)
    waits = [f"{tally}"] if tally.waiting or tally.dropped else []
    checks.that("the count closes, nothing waits or is dropped", tally.open() + waits)
    again = sum(way.met(behaviour) for behaviour in (proxy.taken_and_reset, proxy.taken_in_silence))
    print(f"      {len(books)} series; {again} requests were taken and their answers lost", flush=True)
    checks.that("answers were lost", [] if again else ["all were heard, so that nothing was tested"])
    checks.that("the Collector has nothing to complain of", collector.complaints())
    checks.that("no run of it has told of an error or a panic", [line for line in complaints if " WARN " not in line])


def _end_again_and_again(setup: Setup, collector: Collector, way: Proxy, chance: random.Random) -> list[str]:
    """Starts it, lets it meet a fault of the way, and ends it; returns what its logs complain of."""
    complaints = []
    for number in range(RUNS):
        behaviour = WAYS[number // 2 % len(WAYS)]
        before = way.met(behaviour)
        way.behaviour = behaviour
        agent = wattline.launch(setup)
        if behaviour is pass_on:
            _until_later(collector, agent)
        else:
            until("the fault has been met", lambda: way.met(behaviour) > before, [agent.program])
        time.sleep(chance.uniform(*MOMENTS))
        complaints += agent.kill() if number % 2 else agent.stop()
        way.behaviour = pass_on
    return complaints


def _be_away(way: Proxy, agent: Wattline) -> None:
    """Lets the Collector be out of reach for a while."""
    before = agent.failures()
    way.close()
    until("it finds nobody", lambda: agent.failures() > before, [agent.program])
    began = time.monotonic()
    until("the Collector has been away", lambda: time.monotonic() - began > AWAY_SECONDS, [agent.program])
    way.open()


def _until_later(collector: Collector, agent: Wattline) -> None:
    """Waits for points later than now. They come in order, so that all that waited has come by then."""
    now = time.time_ns()
    needs = [collector.program, agent.program]
    until("later points have come", lambda: any(each.time > now for each in otlp.points(collector.metrics)), needs)


def _moved(points: list[Point], booked: set[kept.Key]) -> list[str]:
    resources = defaultdict(set)
    for point in points:
        resources[point.identity].add(point.resource)
    moved = [(series, each) for series, each in resources.items() if series in booked and len(each) > 1]
    return [f"{metric} {dict(labels)} is of {each}" for (metric, labels), each in moved]


def unlike(came: dict[kept.Key, float], books: dict[kept.Key, int]) -> list[str]:
    """Series that came to something else than what is booked, in the whole parts that are booked."""
    units = wattline.units()
    faults = []
    for (metric, labels), amount in books.items():
        found = round(came.get((metric, labels), 0.0) * kept.parts(units[metric]))
        if found != amount:
            faults.append(f"{metric} {dict(labels)}: {found} came, {amount} are booked")
    return faults + ([] if books else ["nothing is booked"])
