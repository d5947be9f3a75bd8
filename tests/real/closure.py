"""Whether the books close, from nothing but the points that a backend received."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from otlp import Point

# Books are kept in whole numbers of these: microjoules, nanograms, nano-dollars.
MICRO = 10**6
NANO = 10**9

# What a whole number of units may lose as a floating-point number of joules, grams or dollars.
ROUNDING = 1e-3

Sums = dict[tuple, int]


def faults(snapshot: Iterable[Point]) -> list[str]:
    """What does not add up in the points of one moment. Sums are compared as whole numbers, without tolerance."""
    books = _Books(list(snapshot))
    energy = books.sums("hw.energy", MICRO, "hw.type")
    workloads = books.sums("workload.energy", MICRO, "hw.type")
    found = _differences("microjoules of workload.energy and hw.energy", _plus(workloads, books.retired()), energy)
    found += _differences(
        "microjoules of hw.host.energy and hw.energy",
        {(): sum(books.sums("hw.host.energy", MICRO).values())},
        {(): sum(energy.values())},
    )
    found += _differences(
        "microjoules of each accelerator",
        _plus(
            books.sums("workload.energy", MICRO, "hw.type", "hw.id", only=_has_id),
            books.sums("workload.retired.energy", MICRO, "hw.type", "hw.id", only=_has_id),
        ),
        books.sums("hw.energy", MICRO, "hw.type", "hw.id", only=_is_accelerator),
    )
    for whole, parts, kind in (
        ("host.carbon", "workload.carbon", "carbon.kind"),
        ("host.cost.usd", "workload.cost.usd", "cost.kind"),
    ):
        found += _differences(
            f"billionths of {parts} and {whole}", books.sums(parts, NANO, kind), books.sums(whole, NANO, kind)
        )
    return found + books.faults


class _Books:
    """Points of one moment, by metric."""

    def __init__(self, points: list[Point]):
        self.faults: list[str] = []
        self.by_metric: dict[str, list[Point]] = defaultdict(list)
        for point in points:
            self.by_metric[point.metric].append(point)

    def sums(self, metric: str, scale: int, *keys: str, only: Callable[[Point], bool] = lambda _: True) -> Sums:
        """The sum over the points of `metric` for each combination of `keys`, in whole units of 1/`scale`."""
        sums: Sums = defaultdict(int)
        for point in self.by_metric[metric]:
            if only(point):
                sums[tuple(point.attribute(key) for key in keys)] += self._whole(point, scale)
        return dict(sums)

    def retired(self) -> Sums:
        """What stood on series that have ended."""
        return self.sums("workload.retired.energy", MICRO, "hw.type")

    def _whole(self, point: Point, scale: int) -> int:
        """The value in whole units. A value between two units would mean that it was never a whole number."""
        value = point.value or 0.0
        whole = round(value * scale)
        if abs(value * scale - whole) > max(ROUNDING, abs(whole) * 2**-51):
            self.faults.append(f"{point} is {value!r}, not a whole number of 1/{scale}")
        return whole


def _has_id(point: Point) -> bool:
    return point.attribute("hw.id") is not None


def _is_accelerator(point: Point) -> bool:
    return point.attribute("hw.type") in ("gpu", "accelerator")


def _plus(left: Sums, right: Sums) -> Sums:
    return {key: left.get(key, 0) + right.get(key, 0) for key in left | right}


def _differences(what: str, left: Sums, right: Sums) -> list[str]:
    return [
        f"{what} for {'/'.join(map(str, key)) or 'the machine'}: {left.get(key, 0)} and {right.get(key, 0)}, "
        f"which differ by {left.get(key, 0) - right.get(key, 0)}"
        for key in sorted(left | right, key=str)
        if left.get(key, 0) != right.get(key, 0)
    ]
