"""What wattline itself uses, beside its peers. Started by `overhead`."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import program
import wattline
from program import Program, fetch, free_ports, until

PROCESSES = 1000
GROUPS = 200
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
INSTALL = Path(__file__).resolve().parent / "install"


def main(seconds: int) -> int:
    """Measures for `seconds` and prints the table."""
    program.end_on_signals()
    paths = _peers()
    with tempfile.TemporaryDirectory(prefix="wattline-overhead-") as name:
        folder = Path(name)
        groups = _groups()
        sleepers = [subprocess.Popen(["sleep", "infinity"]) for _ in range(PROCESSES)]
        try:
            for number, group in enumerate(groups):
                (group / "cgroup.procs").write_text(str(sleepers[number].pid))
            print(f"{PROCESSES} sleeping processes, {len(groups)} control groups, {seconds} s", flush=True)
            _measure(folder, paths, seconds)
        finally:
            program.stop_all()
            for sleeper in sleepers:
                sleeper.kill()
                sleeper.wait()
            for group in groups:
                group.rmdir()
    return 0


def _measure(folder: Path, paths: dict[str, str], seconds: int) -> None:
    begun = time.monotonic()
    agent, page = _wattline(folder)
    until("wattline has figures", lambda: fetch(page)[0] == 200 and "system_cpu_time" in fetch(page)[1], [agent])
    first = time.monotonic() - begun
    scraped = {"wattline, 1 s": (agent, page)}
    node, nodes_page = _node_exporter(folder, paths)
    scraped["node_exporter, scraped every 1 s"] = (node, nodes_page)
    if "scaphandre" in paths:
        scraped["scaphandre, scraped every 5 s"] = _scaphandre(folder, paths)
    # The first looks are dearer than all later ones.
    _scrape(scraped, 15)
    before = {name: _cpu(each.process.pid) for name, (each, _) in scraped.items()}
    clock = time.monotonic()
    _scrape(scraped, seconds)
    elapsed = time.monotonic() - clock
    print(f"{'':<36}{'CPU of a core':>14}{'resident':>12}{'page':>12}")
    for name, (each, page) in scraped.items():
        if each.ended() is not None:
            print(f"{name:<36}{'ended: ' + (each.lines() or ['no word'])[-1][:80]}")
            continue
        share = (_cpu(each.process.pid) - before[name]) / TICKS / elapsed
        size = len(fetch(page)[1])
        print(f"{name:<36}{share:>13.2%} {_resident(each.process.pid) / 1e6:>8.1f} MB {size / 1e3:>8.0f} kB")
    print(f"wattline: start to first figures {first * 1e3:.0f} ms (polled), "
          f"binary {wattline.binary().stat().st_size / 1e6:.1f} MB")


def _scrape(scraped: dict[str, tuple[Program, str]], seconds: int) -> None:
    """Asks each page as often as its name says; wattline's own only once a minute, as Prometheus would."""
    for second in range(seconds):
        begun = time.monotonic()
        for name, (each, page) in scraped.items():
            every = 60 if name.startswith("wattline") else 5 if "5 s" in name else 1
            if second % every == 0 and each.ended() is None:
                try:
                    fetch(page)
                except OSError:
                    pass
        time.sleep(max(0.0, 1 - (time.monotonic() - begun)))


def _wattline(folder: Path) -> tuple[Program, str]:
    admin, grpc, http = free_ports(3)
    config = folder / "wattline.toml"
    config.write_text(
        f'[state]\ndirectory = "{folder}/state"\n[admin]\nlisten = "127.0.0.1:{admin}"\n'
        f'[probes.cloud]\nmode = "never"\n[probes.otlp]\ngrpc.listen = "127.0.0.1:{grpc}"\n'
        f'http.listen = "127.0.0.1:{http}"\n[[exporters.file]]\npath = "{folder}/out.jsonl"\n'
    )
    agent = Program("wattline", [wattline.binary(), "run", "--config", config], folder)
    return agent, f"http://127.0.0.1:{admin}/metrics"


def _node_exporter(folder: Path, paths: dict[str, str]) -> tuple[Program, str]:
    (port,) = free_ports(1)
    started = Program("node_exporter", [paths["node_exporter"], f"--web.listen-address=127.0.0.1:{port}"], folder)
    return started, f"http://127.0.0.1:{port}/metrics"


def _scaphandre(folder: Path, paths: dict[str, str]) -> tuple[Program, str]:
    (port,) = free_ports(1)
    argv = [paths["scaphandre"], "prometheus", "--address", "127.0.0.1", "--port", str(port)]
    return Program("scaphandre", argv, folder), f"http://127.0.0.1:{port}/metrics"


def _peers() -> dict[str, str]:
    """The programs that are installed."""
    printed = subprocess.run([INSTALL, "--paths"], check=True, capture_output=True, text=True).stdout
    paths = dict(line.split("=", 1) for line in printed.splitlines())
    return {name: path for name, path in paths.items() if Path(path).exists()}


def _groups() -> list[Path]:
    """Control groups of the test, as services, where CPU time is counted."""
    two = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    mount = Path("/sys/fs/cgroup" if two else "/sys/fs/cgroup/cpuacct")
    groups = []
    for number in range(GROUPS):
        group = mount / f"wattline-overhead-{number}.service"
        try:
            group.mkdir(exist_ok=True)
        except OSError:
            break
        groups.append(group)
    return groups


def _cpu(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
