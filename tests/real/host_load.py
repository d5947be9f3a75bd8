"""This very machine under a known load: a snapshot shows who made it, with the right share, and says how it knows."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import wattline
from checks import Checks
from program import Program

SECONDS = 10
# Readings of the two programs do not begin and end at the same moment, and the kernel counts ticks of 10 ms.
TOLERANCE = 0.08
GROUP = "wattline-known-load.service"


def play(checks: Checks, folder: Path) -> None:
    """Plays the scene."""
    with checks.of("host_load"):
        folder = folder / "host_load"
        folder.mkdir()
        # The kernel calls a process by the file it was started from.
        load = folder / "knownload"
        shutil.copy("/bin/sh", load)
        busy = Program("knownload", [load, "-c", "while :; do :; done"], folder)
        report, expected = _snapshot(busy.process.pid)
        _check(checks, "a busy process", report, "knownload", "executable", expected)
        _check_method(checks, report)
        group = _group()
        if group is None:
            print("      host_load: no control group can be made here, so none was checked", flush=True)
            return
        try:
            (group / "cgroup.procs").write_text(str(busy.process.pid))
            report, expected = _snapshot(busy.process.pid)
            _check(checks, "a control group made for the test", report, GROUP, "unit", expected)
        finally:
            busy.stop()
            group.rmdir()


def _snapshot(pid: int) -> tuple[dict, float]:
    """The report of a window, and the share of the machine's work that `pid` did in about the same time."""
    before = _own(pid), _work()
    done = subprocess.run(
        [wattline.binary(), "snapshot", "--for", f"{SECONDS}s", "--json"],
        check=True,
        capture_output=True,
        timeout=SECONDS + 30,
        text=True,
    )
    after = _own(pid), _work()
    return json.loads(done.stdout), (after[0] - before[0]) / (after[1] - before[1])


def _own(pid: int) -> int:
    """User and system time of a process, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _work() -> int:
    """Time in which any CPU worked, in ticks: user, nice, system and interrupts."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return fields[0] + fields[1] + fields[2] + fields[5] + fields[6]


def _check(checks: Checks, who: str, report: dict, name: str, kind: str, expected: float) -> None:
    cpu = {(row["name"], row["kind"]): row["power_by_device_w"].get("cpu", 0.0) for row in report["workloads"]}
    found = cpu.get((name, kind))
    if found is None:
        checks.that(f"{who} is shown", [f"no {kind} {name} among {sorted(cpu)}"])
        return
    # What nobody was seen to use is in the machine's work and in no workload.
    active = report["devices_active_w"]["cpu"]
    share = found / active
    faults = [] if abs(share - expected) <= TOLERANCE else [f"{share:.3f} of the active energy, {expected:.3f} of the work"]
    checks.that(f"{who} has the share of the processor's active energy that it has of its work", faults)
    print(f"      host_load: {who}: {share:.3f} of active energy, {expected:.3f} of work", flush=True)


def _check_method(checks: Checks, report: dict) -> None:
    metered = any("energy_uj" in names for _, _, names in os.walk("/sys/devices/virtual/powercap"))
    expected = {"measured"} if metered else {"modelled", "assumed"}
    faults = []
    for device in (row for row in report["devices"] if row["kind"] == "cpu"):
        if device["method"] not in expected:
            faults.append(f"{device['id']} says {device['method']}, not {expected}")
        if not device["power_low_w"] < device["power_w"] < device["power_high_w"]:
            faults.append(f"{device['id']}: {device['power_w']} W is not inside its range")
    checks.that("the processor's energy says how it is known, with its range", faults)


def _group() -> Path | None:
    """A control group of its own, where CPU time is counted; None where none can be made."""
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/cpuacct"):
        if mount.endswith("cpuacct") or Path(mount, "cgroup.controllers").exists():
            group = Path(mount, GROUP)
            try:
                group.mkdir()
            except OSError:
                continue
            return group
    return None
