"""Plays a script under instrumentations: `python play.py SCRIPT [MODULE:NAME...]`.

A NAME is the class of an instrumentor as OpenTelemetry has them, or a function that instruments when it is called.
"""

import importlib
import sys

import telemetry


def main(script: str, instrumentations: list[str]) -> None:
    """Instruments first, as a program would, and loads what is instrumented after it."""
    telemetry.start()
    for each in instrumentations:
        module, name = each.split(":")
        made = getattr(importlib.import_module(module), name)()
        if hasattr(made, "instrument"):
            made.instrument()
    importlib.import_module(script).play()
    telemetry.end()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
