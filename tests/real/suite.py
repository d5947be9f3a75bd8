"""Plays the scenes one after the other. Started by `run`."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import cloudwatch
import collector
import deltas
import dialects
import disks
import emf
import faults
import footprint
import gpus
import host_load
import kills
import outage
import program
import prometheus
import python_sdk
import relay
import signatures
from checks import Checks

SCENES = {
    "host_load": host_load.play,
    "footprint": footprint.play,
    "gpus": gpus.play,
    "collector": collector.play,
    "prometheus": prometheus.play,
    "python_sdk": python_sdk.play,
    "dialects": dialects.play,
    "relay": relay.play,
    "signatures": signatures.play,
    "cloudwatch": cloudwatch.play,
    "faults": faults.play,
    "kills": kills.play,
    "emf": emf.play,
    "deltas": deltas.play,
    "disks": disks.play,
    "outage": outage.play,
}


def main(names: list[str]) -> int:
    """Plays the scenes named, or all, and returns the exit status."""
    unknown = [name for name in names if name not in SCENES]
    if unknown:
        print(f"no such scene: {', '.join(unknown)}; there are {', '.join(SCENES)}", file=sys.stderr)
        return 2
    program.end_on_signals()
    # The SDK in this process, too, must see nothing of the caller's settings, and no proxy.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    keep = os.environ.get("WATTLINE_KEEP")
    folder = Path(tempfile.mkdtemp(prefix="wattline-real-", dir=keep))
    checks = Checks()
    try:
        for name in names or SCENES:
            SCENES[name](checks, folder)
    finally:
        program.stop_all()
        if keep:
            print(f"kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
