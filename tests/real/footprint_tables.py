"""The tables of `docs/comparison.md`: what wattline and the others say, with what is outside its band."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecologits.model_repository import models

import comparison
import peers
from calculator import HOURS, PROVIDERS, ask, of_call, of_machine, span_of, unequal, watts
from comparison import ANSWERS, CARBON, CLOUD, COUNTRIES, LOADS, MACHINES, PLACES, PUBLISHED, Band, Block, near


def all_of_them() -> Iterator[tuple[Block, list[str]]]:
    """Each table with its faults."""
    yield from (_models(), _answers(), _grids(), _machines(), _carbon(), _published())


@dataclass
class _Table:
    """A table in the making, with what is outside its bands."""

    name: str
    head: list[str]

    def __post_init__(self) -> None:
        self.rows: list[list[str]] = []
        self.faults: list[str] = []

    def ratio(self, what: str, ours: float, theirs: float, band: Band, span: Band | None = None) -> str:
        """The cell of a ratio; a fault where it is outside `band`. A star where theirs is outside our range `span`."""
        ratio = ours / theirs
        if not band.low <= ratio <= band.high:
            self.faults.append(f"{what}: {ours:.6g} / {theirs:.6g} is {ratio:.4g}, outside {band}")
        star = "" if span is None or span.low <= theirs <= span.high else "*"
        return f"{comparison.short(ratio)}{star} ({band})"

    def end(self) -> tuple[Block, list[str]]:
        """The table and the faults."""
        return Block.table(self.name, self.head, self.rows), self.faults


def _models() -> tuple[Block, list[str]]:
    """All models of EcoLogits: those equal, those that it clocks apart from a twin, those that we do not have."""
    listed = [model for model in models.list_models() if _provider(model) in PROVIDERS]
    names = {f"{PROVIDERS[_provider(model)]}/{model.name}": model for model in listed}
    words = [word for name in names for word in ("--tokens", f"{name}:100:300")]
    calls = ask("footprint", *words)["calls"]
    answers = {name: peers.ecologits_answer(_provider(model), model.name, 300) for name, model in names.items()}
    kinds: dict[str, list[str]] = {"equal": [], "another alias": [], "not in our table": []}
    faults = []
    for (name, model), call in zip(names.items(), calls, strict=True):
        if "energy_j" not in call:
            kinds["not in our table"].append(name)
        elif _same(call, answers[name]):
            kinds["equal"].append(name)
        elif any(_same(call, answers[other]) for other, twin in names.items() if _twins(model, twin)):
            kinds["another alias"].append(name)
        else:
            faults.append(f"{name}: {call['energy_j']['central']} J, EcoLogits {answers[name].joules} J")
    rows = [[kind, str(len(found)), _few(kind, found)] for kind, found in kinds.items()]
    return Block.table("models", ["names of EcoLogits", "how many", "which"], rows), faults


def _few(kind: str, names: list[str]) -> str:
    return "all others" if kind == "equal" else ", ".join(name.partition("/")[2] for name in names)


def _provider(model: object) -> str:
    return getattr(model.provider, "value", model.provider)


def _twins(one: object, other: object) -> bool:
    """The same parameters of the same provider, with another speed."""
    same = _provider(one) == _provider(other) and one.architecture.parameters == other.architecture.parameters
    return same and one.deployment != other.deployment


def _same(call: dict, theirs: peers.Answer) -> bool:
    energy = near(call["energy_j"]["central"], theirs.joules)
    return energy and near(call["embodied_g"]["central"], theirs.embodied_grams)


def _answers() -> tuple[Block, list[str]]:
    head = ["model", "J, both", "embodied mg, both", "use mg, ours", "use mg, EcoLogits", "ratio (band)", "grid x PUE"]
    table = _Table("answers", head)
    for (provider, model), band in ANSWERS.items():
        call = of_call(f"{PROVIDERS[provider]}/{model}:1000:300")
        theirs = peers.ecologits_answer(provider, model, 300)
        place = call["place"]
        grid = place["intensity_g_per_kwh"]["central"] / theirs.grams_per_kwh
        # The middle of products of two ranges, as it computes them.
        usage = (theirs.joules_low * theirs.pue_low + theirs.joules_high * theirs.pue_high) / 2 / theirs.joules
        table.faults += unequal(
            f"{model}: grid times PUE",
            {"explains the ratio": (call["operational_g"]["central"] / theirs.usage_grams, grid * place["pue"] / usage)},
        )
        table.rows.append(
            [
                model,
                comparison.short(theirs.joules),
                comparison.short(theirs.embodied_grams * 1000),
                comparison.short(call["operational_g"]["central"] * 1000),
                comparison.short(theirs.usage_grams * 1000),
                table.ratio(model, call["operational_g"]["central"], theirs.usage_grams, band),
                f"{comparison.short(grid)} x {comparison.short(place['pue'] / usage)}",
            ]
        )
    return table.end()


def _grids() -> tuple[Block, list[str]]:
    head = ["place", "ours", "from", "ours, 2023", "CodeCarbon", "ratio (band)", "EcoLogits", "ratio (band)", "why"]
    table = _Table("grids", head)
    for place in PLACES:
        country, _, region = place.theirs.partition("/")
        google = place.theirs.startswith("gcp:")
        theirs = peers.codecarbon_google(place.theirs[4:]) if google else peers.codecarbon_grid(country, region or None)
        other = peers.ecologits_grid(COUNTRIES.get(country, country)) if place.ecologits else None
        now = ask("factors", "--region", place.ours)["intensity"]
        past = ask("factors", "--region", place.ours, "--at", "2023")["intensity"]
        span = Band(now["low"], now["high"])
        table.rows.append(
            [
                place.ours,
                comparison.short(now["g_per_kwh"]),
                f"{now['zone']}, {now['source']}",
                comparison.short(past["g_per_kwh"]),
                comparison.short(theirs),
                table.ratio(place.ours, now["g_per_kwh"], theirs, place.codecarbon, span),
                comparison.short(other) if other else "",
                table.ratio(place.ours, now["g_per_kwh"], other, place.ecologits, span) if other else "",
                place.why,
            ]
        )
    return table.end()


def _machines() -> tuple[Block, list[str]]:
    head = ["machine", "load", "processor W, ours", "CodeCarbon", "ratio (band)"]
    head += ["memory W, ours", "CodeCarbon", "ratio (band)", "enclosure W, ours", "why"]
    table = _Table("machines", head)
    for machine in MACHINES:
        for load, cpu_band, memory_band in zip(LOADS, machine.cpu, machine.memory, strict=True):
            answer = of_machine(machine, load, None)
            cpu, memory = watts(answer, "cpu"), watts(answer, "memory")
            their_cpu, their_memory = machine.tracked.cpu_watts(load), machine.tracked.memory_watts()
            what = f"{machine.name} at {load:.0%}"
            table.rows.append(
                [
                    machine.name,
                    f"{load:.0%}",
                    comparison.short(cpu),
                    comparison.short(their_cpu),
                    table.ratio(f"processor of {what}", cpu, their_cpu, cpu_band, span_of(answer, "cpu")),
                    comparison.short(memory),
                    comparison.short(their_memory),
                    table.ratio(f"memory of {what}", memory, their_memory, memory_band, span_of(answer, "memory")),
                    comparison.short(watts(answer, "enclosure")),
                    machine.why,
                ]
            )
    return table.end()


def _carbon() -> tuple[Block, list[str]]:
    head = ["machine", "load", "place", "use g, ours", "CodeCarbon", "ratio (band)"]
    head += ["= processor and memory", "x enclosure", "x PUE", "x grid", "embodied g, ours only"]
    table = _Table("carbon", head)
    for case in CARBON:
        answer = of_machine(case.machine, case.load, case.region)
        tracked, place, found = case.machine.tracked, answer["place"], answer["machine"]
        their_watts = tracked.cpu_watts(case.load) + tracked.memory_watts()
        country, _, region = case.theirs.partition("/")
        their_grid = peers.codecarbon_grid(country, region or None)
        theirs = peers.codecarbon_grams(their_watts, HOURS, 1.0, their_grid)
        ours, parts = found["operational_g"]["central"], watts(answer, "cpu", "memory")
        factors = [
            parts / their_watts,
            found["power_w"]["central"] / parts,
            place["pue"],
            place["intensity_g_per_kwh"]["central"] / their_grid,
        ]
        product = factors[0] * factors[1] * factors[2] * factors[3]
        table.faults += unequal(case.name(), {"the product of the four": (product, ours / theirs)})
        table.rows.append(
            [
                case.machine.name,
                f"{case.load:.0%}",
                case.region or CLOUD,
                comparison.short(ours),
                comparison.short(theirs),
                table.ratio(case.name(), ours, theirs, case.band),
                *(comparison.short(factor) for factor in factors),
                comparison.short(found["embodied_g"]["central"]),
            ]
        )
    return table.end()


def _published() -> tuple[Block, list[str]]:
    table = _Table("published", ["example", "it says", "we say", "our 90 % range", "ratio (band)", "why"])
    for example in PUBLISHED:
        answers = [ask("footprint", *words) for words in example.words]
        ends = {end: _mean_figure(answers, example.figure, end) for end in ("low", "central", "high")}
        table.rows.append(
            [
                example.name,
                f"{comparison.short(example.says)} {example.unit}",
                f"{comparison.short(ends['central'])} {example.unit}",
                f"{comparison.short(ends['low'])} to {comparison.short(ends['high'])}",
                table.ratio(
                    example.name, ends["central"], example.says, example.band, Band(ends["low"], ends["high"])
                ),
                example.why,
            ]
        )
    return table.end()


def _mean_figure(answers: list[dict], figure: str, end: str) -> float:
    found = []
    for answer in answers:
        machine = answer["machine"]
        parts = [part["power_w"][end] for part in machine["parts"] if part["kind"] == figure]
        found.append(sum(parts) if parts else machine[figure][end])
    return sum(found) / len(found)
