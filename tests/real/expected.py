"""Which metrics of the table must arrive from the machine that the suite runs on."""

from pathlib import Path

# Metrics that need something to have happened, or hardware. Every other line of the table must arrive: a metric
# that is new in the table is expected until it is written down here with its reason.
ONLY_AFTER_AN_EVENT = {
    "hw.energy.lost": "a meter jumped or was reset",
    "workload.retired.carbon": "a workload's series ended",
    "workload.retired.cost.usd": "a workload's series ended",
    "workload.retired.energy": "a workload's series ended",
    "workload.cpu.throttled.time": "a quota held a workload back",
    "wattline.probe.errors": "a reading failed",
    "wattline.probe.overruns": "a reading took longer than its interval",
    "wattline.dropped": "something was lost",
    "wattline.refused": "a sender was refused",
    "wattline.connections.refused": "a connection was turned away",
    "wattline.received": "somebody sent something",
    "wattline.shortened": "something was longer than a limit",
    "wattline.workloads.folded": "there are more workloads than are told apart",
    "wattline.destination.cost.usd": "a destination has a price",
    "inference.unknown": "a call's model is in no table",
    "inference.finishes": "a call told why it ended",
    "inference.repeats": "something was said twice",
    "inference.tools.defined": "a call told of tools",
    "inference.tools.tokens": "a call told of tools",
    "inference.twins": "a call was told of twice",
    "inference.twins.unawaited": "too many calls waited",
    "gen_ai.client.operation.time_to_first_chunk": "a call was streamed",
    "carbon.intensity.marginal": "a provider tells of marginal electricity",
    "host.carbon.market": "a contract's factor is configured",
    "host.water": "water is configured",
}

# The same by how names begin.
ONLY_WITH = {
    "agent.": "an agent ran",
    "agentcore.": "a usage log was read",
    "engine.": "an engine was asked",
    "gen_ai.client.inference.": "the names of the next conventions are asked for",
    "gen_ai.execute_tool.": "an agent ran a tool",
    "gen_ai.invoke_agent.": "an agent ran",
    "gen_ai.server.": "an engine was asked",
    "hw.errors": "a GPU is read",
    "hw.gpu.": "a GPU is read",
    "hw.status": "a GPU is read",
    "hw.temperature": "a GPU is read",
}

# Metrics about calls of language models, which come when there were calls.
ONLY_WITH_CALLS = ("inference.", "gen_ai.")


def metrics(table: set[str], calls: bool) -> set[str]:
    """The metrics that must arrive; with `calls`, those about calls of language models among them."""
    absent = {name for name, present in _present().items() if not present}
    return {
        name
        for name in table
        if name not in ONLY_AFTER_AN_EVENT
        and not name.startswith(tuple(ONLY_WITH))
        and not any(name.startswith(prefix) for prefix in absent)
        and (calls or not name.startswith(ONLY_WITH_CALLS))
    }


def _present() -> dict[str, bool]:
    """What this machine shows, by the metrics that come of it."""
    return {
        # The file has a heading.
        "system.paging.usage": len(_lines("/proc/swaps")) > 1,
        "system.pressure.": Path("/proc/pressure/cpu").exists(),
        "system.disk.": any(_is_disk(device) for device in Path("/sys/block").glob("*")),
        "workload.disk.io": _controls("io"),
        "workload.memory.usage": _controls("memory"),
        "system.filesystem.": any(line.startswith("/dev/") for line in _lines("/proc/mounts")),
        "system.network.": any(each.name != "lo" for each in Path("/sys/class/net").glob("*")),
    }


def _is_disk(device: Path) -> bool:
    return not device.name.startswith(("loop", "ram", "zram", "dm-", "md"))


def _controls(controller: str) -> bool:
    """Whether control groups of this machine account for this resource."""
    return any(controller in line.split() for line in _lines("/sys/fs/cgroup/cgroup.controllers"))


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
