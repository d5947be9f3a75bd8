"""What becomes of snapshots while Collector and Prometheus are away, and when they are back."""

import re
import time
from pathlib import Path

import kept
import kills
import otlp
import prometheus
import spans
import wattline
from checks import Checks
from components import Collector, Prometheus, start_collector, start_prometheus
from host import Host
from otlp import Point
from program import free_ports, until
from proxy import Proxy, pass_on, status
from wattline import Destination, Row

EVERY = "1s"
AWAY_SECONDS = 20
SENT = "wattline"

RETRY = 'retry = { max = "8s" }'

# Of pauses drawn between nothing and 1, 2, 4, 8, 8 s and so on, so many do not fit into the outage. Each signal has
# attempts of its own.
ATTEMPTS = 20
SIGNALS = {"Collector": 2, "Prometheus": 1}

# Snapshots of a machine that others keep busy are at most so far apart.
GAP_SECONDS = 6


def play(checks: Checks, folder: Path) -> None:
    """One outage of both."""
    scene = folder / "outage"
    scene.mkdir()
    with checks.of("an outage"), Host(scene) as host:
        collector = start_collector(scene)
        (nowhere,) = free_ports(1)
        store = start_prometheus(scene, f"127.0.0.1:{nowhere}", "60s")
        with Proxy(collector.http) as to_collector, Proxy(store.port) as to_store:
            _play(checks, scene, host, (collector, to_collector), (store, to_store))


def _play(
    checks: Checks, folder: Path, host: Host, first: tuple[Collector, Proxy], second: tuple[Prometheus, Proxy]
) -> None:
    (collector, to_collector), (store, to_store) = first, second
    setup = wattline.configure(
        folder,
        [
            Destination(f"http://127.0.0.1:{to_collector.port}", "http/protobuf", ["metrics", "traces"], RETRY),
            Destination(f"http://127.0.0.1:{to_store.port}/api/v1/otlp", "http/protobuf", ["metrics"], RETRY),
        ],
        more=host.setting,
        every=EVERY,
    )
    needs = [collector.program, store.program]
    agent = wattline.launch(setup)
    agent.until_ready()
    until("figures have come to both", lambda: _newest(collector) and prometheus.times(store, SENT), needs)

    away = status(503)
    for way in (to_collector, to_store):
        way.behaviour = away
    began = time.monotonic()
    sent: list[str] = []

    def over() -> bool:
        sent.extend(spans.send_all(agent.http, "away", 1, 3))
        return time.monotonic() - began > AWAY_SECONDS

    until("the outage has lasted", over, [*needs, agent.program])
    attempts = {"Collector": to_collector.met(away), "Prometheus": to_store.met(away)}
    for way in (to_collector, to_store):
        way.behaviour = pass_on
    back = time.time_ns()

    def has_come() -> bool:
        newest = prometheus.times(store, SENT)
        has_newer = newest[-1] > back / 1e9 and _newest(collector) > back
        return has_newer and set(spans.arrived(collector.traces)) >= set(sent)

    until("what waited has arrived at both, and what came after it", has_come, [*needs, agent.program])
    errors = [line for line in agent.stop() if " WARN " not in line]
    tallies = {name: kept.tally(setup.state, name, kept.METRICS) for name in ("real-0", "real-1")}
    stored = prometheus.series(store, SENT)
    complaints = store.complaints()
    for each in needs:
        each.stop()

    points = otlp.points(collector.metrics)
    storm = [
        f"{count} requests came to the {name} in {AWAY_SECONDS} s"
        for name, count in attempts.items()
        if not 2 <= count <= ATTEMPTS * SIGNALS[name]
    ]
    checks.that("no storm of requests while nobody takes them", storm)
    checks.that("every snapshot that waited arrives, and in order", _gaps(points) + _out_of_order(points))
    unclosed = [fault for tally in tallies.values() for fault in tally.open()]
    unclosed += [f"{name}: {tally}" for name, tally in tallies.items() if tally.waiting or tally.dropped]
    checks.that("the counts close, and nothing waits or is dropped", unclosed)
    checks.that("every point that was delivered is there", _uncounted(tallies["real-0"].delivered, points))
    table = wattline.table()
    totals = kept.totals(setup.state, {row.name: row.unit for row in table.values()})
    checks.that("the sums at the Collector are the ledger's totals", kills.unlike(kills.last(points), totals))
    checks.that("the sums in Prometheus are the ledger's totals", kills.unlike(_stored(stored, totals, table), totals))
    checks.that("no sum goes back in Prometheus", _backward(stored))
    checks.that("Prometheus has nothing to complain of", complaints)
    checks.that("wattline ends when asked to, without an error", errors)


def _newest(collector: Collector) -> int:
    return max((point.time for point in otlp.points(collector.metrics)), default=0)


def _times(points: list[Point]) -> list[int]:
    """The times of the snapshots in the order in which they came."""
    return list(dict.fromkeys(point.time for point in points if point.metric == "hw.host.energy"))


def _out_of_order(points: list[Point]) -> list[str]:
    times = _times(points)
    return [f"{one} came before {other}" for one, other in zip(times, times[1:]) if one >= other]


def _gaps(points: list[Point]) -> list[str]:
    times = sorted(_times(points))
    pauses = [(other - one) / 1e9 for one, other in zip(times, times[1:])]
    faults = [f"a snapshot is missing: {pause} s between two" for pause in pauses if pause > GAP_SECONDS]
    return faults + ([] if len(times) > AWAY_SECONDS / GAP_SECONDS else [f"{len(times)} snapshots came"])


def _uncounted(delivered: int, points: list[Point]) -> list[str]:
    return [f"{delivered} points are delivered, {len(points)} came"] if delivered != len(points) else []


def _stored(stored: prometheus.Series, totals: dict[kills.Key, float], table: dict[str, Row]) -> dict[kills.Key, float]:
    """The last values in Prometheus, under the names of the ledger."""
    found = {}
    for metric, labels in totals:
        wanted = tuple(sorted((re.sub(r"\W", "_", key), value) for key, value in labels))
        points = stored.get((table[metric].prometheus, wanted))
        if points:
            found[metric, labels] = max(points)[1]
    return found


def _backward(stored: prometheus.Series) -> list[str]:
    faults = []
    for (name, labels), points in stored.items():
        values = [value for _, value in sorted(points)]
        if name.endswith("_total") and values != sorted(values):
            faults.append(f"{name} {dict(labels)}: {values}")
    return faults
