"""GPUs that are not there, with a known truth: a library that stands in for NVIDIA's answers for two boards whose power is
scripted, and two programs of this machine hold them. The books must say who drew what."""

import os
import re
import shutil
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import wattline
from checks import Checks
from program import Program, until

GPUS = ["GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"]
# How often the boards' counters move, and how often they are read.
STEP_SECONDS, EVERY = 0.05, "200ms"
# A phase begins and ends between two readings, and 10 s of rest are looked at as one.
TOLERANCE = 0.06
# Watts: empty, held and at rest, at work.
EMPTY, LOADED, WORKING = 70.0, 110.0, 500.0
# A floor counts as learned when ten seconds of rest were seen three times.
REST_SECONDS, WORK_SECONDS = 33, 20
# An engine on the second board: its watts, and the tokens that it generates in a second.
SERVING, TOKENS_PER_SECOND = 400.0, 100


@dataclass
class Board:
    """One GPU as its library tells of it."""

    watts: float = EMPTY
    # Share of multiprocessors' time by process.
    processes: dict[int, float] = field(default_factory=dict)
    code: int | None = None
    joules: float = 1000.0
    # What it really drew in each phase.
    drawn: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Machine:
    """Boards that draw power while time passes."""

    def __init__(self, folder: Path):
        self.library = folder / "libnvidia-ml.so.1"
        shutil.copy(wattline.ROOT / "target" / "debug" / "libwattline_fake_nvml.so", self.library)
        self.boards = [Board(), Board()]
        self.phase = "empty"
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last = time.monotonic()
        self._write()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def set(self, phase: str, *boards: tuple[float, dict[int, float]]) -> None:
        """Begins a phase: the boards' watts and who uses them how much."""
        with self._lock:
            self._pass()
            self.phase = phase
            for board, (watts, processes) in zip(self.boards, boards, strict=True):
                board.watts, board.processes = watts, processes

    def fail(self, number: int, code: int | None) -> None:
        """Lets a board answer with an error of NVML, or again."""
        with self._lock:
            self.boards[number].code = code

    def end(self) -> None:
        """No time passes any more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(STEP_SECONDS):
            with self._lock:
                self._pass()
            self._write()

    def _pass(self) -> None:
        now = time.monotonic()
        for board in self.boards:
            joules = board.watts * (now - self._last)
            board.joules += joules
            board.drawn[self.phase] += joules
        self._last = now

    def _write(self) -> None:
        lines = ["driver = 580.95.05", f"count = {len(self.boards)}", "*.name = NVIDIA H100 80GB HBM3", "*.architecture = 9",
                 "*.capability = 9:0", "*.memory = 85899345920:600000000:1000000000", "*.graphics = ", "*.mig = 0:0"]
        micros = int(time.time() * 1e6)
        for number, board in enumerate(self.boards):
            busy = sum(board.processes.values())
            holds = ",".join(f"{pid}:{20 << 30}:-:-" for pid in board.processes)
            used = ",".join(f"{pid}:{micros}:{round(share * 100)}:0:0:0" for pid, share in board.processes.items() if share)
            lines += [f"{number}.uuid = {GPUS[number]}", f"{number}.energy_mj = {int(board.joules * 1000)}",
                      f"{number}.power_mw = {int(board.watts * 1000)}", f"{number}.compute = {holds}",
                      f"{number}.utilization = {round(busy * 100)}:0", f"{number}.process_utilization = {used}"]
            lines += [f"{number}.all = !{board.code}"] if board.code else []
        fresh = self.library.with_suffix(".fresh")
        fresh.write_text("\n".join(lines) + "\n")
        os.replace(fresh, self.library.with_suffix(".script"))


class Engine:
    """The metrics of an engine that generates so many tokens a second from when it is told to."""

    def __init__(self) -> None:
        self._began: float | None = None
        engine = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = engine.page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self._server.server_port}/metrics"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self) -> None:
        """It generates from now on."""
        self._began = time.monotonic()

    def page(self) -> str:
        """What vLLM tells."""
        tokens = 0 if self._began is None else int((time.monotonic() - self._began) * TOKENS_PER_SECOND)
        label = '{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"}'
        return (f"vllm:prompt_tokens_total{label} {tokens * 3}\nvllm:generation_tokens_total{label} {tokens}\n"
                f"vllm:num_requests_running{label} 8\nvllm:num_requests_waiting{label} 0\n")

    def end(self) -> None:
        """Nobody answers any more."""
        self._server.shutdown()


def play(checks: Checks, folder: Path) -> None:
    """Plays the scene."""
    with checks.of("gpus"):
        folder = folder / "gpus"
        folder.mkdir()
        trainer, server = (_program(folder, name) for name in ("trainer", "server"))
        first, second = trainer.process.pid, server.process.pid
        machine, engine = Machine(folder), Engine()
        try:
            more = (f'[probes.nvidia]\nlibrary = "{machine.library}"\ninterval = "{EVERY}"\n'
                    '[probes.host]\nprocess_scan = "every_tick"\n[probes.engines]\ninterval = "1s"\n'
                    f'[[probes.engines.target]]\nurl = "{engine.url}"\nservice = "chat"\ndevices = ["{GPUS[1]}"]\n')
            setup = wattline.configure(folder, [], more=more, every=EVERY)
            agent = wattline.launch(setup)
            agent.until_ready()
            _phase(machine, agent, "empty", 5, (EMPTY, {}), (EMPTY, {}))
            _phase(machine, agent, "rest", REST_SECONDS, (LOADED, {first: 0.0, second: 0.0}), (EMPTY, {}))
            _phase(machine, agent, "work", WORK_SECONDS, (WORKING, {first: 0.2, second: 0.6}), (EMPTY, {}))
            _check_shares(checks, machine, agent)
            _check_loss(checks, machine, agent)
            _check_engine(checks, machine, engine, agent, (first, second))
            _check_restart(checks, machine, agent, setup)
        finally:
            machine.end()
            engine.end()
            trainer.stop()
            server.stop()


def _program(folder: Path, name: str) -> Program:
    # The kernel calls a process by the file it was started from.
    path = folder / name
    shutil.copy("/bin/sleep", path)
    return Program(name, [path, "1000"], folder)


def _phase(machine: Machine, agent: wattline.Wattline, name: str, seconds: int, *boards: tuple[float, dict[int, float]]) -> None:
    machine.set(name, *boards)
    time.sleep(seconds)
    if agent.program.ended() is not None:
        raise RuntimeError("\n".join(agent.program.lines()[-15:]))


def _check_shares(checks: Checks, machine: Machine, agent: wattline.Wattline) -> None:
    board = machine.boards[0]
    rows = _rows(agent)
    work = board.drawn["work"] - LOADED * WORK_SECONDS
    for name, found, expected in (
        ("idle, while nobody held it", rows[0, "", "idle"], board.drawn["empty"]),
        ("reserved, for the first holder", rows[0, "trainer", "reserved"], (board.drawn["rest"] + LOADED * WORK_SECONDS) / 2),
        ("reserved, for the second", rows[0, "server", "reserved"], (board.drawn["rest"] + LOADED * WORK_SECONDS) / 2),
        ("active, for a quarter of the use", rows[0, "trainer", "active"], work / 4),
        ("active, for three quarters of it", rows[0, "server", "active"], work * 3 / 4),
        ("idle, of the board that nobody held", rows[1, "", "idle"], sum(machine.boards[1].drawn.values())),
    ):
        checks.that(
            f"{name}: the joules that the board drew",
            [] if abs(found - expected) <= TOLERANCE * expected + 2 * WORKING * STEP_SECONDS else [f"{found:.0f}, not {expected:.0f}"],
        )
    _check_closed(checks, "at work", agent)


def _check_loss(checks: Checks, machine: Machine, agent: wattline.Wattline) -> None:
    """One board falls off the bus: the other is measured on, and what that one drew meanwhile is told when it is back."""
    before = _rows(agent)
    machine.fail(1, 15)
    until("the board is told to have failed", lambda: _is(agent, 1, "failed"), [agent.program])
    until("the other is measured on", lambda: _rows(agent)[0, "server", "active"] > before[0, "server", "active"] + 100,
          [agent.program])
    machine.fail(1, None)
    # It is asked again once a minute.
    deadline = time.monotonic() + 90
    while not _is(agent, 1, "ok") and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(2)
    found, expected = _total(agent, 1), sum(machine.boards[1].drawn.values())
    fine = _is(agent, 1, "ok") and abs(found - expected) <= TOLERANCE * expected
    checks.that("a board that was lost is booked on when it is back, with what it drew meanwhile",
                [] if fine else [f"{found:.0f}, not {expected:.0f}"])
    _check_closed(checks, "after a loss", agent)


def _check_engine(checks: Checks, machine: Machine, engine: Engine, agent: wattline.Wattline, pids: tuple[int, int]) -> None:
    """An engine serves on the second board: its tokens have the joules that the board drew."""
    first, second = pids
    machine.set("serve", (WORKING, {first: 0.2, second: 0.6}), (SERVING, {second: 0.9}))
    engine.serve()
    time.sleep(15)
    page = agent.metrics_page()[1]
    told = [float(line.split()[-1]) for line in _lines(page, "engine_energy_per_output_token_joules")]
    expected = SERVING / TOKENS_PER_SECOND
    # Looks at the engine and windows of the machine end at different moments, within a second of fifteen.
    fine = len(told) == 1 and abs(told[0] - expected) <= 0.12 * expected
    checks.that("each token of an engine has the joules that its board drew", [] if fine else [f"{told}, not {expected} J"])
    lines = [line for line in _lines(page, "inference_energy_joules_total") if 'energy_origin="local"' in line]
    joules = sum(float(line.split()[-1]) for line in lines)
    held = sum(value for (number, name, state), value in _rows(agent).items() if number == 1 and state in ("active", "reserved"))
    checks.that("the engine's joules are those that its board has on the books for its holders",
                [] if held > SERVING * 10 and abs(joules - held) <= SERVING * 1.5 else [f"{joules:.0f} and {held:.0f}"])


def _check_restart(checks: Checks, machine: Machine, agent: wattline.Wattline, setup: wattline.Setup) -> None:
    """What a board draws while the agent is away is booked as nobody's."""
    before, totals = _rows(agent), [_total(agent, number) for number in range(2)]
    agent.kill()
    time.sleep(4)
    again = wattline.launch(setup)
    again.until_ready()
    until("the boards are read again", lambda: _total(again, 0) > totals[0] + WORKING * 5, [again.program])
    after = _rows(again)
    lost = after[0, "", "unattributed"] - before[0, "", "unattributed"]
    checks.that("what a board drew while the agent was away is unattributed",
                 [] if lost >= WORKING * 3.5 else [f"{lost:.0f} J of about {WORKING * 4:.0f}"])
    back = [key for key, joules in before.items() if after[key] < joules - 1e-6]
    checks.that("no joule of a board is taken back over a kill", [f"{key} went back" for key in back])
    _check_closed(checks, "after a kill", again)
    checks.that("it ends well", again.stop())


def _check_closed(checks: Checks, when: str, agent: wattline.Wattline) -> None:
    page = agent.metrics_page()[1]
    found = []
    for number, _ in enumerate(GPUS):
        whole = round(_sum(page, "hw_energy_joules_total", number) * 1e6)
        parts = round(_sum(page, "workload_energy_joules_total", number) * 1e6)
        parts += round(_sum(page, "workload_retired_energy_joules_total", number) * 1e6)
        found += [f"board {number}: {whole} and {parts} microjoules"] if whole != parts else []
    checks.that(f"the books of each board close to the microjoule, {when}", found)


def _rows(agent: wattline.Wattline) -> dict[tuple[int, str, str], float]:
    """Joules by board, name of the program and state."""
    rows: dict[tuple[int, str, str], float] = defaultdict(float)
    for line in _lines(agent.metrics_page()[1], "workload_energy_joules_total"):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
        if labels.get("hw_id") in GPUS:
            number = GPUS.index(labels["hw_id"])
            rows[number, labels.get("process_executable_name", ""), labels["energy_state"]] += float(line.split()[-1])
    return rows


def _is(agent: wattline.Wattline, number: int, state: str) -> bool:
    told = f'hw_status{{[^}}]*hw_id="{GPUS[number]}"[^}}]*hw_state="{state}"[^}}]*}} 1'
    return re.search(told, agent.metrics_page()[1]) is not None


def _total(agent: wattline.Wattline, number: int) -> float:
    return _sum(agent.metrics_page()[1], "hw_energy_joules_total", number)


def _sum(page: str, name: str, number: int) -> float:
    return sum(float(line.split()[-1]) for line in _lines(page, name) if f'hw_id="{GPUS[number]}"' in line)


def _lines(page: str, name: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith(name + "{")]
