"""Whether what Prometheus scrapes from wattline and what wattline sends it by OTLP are one and the same."""

import subprocess
from pathlib import Path
from urllib.parse import quote

import expected
import wattline
from checks import Checks
from collector import PROMETHEUS_TYPES
from components import Prometheus, paths, start_prometheus
from program import free_ports, until
from wattline import Destination, Row

# Twice in a window, so that every snapshot is scraped at least once.
SCRAPE_EVERY = "500ms"
SCRAPED = "scrape"
SENT = "wattline"
LOOK_BACK = "10m"

# What Prometheus adds to say where a series came from.
ADDED = {"__name__", "job", "instance"}

# Series that Prometheus makes up itself: about each scrape, and about each Resource.
ITS_OWN = ("up", "target_info", "scrape_")

# So many snapshots that came by both ways are enough to compare.
SNAPSHOTS = 3

# A snapshot can be scraped from its time on until the next is there: a window, and what making it takes. The time of
# a scrape is its begin, so that it may lie a little before the snapshot that it got.
BEFORE_SECONDS = 0.1
AFTER_SECONDS = 2 * wattline.WINDOW_SECONDS

# What promtool says of names that OpenTelemetry's conventions and their translation prescribe.
ACCEPTED = {
    'system_cpu_logical_count non-histogram and non-summary metrics should not have "_count" suffix',
    'system_process_count non-histogram and non-summary metrics should not have "_count" suffix',
}

Series = dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[float, float]]]


def play(checks: Checks, folder: Path) -> None:
    """One Prometheus that gets the same figures in two ways."""
    scene = folder / "prometheus"
    scene.mkdir()
    with checks.of("prometheus"):
        _play(checks, scene)


def _play(checks: Checks, folder: Path) -> None:
    table = wattline.table()
    (admin,) = free_ports(1)
    prometheus = start_prometheus(folder, f"127.0.0.1:{admin}", SCRAPE_EVERY)
    agent = wattline.start(folder, [Destination(prometheus.otlp, "http/protobuf", ["metrics"])], admin)
    until(
        "Prometheus has enough of both",
        lambda: comparable(times(prometheus, SENT), times(prometheus, SCRAPED)) >= SNAPSHOTS,
        [prometheus.program, agent.program],
    )
    target = prometheus.api("targets")["activeTargets"][0]
    lint = subprocess.run(
        [paths()["promtool"], "check", "metrics"],
        input=agent.metrics_page()[1],
        capture_output=True,
        text=True,
        timeout=30,
    )
    faults = agent.stop()
    scraped, sent = series(prometheus, SCRAPED), series(prometheus, SENT)
    kinds = prometheus.api("metadata?limit=10000")
    complaints = prometheus.complaints()
    prometheus.program.stop()

    wanted = {table[name].prometheus for name in expected.metrics(set(table), calls=False)}
    for way, got in (("scraping", scraped), ("OTLP", sent)):
        names = {name for name, _ in got}
        checks.that(f"every metric that this machine can show comes by {way}", sorted(wanted - names))
    checks.that("scraping works", [] if target["health"] == "up" else [target["lastError"]])
    found = [line for line in (lint.stdout + lint.stderr).splitlines() if line not in ACCEPTED]
    checks.that("promtool finds no fault with the page", found)
    checks.that("scraped types are those of the table", mistyped(kinds, table))
    checks.that("both ways have the same names and labels", unlike(scraped, sent))
    checks.that("each value sent is one that was scraped, of the same snapshot", unequal(scraped, sent))
    checks.that("Prometheus has nothing to complain of", complaints)
    checks.that("wattline has nothing to complain of, and ends when asked to", faults)


def times(prometheus: Prometheus, job: str) -> list[float]:
    """When the counter of the machine had points, by one of the ways."""
    got = query(prometheus, f'hw_host_energy_joules_total{{job="{job}"}}[{LOOK_BACK}]')
    return sorted(time for each in got for time, _ in each["values"])


def comparable(sent: list[float], scraped: list[float]) -> int:
    """How many points sent must have been scraped, too."""
    return sum(_covered(time, scraped) for time in sent)


def _covered(time: float, scraped: list[float]) -> bool:
    """Whether scraping went on as it should while the snapshot of this time was there. A busy machine scrapes late."""
    if not scraped or not scraped[0] <= time <= scraped[-1] - AFTER_SECONDS:
        return False
    return sum(time <= at <= time + wattline.WINDOW_SECONDS for at in scraped) >= 2


def query(prometheus: Prometheus, expression: str) -> list[dict]:
    """Series with all raw points that the expression selects."""
    return prometheus.api(f"query?query={quote(expression)}")["result"]


def series(prometheus: Prometheus, job: str) -> Series:
    """Every series that came by one of the ways, under what tells it apart, with its points."""
    found: Series = {}
    for each in query(prometheus, f'{{__name__!="",job="{job}"}}[{LOOK_BACK}]'):
        labels = each["metric"]
        name = labels["__name__"]
        if not name.startswith(ITS_OWN):
            key = name, tuple(sorted((label, value) for label, value in labels.items() if label not in ADDED))
            found.setdefault(key, []).extend((time, float(value)) for time, value in each.get("values", []))
    return found


def mistyped(kinds: dict[str, list[dict]], table: dict[str, Row]) -> list[str]:
    """Scraped families whose type or help is not that of the table."""
    faults = []
    for row in table.values():
        # Prometheus keeps the metadata of a counter with or without `_total`, by the format that it scraped.
        for kind in kinds.get(row.prometheus) or kinds.get(row.prometheus.removesuffix("_total")) or []:
            if kind["type"] != PROMETHEUS_TYPES[row.instrument]:
                faults.append(f"{row.prometheus} is a {kind['type']}, not a {PROMETHEUS_TYPES[row.instrument]}")
            if not kind["help"]:
                faults.append(f"{row.prometheus} has no help")
    return faults


def unlike(scraped: Series, sent: Series) -> list[str]:
    """Series that came by one way only. What lived too short to be seen by both is not counted."""
    faults = [f"scraped only: {_show(key)}" for key in sorted(_lasting(scraped) - sent.keys())]
    return faults + [f"sent only: {_show(key)}" for key in sorted(_lasting(sent) - scraped.keys())]


def _lasting(got: Series) -> set[tuple]:
    return {key for key, points in got.items() if len(points) > 2}


def unequal(scraped: Series, sent: Series) -> list[str]:
    """Points sent whose value was not scraped at their time."""
    faults = []
    compared = 0
    for key, points in sent.items():
        seen = scraped.get(key, [])
        for time, value in points:
            if not _covered(time, [at for at, _ in seen]):
                continue
            compared += 1
            near = {other for at, other in seen if -BEFORE_SECONDS <= at - time <= AFTER_SECONDS}
            if value not in near:
                faults.append(f"{_show(key)} was sent as {value!r} at {time}; scraped then: {sorted(near)}")
    return faults + ([] if compared else ["nothing could be compared"])


def _show(key: tuple[str, tuple[tuple[str, str], ...]]) -> str:
    name, labels = key
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels) + "}"
