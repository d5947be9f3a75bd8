"""Whether every span is accounted for when the way to the Collector fails in any of the ways it can.

The faults come one after the other, between one wattline and one Collector. What is sent while a fault lasts must
arrive, or be lost for the reason that the protocol gives, and the tally must close to the item.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import certificates
import kept
import proxy
import spans
import wattline
from checks import Checks
from components import Collector, start_collector
from host import Host
from program import until
from proxy import Behaviour, Proxy, come_again_on
from wattline import Destination, Setup, Wattline

# Attempts and pauses are short, so that the scene is.
RETRY = 'timeout = "3s"\nretry = { initial = "50ms", max = "400ms", unauthorized = "300ms" }'
NAME = "real-0"

REQUESTS, COUNT = 3, 4
# A request of these is cut in four before its parts fit.
LARGE = 9_000
LARGE_COUNT = 8
TAKEN_BYTES = 24_000

PAUSE_SECONDS = 1
DATE_SECONDS = 2
# Clocks and threads are not exact.
EARLY_SECONDS = 0.02


@dataclass(frozen=True)
class Waits:
    """Nothing arrives while it lasts, everything once afterwards. It lasts for so many requests."""

    requests: int = 2
    pause: float = 0


@dataclass(frozen=True)
class Taken:
    """Everything arrives, though the answer is not what it should be; more than once where it is `repeated`."""

    repeated: bool = False


@dataclass(frozen=True)
class Lost:
    """So many of each request are lost, and counted as `reason`; with no reason they count as delivered."""

    reason: str | None
    of_each: int = COUNT


Outcome = Waits | Taken | Lost

# What is sent while it lasts: the number of spans in a request, and how large each is.
SMALL, BIG = (COUNT, 0), (LARGE_COUNT, LARGE)

FAULTS: list[tuple[str, Behaviour, Outcome, tuple[int, int]]] = [
    ("a reset before the body", proxy.reset_at_once, Waits(), SMALL),
    ("a reset in the middle of the body", proxy.reset_in_body, Waits(), BIG),
    ("a connection that is half open", proxy.half_open, Waits(1), SMALL),
    ("an answer that is no HTTP", proxy.no_http, Waits(), SMALL),
    ("429 with a pause in seconds", proxy.status(429, lambda: {"Retry-After": "1"}), Waits(1, PAUSE_SECONDS), SMALL),
    ("429 with a pause until a date", proxy.status(429, come_again_on(DATE_SECONDS)), Waits(1, DATE_SECONDS), SMALL),
    ("503", proxy.status(503), Waits(), SMALL),
    ("401, then the login is mended", proxy.status(401), Waits(1, 0.3), SMALL),
    ("a slow answer", proxy.slow, Taken(), SMALL),
    ("garbage in the answer", proxy.garbage, Taken(), SMALL),
    ("413 for what is not cut", proxy.at_most(TAKEN_BYTES), Taken(), BIG),
    ("silence after the body was taken", proxy.taken_in_silence, Taken(repeated=True), SMALL),
    ("a reset after the body was taken", proxy.taken_and_reset, Taken(repeated=True), SMALL),
    ("a partial success", proxy.but(1), Lost("partial_rejection", 1), SMALL),
    ("413 for everything", proxy.at_most(0), Lost("too_large"), SMALL),
    ("gzip refused", proxy.no_gzip, Lost("rejected"), SMALL),
    ("400", proxy.status(400), Lost("rejected"), SMALL),
    ("a web page in place of an answer", proxy.web_page, Lost(None), SMALL),
]


class _Scene:
    """One wattline, the proxy, one Collector, and what was sent so far."""

    def __init__(self, checks: Checks, setup: Setup, agent: Wattline, way: Proxy, collector: Collector) -> None:
        self.checks, self.setup, self.agent, self.way, self.collector = checks, setup, agent, way, collector
        self.sent: dict[str, list[str]] = {}
        self.lost: dict[str | None, int] = {}
        self.repeated: set[str] = set()

    def send(self, fault: str, what: tuple[int, int] = SMALL) -> None:
        """Sends the spans of a fault."""
        self.sent[fault] = spans.send_all(self.agent.http, fault, REQUESTS, *what)

    def arrived(self, fault: str) -> set[str]:
        """The spans of a fault that are there."""
        return set(spans.arrived(self.collector.traces, fault))

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Waits while all of it runs."""
        until(what, condition, [self.agent.program, self.collector.program])

    def all_arrive(self, fault: str) -> None:
        """Waits for all spans of a fault."""
        wanted = set(self.sent[fault])
        self.until(f"all spans sent during {fault} have arrived", lambda: self.arrived(fault) >= wanted)

    def waits(
        self, fault: str, begin: Callable[[], object], lasts: Callable[[], object], end: Callable[[], object]
    ) -> None:
        """A fault that lets nothing through while it lasts."""
        begin()
        self.send(fault)
        self.until(f"{fault} has been met", lasts)
        early = self.arrived(fault)
        end()
        self.all_arrive(fault)
        faults = [f"{len(early)} spans came early"] if early else []
        self.checks.that(f"{fault}: all waits, and arrives afterwards", faults)

    def reload(self, destination: Destination) -> None:
        """Puts another configuration into force."""
        words = "configuration reloaded"
        before = sum(words in line for line in self.agent.program.lines())
        self.setup.write([destination])
        self.agent.program.process.send_signal(signal.SIGHUP)
        self.until("wattline has reloaded", lambda: sum(words in line for line in self.agent.program.lines()) > before)

    def says(self, words: str) -> bool:
        """Whether the log has these words."""
        return any(words in line for line in self.agent.program.lines())


def play(checks: Checks, folder: Path) -> None:
    """All faults of the way."""
    scene = folder / "faults"
    scene.mkdir()
    with checks.of("faults on the way"), Host(scene) as host:
        collector = start_collector(scene)
        with Proxy(collector.http) as way:
            plain = Destination(f"http://127.0.0.1:{way.port}", "http/protobuf", ["traces"], RETRY)
            setup = wattline.configure(scene, [plain], more=host.setting, every="500ms")
            agent = wattline.launch(setup)
            agent.until_ready()
            _play(_Scene(checks, setup, agent, way, collector), plain)


def _play(scene: _Scene, plain: Destination) -> None:
    way = scene.way
    for fault, behaviour, outcome, what in FAULTS:
        _meet(scene, fault, behaviour, outcome, what)
    scene.waits("connections refused", way.close, lambda: scene.says("onnection refused"), way.open)

    wrong, _ = certificates.issue(scene.setup.folder, "stranger")
    right, trusted = certificates.issue(scene.setup.folder, "friend")
    scene.reload(
        Destination(
            f"https://localhost:{way.port}", "http/protobuf", ["traces"], f'{RETRY}\ntls = {{ ca_file = "{trusted}" }}'
        )
    )
    way.close()
    scene.waits(
        "a certificate of a stranger",
        lambda: way.open(wrong),
        lambda: scene.says("invalid peer certificate"),
        lambda: (way.close(), way.open(right)),
    )
    scene.waits(
        "a name that does not exist",
        lambda: scene.reload(Destination("http://nowhere.invalid:4318", "http/protobuf", ["traces"], RETRY)),
        lambda: scene.says("http://nowhere.invalid:4318/v1/traces"),
        lambda: (way.close(), way.open(), scene.reload(plain)),
    )
    scene.send("no fault")
    scene.all_arrive("no fault")
    _close(scene)


def _meet(scene: _Scene, fault: str, behaviour: Behaviour, outcome: Outcome, what: tuple[int, int]) -> None:
    way = scene.way
    way.behaviour = behaviour
    scene.send(fault, what)
    sent = set(scene.sent[fault])
    match outcome:
        case Waits(requests, pause):
            scene.until(f"{fault} has been met", lambda: way.met(behaviour) >= requests)
            early = scene.arrived(fault)
            way.behaviour = proxy.pass_on
            scene.all_arrive(fault)
            faults = [f"{len(early)} spans came early"] if early else []
            faults += [
                f"after {waited:.3f} s it was asked again, it had asked for {pause} s"
                for waited in way.pauses(behaviour)
                if waited < pause - EARLY_SECONDS
            ]
            scene.checks.that(f"{fault}: all waits, and arrives afterwards", faults)
        case Taken(repeated):
            if repeated:
                scene.repeated |= sent
                scene.until(f"{fault} has been met", lambda: way.met(behaviour) >= 2)
                way.behaviour = proxy.pass_on
            scene.all_arrive(fault)
            scene.checks.that(f"{fault}: all arrives", [])
        case Lost(reason, of_each):
            scene.until(f"{fault} has been met", lambda: way.met(behaviour) >= REQUESTS)
            scene.lost[reason] = scene.lost.get(reason, 0) + REQUESTS * of_each
            left = len(sent) - REQUESTS * of_each
            scene.until(f"what {fault} leaves has arrived", lambda: len(scene.arrived(fault)) >= left)
            came = len(scene.arrived(fault))
            words = reason or "taken at its word"
            scene.checks.that(f"{fault}: {words}", [f"{came} spans came, not {left}"] if came != left else [])
    way.behaviour = proxy.pass_on


def _close(scene: _Scene) -> None:
    """Ends it and compares the counts of all sides."""
    complaints = scene.agent.stop()
    scene.collector.program.stop()
    tally = kept.tally(scene.setup.state, NAME, kept.TRACES)
    arrived = spans.arrived(scene.collector.traces)
    sent = {each for ids in scene.sent.values() for each in ids}
    unasked = scene.lost.pop(None, 0)
    again = {each for each, count in arrived.items() if count > 1}
    checks = scene.checks
    checks.that("nothing arrives that was not sent", sorted(arrived.keys() - sent))
    counts = {
        "accepted": (tally.accepted, len(sent)),
        "waiting": (tally.waiting, 0),
        "dropped": (tally.dropped, scene.lost),
        "delivered": (tally.delivered, len(arrived) + unasked),
    }
    unequal = [f"{what}: {found}, not {wanted}" for what, (found, wanted) in counts.items() if found != wanted]
    checks.that("the count closes: sent, accepted, delivered, dropped, waiting", tally.open() + unequal)
    checks.that("only what was taken without an answer comes twice", sorted(again - scene.repeated))
    print(f"      {len(again)} of {len(arrived)} spans came more than once", flush=True)
    checks.that("the web page is called one", [] if scene.says("the answer is a web page") else ["it is not"])
    checks.that("it ends when asked to, without an error", [line for line in complaints if " WARN " not in line])
