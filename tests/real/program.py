"""Starts the programs under test on loopback, and ends every one of them however the run ends."""

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")

POLL_SECONDS = 0.1

# Deadline of every condition. It is met in seconds; a machine that others keep busy may need much longer.
PATIENCE_SECONDS = 120
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

running: list["Program"] = []


class Unmet(TimeoutError):
    """A condition that did not come true before its deadline."""


class Program:
    """One running program with its log."""

    def __init__(self, name: str, argv: list[str | Path], folder: Path, env: dict[str, str] | None = None):
        self.name = name
        self.log = folder / f"{name}.log"
        # Nothing of the caller's environment reaches a program: no OTEL_* variable, no proxy.
        clean = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=clean | (env or {}),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        running.append(self)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def lines(self) -> list[str]:
        """What it has printed so far."""
        return self.log.read_text(errors="replace").splitlines()

    def ended(self) -> int | None:
        """Its exit status, once it has one."""
        return self.process.poll()

    def stop(self, grace: float = 15.0) -> int:
        """Asks it to end, makes it end after `grace` seconds, and returns its exit status: negative for a signal."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        if self in running:
            running.remove(self)
        return self.process.returncode

    def kill(self) -> None:
        """Ends it at once."""
        # The whole group: a program may have started others.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self in running:
            running.remove(self)


def _die_with_parent() -> None:
    """Runs in the child before the program: the kernel kills it when this process dies, even by SIGKILL."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@atexit.register
def stop_all() -> None:
    """Ends what still runs."""
    for program in list(running):
        program.stop(grace=0.5)


def end_on_signals() -> None:
    """Makes the signals that end a process run the exit handlers first."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)


def until(what: str, condition: Callable[[], Value], needs: list[Program]) -> Value:
    """Waits for `condition` to return something true, not for ever, and only while all of `needs` run."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = condition()
        if value:
            return value
        for program in needs:
            if program.ended() is not None:
                tail = "\n".join(program.lines()[-15:])
                raise Unmet(f"{program.name} ended with status {program.ended()} before {what}:\n{tail}")
        if time.monotonic() > deadline:
            raise Unmet(f"not within {PATIENCE_SECONDS} s: {what}")
        time.sleep(POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on now. All are held until the last is found, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def fetch(url: str, accept: str = "*/*") -> tuple[int, str]:
    """The status and the body that a local HTTP server answers; status 0 and the reason where none answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)
