"""Whether spans and books come through a disk that is full, one that cannot be written, and files that were damaged."""

import errno
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import kept
import kills
import otlp
import spans
import wattline
from checks import Checks
from collector import destination
from components import Collector, start_collector
from host import Host
from program import until
from proxy import Proxy, pass_on, status
from wattline import Destination, Setup, Wattline

EVERY = "300ms"
NAME = "real-0"
RETRY = 'compression = "none"\nretry = { initial = "50ms", max = "400ms" }'
DISK_BYTES = 8 << 20

REQUESTS, COUNT = 20, 5
# Spans of this size make a spool whose bytes are nearly all bodies.
LARGE = 4_000
PAGE_BYTES = 4096

UP = re.compile(r'^wattline_probe_up\w*\{[^}]*wattline_probe="state"[^}]*\} (\S+)', re.MULTILINE)


def play(checks: Checks, folder: Path) -> None:
    """A disk that fails, and damage."""
    scene = folder / "disks"
    for each in ("full", "damage"):
        (scene / each).mkdir(parents=True)
    with checks.of("a disk that fails"), _disk(scene / "full" / "state") as refused, Host(scene / "full") as host:
        if refused:
            print(f"      not played: no file system can be mounted here: {refused}", flush=True)
        else:
            _play_failing(checks, scene / "full", host)
    with checks.of("damaged files"), Host(scene / "damage") as host:
        _play_damage(checks, scene / "damage", host)


@contextmanager
def _disk(at: Path) -> Iterator[str]:
    """A small disk, which is gone afterwards; or why there is none."""
    at.mkdir()
    refused = _mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "wattline-test", at)
    try:
        yield refused
    finally:
        if not refused:
            subprocess.run(["umount", "--lazy", at], check=True, timeout=30)


def _mount(*words: str | Path) -> str:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, timeout=30)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip()


def _setup(folder: Path, endpoint: str, host: Host, signals: list[str]) -> Setup:
    to = Destination(endpoint, "http/protobuf", signals, RETRY)
    return wattline.configure(folder, [to], more=host.setting, every=EVERY)


def _play_failing(checks: Checks, folder: Path, host: Host) -> None:
    collector = start_collector(folder)
    endpoint = destination(collector, "http/protobuf").endpoint
    setup = _setup(folder, endpoint, host, ["metrics", "traces"])
    agent = _started(setup)
    sent = _deliver(agent, collector, "before")
    filler = folder / "state" / "filler"
    _fill(filler)
    _until_up(agent, collector, "0")
    sent += _deliver(agent, collector, "full")
    filler.unlink()
    _until_up(agent, collector, "1")
    checks.that("wattline.probe.up tells 0 of the state while the disk is full, and 1 afterwards", [])
    sent += _deliver(agent, collector, "room again")
    errors = _stopped(agent)
    totals = kept.totals(setup.state, {row.name: row.unit for row in wattline.table().values()})

    def unlike() -> list[str]:
        return kills.unlike(kills.last(otlp.points(collector.metrics)), totals)

    delivered = kept.tally(setup.state, NAME).delivered
    until(
        "the Collector has written down all that it took",
        lambda: len(sent) + len(otlp.points(collector.metrics)) >= delivered,
        [collector.program],
    )
    checks.that("the books go on when there is room again", unlike())
    _check_counts(checks, "full and emptied again", setup, collector, sent)

    refused = _mount("-o", "remount,ro", folder / "state")
    if refused:
        raise RuntimeError(f"the disk cannot be made read-only: {refused}")
    agent = _started(setup)
    _until_up(agent, collector, "0")
    told = _deliver(agent, collector, "read-only")
    complaints = agent.stop()
    errors += [line for line in complaints if " WARN " not in line]
    says = ("the books cannot be kept", "what waits is kept in memory")
    silent = [f"no warning: {words}" for words in says if not any(words in line for line in complaints)]
    checks.that("on a disk that cannot be written it delivers and says so", silent)
    _mount("-o", "remount,rw", folder / "state")
    agent = _started(setup)
    _until_up(agent, collector, "1")
    sent += _deliver(agent, collector, "writable again")
    errors += _stopped(agent)
    collector.program.stop()
    _check_counts(checks, "read-only and writable again", setup, collector, sent, told)
    checks.that("no sum goes back at the Collector", backward(otlp.points(collector.metrics)))
    checks.that("no run of it ends with an error", errors)


def _started(setup: Setup) -> Wattline:
    agent = wattline.launch(setup)
    agent.until_ready()
    return agent


def _stopped(agent: Wattline) -> list[str]:
    return [line for line in agent.stop() if " WARN " not in line]


def _fill(path: Path) -> None:
    """Takes all room there is, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _until_up(agent: Wattline, collector: Collector, value: str) -> None:
    def is_so() -> bool:
        found = UP.search(agent.metrics_page()[1])
        return found is not None and float(found.group(1)) == float(value)

    until(f"wattline.probe.up tells {value} of the state", is_so, [agent.program, collector.program])


def _deliver(agent: Wattline, collector: Collector, service: str) -> list[str]:
    """Sends spans, waits until they have arrived, and returns their ids."""
    sent = spans.send_all(agent.http, service, REQUESTS, COUNT)
    until(
        f"the spans of {service} have arrived",
        lambda: set(spans.arrived(collector.traces, service)) >= set(sent),
        [agent.program, collector.program],
    )
    return sent


def _check_counts(
    checks: Checks, what: str, setup: Setup, collector: Collector, sent: list[str], elsewhere: list[str] | None = None
) -> None:
    """All that was sent is counted as delivered and is there; `elsewhere` was counted where no disk was."""
    tally = kept.tally(setup.state, NAME)
    arrived = spans.arrived(collector.traces)
    wanted = {*sent, *(elsewhere or [])}
    faults = tally.open() + ([str(tally)] if tally.dropped or tally.waiting else [])
    faults += [f"{each} was lost" for each in sorted(wanted - arrived.keys())]
    faults += [f"{each} came {count} times" for each, count in sorted(arrived.items()) if count > 1]
    points = len(otlp.points(collector.metrics))
    if elsewhere is None and tally.delivered != len(sent) + points:
        faults.append(f"{tally.delivered} items are delivered, {len(sent)} spans and {points} points came")
    checks.that(f"{what}: nothing is lost, nothing comes twice, the count closes", faults)


def backward(points: list[otlp.Point]) -> list[str]:
    """Cumulative sums that are less than they were since the same start."""
    newest: dict[tuple, float] = {}
    faults = []
    for point in sorted(points, key=lambda point: point.time):
        if point.instrument != "counter" or point.value is None:
            continue
        key = (point.identity, point.start)
        if point.value < newest.get(key, 0.0):
            faults.append(f"{point} goes back from {newest[key]} to {point.value}")
        newest[key] = point.value
    return faults + ([] if newest else ["no sum came"])


def _play_damage(checks: Checks, folder: Path, host: Host) -> None:
    collector = start_collector(folder)
    with Proxy(collector.http) as way:
        setup = _setup(folder, f"http://127.0.0.1:{way.port}", host, ["traces"])
        for what, damage in (("flipped bits", _flip), ("a page of zeros", _zero)):
            _play_damaged(checks, what, damage, setup, collector, way)


def _play_damaged(
    checks: Checks, what: str, damage: Callable[[Path], None], setup: Setup, collector: Collector, way: Proxy
) -> None:
    before = kept.tally(setup.state, NAME) if (setup.state / "spool").exists() else kept.Tally(0, 0, {}, 0)
    away = way.behaviour = status(503)
    agent = _started(setup)
    sent = set(spans.send_all(agent.http, what, REQUESTS, COUNT, LARGE))
    until("the destination has been tried", lambda: way.met(away) > 0, [agent.program])
    errors = _stopped(agent)
    waited = kept.tally(setup.state, NAME).waiting
    spool = setup.state / "spool" / f"{NAME}.db"
    damage(spool)
    way.behaviour = pass_on
    agent = _started(setup)
    more = set(_deliver(agent, collector, f"after {what}"))
    errors += _stopped(agent)
    tally = kept.tally(setup.state, NAME)
    arrived = spans.arrived(collector.traces)
    lost = len(sent - arrived.keys())
    faults = tally.open() + ([f"{tally.waiting} wait"] if tally.waiting else [])
    faults += [] if waited == len(sent) else [f"{waited} of {len(sent)} spans waited"]
    corrupt = tally.dropped.get("corrupt", 0) - before.dropped.get("corrupt", 0)
    faults += [] if corrupt == lost else [f"{lost} spans did not arrive, {corrupt} are counted as corrupt"]
    faults += [] if 0 < lost < len(sent) else [f"{lost} of {len(sent)} spans are lost"]
    faults += [f"{each} was lost" for each in sorted(more - arrived.keys())]
    checks.that(f"{what}: the rest arrives, what is lost is counted", faults + errors)


def _bodies(spool: Path) -> list[int]:
    """Where spans lie in the file: one place in each request but the first and the last."""
    with spool.open("rb") as file:
        places = [found.start() for found in re.finditer(b"padding", file.read())]
    return places[COUNT : -COUNT : COUNT]


def _flip(spool: Path) -> None:
    """Flips bits in the bodies of three requests."""
    places = _bodies(spool)
    with spool.open("r+b") as file:
        for place in places[len(places) // 2 - 1 : len(places) // 2 + 2]:
            file.seek(place + 100)
            (byte,) = file.read(1)
            file.seek(place + 100)
            file.write(bytes([byte ^ 0x10]))


def _zero(spool: Path) -> None:
    """Overwrites a page in the middle."""
    places = _bodies(spool)
    with spool.open("r+b") as file:
        file.seek(places[len(places) // 2] // PAGE_BYTES * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
