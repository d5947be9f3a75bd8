"""What the OpenTelemetry Collector makes of wattline's metrics, over HTTP and over gRPC."""

from collections import Counter, defaultdict
from pathlib import Path

import closure
import expected
import exposition
import otlp
import wattline
from checks import Checks
from components import Collector, start_collector
from otlp import CUMULATIVE, Point
from program import fetch, until
from wattline import Destination, Row

# So many snapshots show whether sums go back and whether start times move.
SNAPSHOTS = 4

# What every Resource must say about the machine.
RESOURCE = ("host.name", "host.id", "service.name", "service.instance.id")

# The words of the Prometheus page for the table's instruments.
PROMETHEUS_TYPES = {"counter": "counter", "updowncounter": "gauge", "gauge": "gauge", "histogram": "histogram"}


def play(checks: Checks, folder: Path) -> None:
    """Both protocols, each with a Collector of its own."""
    for protocol in ("http/protobuf", "grpc"):
        scene = folder / f"collector-{protocol.split('/')[0]}"
        scene.mkdir()
        with checks.of(f"collector over {protocol}"):
            _play_over(checks, scene, protocol)


def destination(collector: Collector, protocol: str) -> Destination:
    """The Collector as wattline's destination."""
    port = collector.grpc if protocol == "grpc" else collector.http
    return Destination(f"http://127.0.0.1:{port}", protocol)


def _play_over(checks: Checks, folder: Path, protocol: str) -> None:
    table = wattline.table()
    collector = start_collector(folder)
    agent = wattline.start(folder, [destination(collector, protocol)])
    wanted = expected.metrics(set(table), calls=False)
    try:
        until(
            "every expected metric and enough snapshots have arrived",
            lambda: _has_all(collector.metrics, wanted),
            [collector.program, agent.program],
        )
        late: list[str] = []
    except TimeoutError as error:
        late = [str(error)]
    faults = agent.stop()
    page_status, page = fetch(collector.page)
    collector.program.stop()

    points = otlp.points(collector.metrics)
    checks.that("every metric that this machine can show arrives", missing(points, wanted) + late)
    checks.that("each metric has the unit and the instrument of the table", untabled(points, table))
    checks.that("no two points of a snapshot have one identity", doubles(points))
    checks.that("sums are cumulative, never go back and keep their start", backward(points))
    checks.that("no Resource comes with points older than it came with before", stale(points))
    checks.that("every Resource tells machine and service", anonymous(points))
    checks.that("the books close to the microjoule in every snapshot", unclosed(points))
    checks.that("the agent's own log arrives, with the service it is from", unlogged(collector.logs))
    checks.that("the Prometheus page has the table's names and types", misnamed(page_status, page, points, table))
    checks.that("the Collector has nothing to complain of", collector.complaints())
    checks.that("wattline has nothing to complain of, and ends when asked to", faults)


def unlogged(path: Path) -> list[str]:
    """What is wrong with the log records that came."""
    faults, bodies = set(), set()
    for request in otlp.requests(path):
        for resource in request["resourceLogs"]:
            service = otlp.attributes(resource["resource"]["attributes"])
            if dict(service).get("service.name") != "wattline":
                faults.add(f"a record of {service}")
            for scope in resource["scopeLogs"]:
                bodies.update(record["body"].get("stringValue") for record in scope["logRecords"])
    if "measuring" not in bodies:
        faults.add(f"no record says that it measures: {sorted(map(str, bodies))}")
    return sorted(faults)


def _has_all(path: Path, wanted: set[str]) -> bool:
    points = otlp.points(path)
    return len(energy_snapshots(points)) >= SNAPSHOTS and not missing(points, wanted)


def energy_snapshots(points: list[Point]) -> dict[int, list[Point]]:
    """The snapshots that hold the books."""
    by_time = otlp.snapshots(points)
    return {time: each for time, each in by_time.items() if any(point.metric == "hw.energy" for point in each)}


def missing(points: list[Point], wanted: set[str]) -> list[str]:
    """Metrics that should have come and did not."""
    return sorted(wanted - {point.metric for point in points})


def untabled(points: list[Point], table: dict[str, Row]) -> list[str]:
    """Metrics that are not in the table, or that differ from it."""
    faults = set()
    for point in points:
        row = table.get(point.metric)
        if row is None:
            faults.add(f"{point.metric} is not in the table")
        elif (point.instrument, point.unit) != (row.instrument, row.unit):
            came, tabled = f"{point.instrument} in {point.unit}", f"{row.instrument} in {row.unit}"
            faults.add(f"{point.metric} came as {came}, the table has {tabled}")
    return sorted(faults)


def doubles(points: list[Point]) -> list[str]:
    """Series that a store without Resources would merge, and points that were sent again with another value."""
    faults = set()
    counts = Counter((point.request, point.time, point.identity) for point in points)
    faults.update(f"{_show(identity)} stands twice" for (_, _, identity), count in counts.items() if count > 1)
    values = defaultdict(set)
    for point in points:
        values[point.time, point.identity].add(str(point.histogram or point.value))
    faults.update(f"{_show(identity)} has two values" for (_, identity), each in values.items() if len(each) > 1)
    return sorted(faults)


def _show(identity: tuple[str, otlp.Attributes]) -> str:
    metric, attributes = identity
    return f"{metric} {dict(attributes)}"


def backward(points: list[Point]) -> list[str]:
    """Sums that are not what a cumulative sum must be."""
    series: dict[tuple, list[Point]] = defaultdict(list)
    for point in points:
        if point.instrument != "gauge":
            series[point.identity].append(point)
    faults = []
    for each in series.values():
        each.sort(key=lambda point: point.time)
        first = each[0]
        if {point.temporality for point in each} != {CUMULATIVE}:
            faults.append(f"{first} is not cumulative")
        if first.instrument != "counter":
            continue
        starts = {point.start for point in each}
        if len(starts) != 1 or 0 in starts or first.start > first.time:
            faults.append(f"{first} has the start times {sorted(starts)}, its first time is {first.time}")
        # The last point of a series that has ended bears no value.
        values = [point.value for point in each if point.value is not None]
        if values != sorted(values) or min(values, default=0) < 0:
            faults.append(f"{first} goes back: {values}")
    return faults


def stale(points: list[Point]) -> list[str]:
    """Requests in which a Resource has points older than the newest that it had in an earlier request.

    Prometheus makes a series about each Resource from the oldest and the newest of its points, and refuses a whole
    request in which that series would go back in time.
    """
    spans: dict[tuple, list[int]] = {}
    for point in points:
        span = spans.setdefault((point.resource, point.request), [point.time, point.time])
        span[:] = min(span[0], point.time), max(span[1], point.time)
    newest: dict[otlp.Attributes, int] = {}
    faults = []
    for (resource, request), (first, last) in sorted(spans.items(), key=lambda each: each[0][1]):
        if first < newest.get(resource, 0):
            behind = (newest[resource] - first) / 1e6
            faults.append(f"request {request}: {behind:.3f} ms behind what {dict(resource)} had before")
        newest[resource] = max(last, newest.get(resource, 0))
    return faults


def anonymous(points: list[Point]) -> list[str]:
    """Resources that do not tell what every Resource must."""
    return sorted(
        {f"no {key} on the Resource of {point.metric}" for point in points for key in RESOURCE if not _has(point, key)}
    )


def _has(point: Point, key: str) -> bool:
    return bool(dict(point.resource).get(key))


def unclosed(points: list[Point]) -> list[str]:
    """What does not add up, in any snapshot."""
    snapshots = energy_snapshots(points)
    faults = [fault for time in sorted(snapshots) for fault in closure.faults(snapshots[time])]
    joules = sum(point.value or 0 for point in points if point.metric == "hw.energy")
    return faults + ([] if joules > 0 else ["no energy was booked, so that nothing was tested"])


def misnamed(status: int, text: str, points: list[Point], table: dict[str, Row]) -> list[str]:
    """Where the Collector's Prometheus page differs from the table's own idea of its names."""
    if status != 200:
        return [f"the page answers {status}: {text[:2000]}"]
    page = exposition.read(text)
    wanted = {
        table[point.metric].prometheus: PROMETHEUS_TYPES[table[point.metric].instrument]
        for point in points
        if point.metric in table
    }
    # `target_info` is the Collector's own way to show Resources.
    shown = {name: kind for name, kind in page.types.items() if name != "target_info"}
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - shown.keys())]
    faults += [f"{name} is not of the table" for name in sorted(shown.keys() - wanted.keys())]
    faults += [
        f"{name} is a {shown[name]}, not a {wanted[name]}"
        for name in sorted(wanted.keys() & shown.keys())
        if wanted[name] != shown[name]
    ]
    return faults + page.faults
