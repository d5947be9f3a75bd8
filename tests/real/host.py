"""A made-up host with one package whose energy counter goes on, so that figures do not depend on the machine."""

import threading
from pathlib import Path

RAPL = "sys/class/powercap/intel-rapl:0"
FILES = {
    "proc/stat": "cpu  1000 0 500 9000 0 0 0 0 0 0\ncpu0 1000 0 500 9000 0 0 0 0 0 0\nbtime 1700000000\nprocesses 9\n",
    "proc/meminfo": "MemTotal: 8000000 kB\nMemFree: 4000000 kB\nMemAvailable: 6000000 kB\n",
    "proc/sys/kernel/hostname": "box\n",
    "proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
    "etc/machine-id": "00000000000000000000000000000042\n",
    f"{RAPL}/name": "package-0\n",
    f"{RAPL}/max_energy_range_uj": "262143328850\n",
}

# 8 W, in steps that an accounting window holds several of.
STEP_SECONDS = 0.05
STEP_UJ = 400_000
FIRST_UJ = 5_000_000


class Host:
    """The host, and the thread that is its meter."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "host"
        self.energy_uj = FIRST_UJ
        for path, text in FILES.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        self._counter = (self.root / RAPL / "energy_uj").open("wb", buffering=0)
        self._write()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def setting(self) -> str:
        """What makes wattline measure it."""
        return f'\n[host]\nroot = "{self.root}"\n'

    @property
    def joules(self) -> float:
        """What the meter has counted since the beginning."""
        return (self.energy_uj - FIRST_UJ) / 1e6

    def _write(self) -> None:
        # In place and at once, as a kernel file changes. It never gets shorter.
        self._counter.seek(0)
        self._counter.write(f"{self.energy_uj}\n".encode())

    def _run(self) -> None:
        while not self._over.wait(STEP_SECONDS):
            self.energy_uj += STEP_UJ
            self._write()

    def __enter__(self) -> "Host":
        self._thread.start()
        return self

    def freeze(self) -> float:
        """Stops the meter and returns what it has counted since the beginning."""
        self._over.set()
        self._thread.join()
        return self.joules

    def __exit__(self, *_: object) -> None:
        self.freeze()
        self._counter.close()
