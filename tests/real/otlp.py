"""Reads what the Collector's file exporter wrote: OTLP in its JSON encoding, one export request a line."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CUMULATIVE = 2

Attributes = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Point:
    """One point of one metric, with everything that came with it. `request` counts the export requests."""

    request: int
    metric: str
    unit: str
    description: str
    instrument: str
    temporality: int | None
    attributes: Attributes
    resource: Attributes
    scope: str
    start: int
    time: int
    value: float | None
    histogram: dict | None

    @property
    def identity(self) -> tuple[str, Attributes]:
        """What tells its series from any other."""
        return self.metric, self.attributes

    def attribute(self, key: str) -> object:
        """The value of an attribute of the point, None where it has none."""
        return dict(self.attributes).get(key)

    def __str__(self) -> str:
        return self.metric + "{" + ", ".join(f"{key}={value}" for key, value in self.attributes) + "}"


def requests(path: Path) -> list[dict]:
    """The export requests in the file, without a last line that is still being written."""
    if not path.exists():
        return []
    text = path.read_bytes()
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines() if line.strip()]


def points(path: Path) -> list[Point]:
    """All points in the file, in the order in which they came."""
    return [point for number, request in enumerate(requests(path)) for point in _points(number, request)]


def snapshots(every: Iterable[Point]) -> dict[int, list[Point]]:
    """The points by their time: those of one snapshot bear one time. A snapshot may be sent again; it counts once."""
    by_time: dict[int, list[Point]] = {}
    sent_in: dict[tuple, int] = {}
    for point in every:
        if sent_in.setdefault((point.time, point.identity), point.request) == point.request:
            by_time.setdefault(point.time, []).append(point)
    return by_time


def attributes(pairs: list[dict]) -> Attributes:
    """Key-value pairs as sorted Python values."""
    return tuple(sorted((pair["key"], _value(pair.get("value", {}))) for pair in pairs))


def _value(value: dict) -> object:
    """An AnyValue. Whole numbers are text in OTLP's JSON."""
    match value:
        case {"stringValue": text}:
            return text
        case {"intValue": text}:
            return int(text)
        case {"doubleValue": number}:
            return float(number)
        case {"boolValue": flag}:
            return bool(flag)
        case {"arrayValue": inner}:
            return tuple(_value(each) for each in inner.get("values", []))
        case {"kvlistValue": inner}:
            return attributes(inner.get("values", []))
        case {"bytesValue": text}:
            return ("bytes", text)
    return None


def _points(number: int, request: dict) -> Iterable[Point]:
    for resource in request.get("resourceMetrics", []):
        described = attributes(resource.get("resource", {}).get("attributes", []))
        for scope in resource.get("scopeMetrics", []):
            name = scope.get("scope", {}).get("name", "")
            for metric in scope.get("metrics", []):
                yield from _points_of(metric, described, name, number)


def _points_of(metric: dict, resource: Attributes, scope: str, request: int) -> Iterable[Point]:
    instrument, data = _instrument(metric)
    for point in data.get("dataPoints", []):
        number = point.get("asDouble", point.get("asInt"))
        yield Point(
            request=request,
            metric=metric["name"],
            unit=metric.get("unit", ""),
            description=metric.get("description", ""),
            instrument=instrument,
            temporality=data.get("aggregationTemporality"),
            attributes=attributes(point.get("attributes", [])),
            resource=resource,
            scope=scope,
            start=int(point.get("startTimeUnixNano", 0)),
            time=int(point.get("timeUnixNano", 0)),
            value=None if number is None else float(number),
            histogram=point if "histogram" in instrument else None,
        )


def _instrument(metric: dict) -> tuple[str, dict]:
    """The instrument in the metric table's words."""
    match metric:
        case {"sum": data}:
            return ("counter" if data.get("isMonotonic") else "updowncounter"), data
        case {"gauge": data}:
            return "gauge", data
        case {"exponentialHistogram": data} | {"histogram": data}:
            return "histogram", data
    return "unknown", {}
