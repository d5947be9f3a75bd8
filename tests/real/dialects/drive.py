"""Runs the driver of an emitter against the local provider and an OTLP endpoint, and nothing else."""

import os
import subprocess
import tempfile
from pathlib import Path

from emitters import Emitter

HERE = Path(__file__).resolve().parent
# It is over in seconds; a machine that others keep busy may need much longer.
PATIENCE_SECONDS = 180


class DriverFailed(RuntimeError):
    """A driver that did not play its script to the end."""


def drive(emitter: Emitter, environments: dict[str, Path], provider_port: int, otlp_port: int) -> str:
    """Plays the emitter's script and returns what its driver printed."""
    folder = environments[emitter.environment]
    script = HERE / "drivers" / emitter.words[0]
    javascript = script.suffix == ".mjs"
    with tempfile.TemporaryDirectory(prefix="wattline-dialect-") as home, script.open() as source:
        try:
            ran = subprocess.run(
                _command(emitter, folder),
                cwd=folder if javascript else home,
                env=_environment(emitter, home, provider_port, otlp_port),
                stdin=source if javascript else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired as late:
            printed = (late.stdout or b"").decode(errors="replace")
            raise DriverFailed(f"{emitter.name} takes longer than {PATIENCE_SECONDS} s:\n{printed[-4000:]}") from late
    if ran.returncode != 0:
        raise DriverFailed(f"{emitter.name} ended with status {ran.returncode}:\n{ran.stdout[-4000:]}")
    return ran.stdout


def _command(emitter: Emitter, folder: Path) -> list[str]:
    script, *words = emitter.words
    if script.endswith(".mjs"):
        # A script that comes by standard input finds the packages of the folder that it runs in.
        return ["node", "--input-type=module", "-", *words]
    return [str(folder / "bin" / "python"), "-B", str(HERE / "drivers" / script), *words]


def _environment(emitter: Emitter, home: str, provider_port: int, otlp_port: int) -> dict[str, str]:
    endpoint = f"http://127.0.0.1:{otlp_port}"
    # A proxy that is not there: whoever calls anything but loopback fails at once.
    nowhere = "http://127.0.0.1:9"
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "LANG": "C.UTF-8",
        "PROVIDER": f"http://127.0.0.1:{provider_port}",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "NO_PROXY": "127.0.0.1",
        "OTEL_SERVICE_NAME": emitter.name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        # One export at the end, when the provider shuts down.
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANTHROPIC_OPEN_TELEMETRY": "false",
    }
    return settings | emitter.env
