"""Reads a page in Prometheus' text format."""

import re
from dataclasses import dataclass, field

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \S+)?$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass
class Page:
    """Families with their types, and samples by name and labels."""

    types: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read(text: str) -> Page:
    """The page; lines that are not understood, and series that stand twice, are its faults."""
    page = Page()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            page.types[name] = kind
        elif line and not line.startswith("#"):
            _sample(page, line)
    return page


def _sample(page: Page, line: str) -> None:
    found = SAMPLE.match(line)
    if found is None:
        page.faults.append(f"not understood: {line}")
        return
    name, labels, value = found.groups()
    series = name, tuple(sorted(LABEL.findall(labels or "")))
    if series in page.samples:
        page.faults.append(f"stands twice: {line}")
    page.samples[series] = float(value)


def family(name: str, types: dict[str, str]) -> str:
    """The family of a sample: its name without what a histogram adds."""
    for suffix in SUFFIXES:
        if name.endswith(suffix) and types.get(name.removesuffix(suffix)) in ("histogram", "summary"):
            return name.removesuffix(suffix)
    return name
