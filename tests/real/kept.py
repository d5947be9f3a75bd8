"""What wattline has left on disk: the tallies of its spools, and its ledger. To be read while it does not run."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from otlp import Attributes

METRICS, TRACES = 0, 1

# Amounts in the ledger are whole numbers of these parts of the metric's unit.
PARTS = {"g": 1e9, "{USD}": 1e9}
OTHER_PARTS = 1e6

# A series: its metric and its labels.
Key = tuple[str, Attributes]


@dataclass(frozen=True)
class Tally:
    """Where all items are that ever came."""

    accepted: int
    delivered: int
    dropped: dict[str, int]
    waiting: int

    def open(self) -> list[str]:
        """What does not close."""
        missing = self.accepted - self.delivered - sum(self.dropped.values()) - self.waiting
        return [f"{missing} items are nowhere: {self}"] if missing else []


def _rows(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def tally(state: Path, destination: str, signal: int | None = None) -> Tally:
    """The tally of one signal, or of all: what was counted where no disk was, or in a file that was damaged, is on the
    disk with no signal of its own any more."""
    path = state / "spool" / f"{destination}.db"
    of_signal = "" if signal is None else f"WHERE signal = {signal}"
    sums = dict(_rows(path, f"SELECT what, sum(items) FROM tally {of_signal} GROUP BY what"))
    ((waiting,),) = _rows(path, f"SELECT coalesce(sum(items), 0) FROM request {of_signal}")
    dropped = {reason: items for reason, items in sums.items() if items and reason not in ("accepted", "delivered")}
    return Tally(sums.get("accepted", 0), sums.get("delivered", 0), dropped, waiting)


def parts(unit: str) -> int:
    """How many of the parts that the ledger counts make one of the unit."""
    return round(PARTS.get(unit, OTHER_PARTS))


def totals(state: Path, units: dict[str, str]) -> dict[Key, float]:
    """The totals of all series in the unit of their metric."""
    query = "SELECT metric, labels, amount FROM total JOIN series ON series.id = total.series"
    return {
        (metric, tuple(sorted(json.loads(labels).items()))): amount / parts(units[metric])
        for metric, labels, amount in _rows(state / "ledger.db", query)
    }


def unequal_books(state: Path) -> list[str]:
    """Series whose minutes, hours and days do not come to the same."""
    query = """
        SELECT metric, labels, sum(amount * (span = 60)), sum(amount * (span = 3600)), sum(amount * (span = 86400))
        FROM book JOIN series ON series.id = book.series GROUP BY series.id"""
    rows = _rows(state / "ledger.db", query)
    unequal = [f"{metric} {labels}: {sums}" for metric, labels, *sums in rows if len(set(sums)) != 1]
    return unequal + ([] if rows else ["nothing is booked"])


def books(state: Path) -> dict[Key, int]:
    """What each series came to over all days, in the parts that the ledger counts; series that have ended, too."""
    query = """SELECT metric, labels, sum(amount) FROM book JOIN series ON series.id = book.series
        WHERE span = 86400 GROUP BY series.id"""
    rows = _rows(state / "ledger.db", query)
    return {(metric, tuple(sorted(json.loads(labels).items()))): amount for metric, labels, amount in rows}


def booked(state: Path, metric: str, hardware: str) -> int:
    """The sum of all days of a metric of a part of the machine, in the parts that the ledger counts."""
    query = f"""SELECT coalesce(sum(amount), 0) FROM book JOIN series ON series.id = book.series
        WHERE span = 86400 AND metric = '{metric}' AND json_extract(labels, '$."hw.id"') = '{hardware}'"""
    ((amount,),) = _rows(state / "ledger.db", query)
    return amount
