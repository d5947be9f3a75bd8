"""What CloudWatch Logs takes as events, and CloudWatch as metrics in them.

Amazon CloudWatch Logs API Reference, "PutLogEvents"; Amazon CloudWatch User Guide, "Specification: Embedded metric
format"; CloudWatch API Reference, "MetricDatum". Where CloudWatch would pass over something in silence this refuses it.
"""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

REQUEST_BYTES, REQUEST_EVENTS, EVENT_BYTES, OVERHEAD = 1_048_576, 10_000, 262_144, 26
MILLISECOND = datetime.timedelta(milliseconds=1)
HOUR_MS = 3_600_000
DAY_MS, OLD_MS, AHEAD_MS = 24 * HOUR_MS, 14 * 24 * HOUR_MS, 2 * HOUR_MS

METRICS, VALUES, SETS, SET, NAME, VALUE = 100, 100, 30, 30, 250, 1024
NUMBER = Decimal(2) ** 360
UNITS = {"Seconds", "Bytes", "Percent", "Count", "None"}

Figure = int | Decimal | dict


@dataclass(frozen=True)
class Event:
    """One event: when, what it says, the metrics in it, and the dimensions of each."""

    at_ms: int
    text: str
    figures: dict[str, Figure]
    dimensions: list[dict[str, str]]


def read(request: dict, form: str, now: datetime.datetime) -> tuple[list[Event], list[str]]:
    """The events of a request of PutLogEvents, and why it is refused."""
    entries = request.get("logEvents", [])
    times = [entry["timestamp"] for entry in entries]
    sizes = [len(entry["message"].encode()) + OVERHEAD for entry in entries]
    now_ms = (now - datetime.datetime(1970, 1, 1)) // MILLISECOND
    first_ms, last_ms = min(times, default=now_ms), max(times, default=now_ms)
    faults = [
        *(["log events must be between 1 and 10000"] if not 1 <= len(entries) <= REQUEST_EVENTS else []),
        *(["the batch is larger than 1048576 bytes"] if sum(sizes) > REQUEST_BYTES else []),
        *(["an event is larger than 256 KiB"] if max(sizes, default=0) > EVENT_BYTES else []),
        *(["log events must be in chronological order"] if times != sorted(times) else []),
        *(["the batch spans more than 24 hours"] if last_ms - first_ms > DAY_MS else []),
        *(["an event is too old"] if first_ms < now_ms - OLD_MS else []),
        *(["an event is too new"] if last_ms > now_ms + AHEAD_MS else []),
        *([f"the format is {form!r}"] if form != "json/emf" else []),
    ]
    events = []
    for entry in entries:
        message = json.loads(entry["message"], parse_float=Decimal)
        faults += [f"{fault}: {entry['message'][:300]}" for fault in _faults(message, entry["timestamp"])]
        if not faults:
            events.append(_event(message, entry))
    return events, faults


def _faults(message: dict, at_ms: int) -> Iterator[str]:
    """Why CloudWatch would make no metrics of this, or other ones."""
    about = message.get("_aws", {})
    if about.get("Timestamp") != at_ms:
        yield "the event has another time than its metrics"
    directives = about.get("CloudWatchMetrics", [])
    if len(directives) != 1:
        yield f"{len(directives)} directives"
        return
    (directive,) = directives
    metrics, sets = directive["Metrics"], directive["Dimensions"]
    if not directive.get("Namespace"):
        yield "no namespace"
    names = [metric["Name"] for metric in metrics]
    if not 1 <= len(names) <= METRICS or len(set(names)) != len(names):
        yield f"{len(names)} metrics, {len(set(names))} of them different"
    if not 1 <= len(sets) <= SETS or any(len(each) > SET for each in sets):
        yield "too many dimensions, or no set of them"
    for name in {name for each in sets for name in each}:
        value = message.get(name)
        if not isinstance(value, str) or not value.strip() or not value.isascii() or len(value) > VALUE:
            yield f"the dimension {name} is {value!r}"
        if len(name) > NAME:
            yield f"the dimension {name} has too long a name"
    for metric in metrics:
        if metric.get("Unit", "None") not in UNITS or metric.get("StorageResolution", 60) not in (1, 60):
            yield f"the metric {metric}"
        if not _is_figure(message.get(metric["Name"])):
            yield f"{metric['Name']} is {message.get(metric['Name'])!r}"


def _is_figure(value: object) -> bool:
    match value:
        case bool():
            return False
        case int() | Decimal():
            return abs(value) <= NUMBER
        case {"Values": values, "Counts": counts, "Min": low, "Max": high, "Count": count, "Sum": total}:
            is_whole = 1 <= len(values) == len(counts) <= VALUES and sum(counts) == count
            return is_whole and all(map(_is_figure, [*values, *counts, low, high, total])) and low <= high
    return False


def _event(message: dict, entry: dict) -> Event:
    (directive,) = message["_aws"]["CloudWatchMetrics"]
    figures = {metric["Name"]: message[metric["Name"]] for metric in directive["Metrics"]}
    dimensions = [{name: message[name] for name in each} for each in directive["Dimensions"]]
    return Event(entry["timestamp"], entry["message"], figures, dimensions)
