"""The calculator against CodeCarbon and EcoLogits on the same inputs, and against plain arithmetic.

What must be equal is compared to nine digits. Where two models differ on purpose, the ratio must stay inside a band, and
`docs/comparison.md` says why they differ; the tables there are written by this scene, run with WATTLINE_UPDATE=1.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecologits.model_repository import models

import comparison
import peers
import wattline
from checks import Checks
from comparison import ANSWERS, CARBON, CLOUD, COUNTRIES, LOADS, MACHINES, PLACES, PUBLISHED, Band, Block, Carbon, Machine, near
from peers import JOULES_PER_KWH

LIFETIME_HOURS = 4 * 365 * 24
HOURS = 24

# What wattline calls the providers of EcoLogits.
PROVIDERS = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "google_genai": "gcp.gemini",
    "mistralai": "mistral_ai",
    "openai": "openai",
}


def play(checks: Checks, folder: Path) -> None:
    """Plays the scene."""
    with checks.of("footprint"):
        folder = folder / "footprint"
        folder.mkdir()
        for sentence, faults in _exact(folder):
            checks.that(sentence, faults)
        blocks, faults = [], {}
        for block, outside in (_models(), _answers(), _grids(), _machines(), _carbon(), _published()):
            blocks.append(block)
            faults[block.name] = outside
        for name, outside in faults.items():
            checks.that(f"{name}: every ratio is inside its band", outside)
        checks.that("docs/comparison.md has what was computed", comparison.differences(blocks, _updates()))


def _updates() -> bool:
    return bool(os.environ.get("WATTLINE_UPDATE"))


def ask(*words: object) -> dict:
    """What wattline answers, without the caller's configuration."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WATTLINE_", "OTEL_"))}
    argv = [str(word) for word in (wattline.binary(), *words, "--json")]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=60, text=True, env=clean)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
    return json.loads(done.stdout)


# What must be equal.


def _exact(folder: Path) -> Iterator[tuple[str, list[str]]]:
    yield "power times hours, PUE, intensity, lifetime and price by hand are what it says", [
        fault for case in HAND for fault in _by_hand(*case)
    ]
    yield "it joins watts, hours, PUE and intensity as CodeCarbon does", [
        fault for case in CARBON for fault in _joined(case)
    ]
    yield "energy and embodied carbon of a call are EcoLogits', carbon of use with our grid and PUE", [
        fault for provider, model in ANSWERS for tokens in (1, 300, 4000) for fault in _answered(provider, model, tokens)
    ]
    yield "intensity and PUE of the configuration hold for the machine, not for a provider's", _configured(folder)


# An instance type, a region, a load and the name of its power in `wattline factors`, hours and how many.
HAND = [
    ("m5.large", "us-east-1", 0.5, "half_w", 720, 1),
    ("p5.48xlarge", "us-west-2", 1, "full_w", 1, 3),
    ("g5.xlarge", "eu-north-1", 0, "idle_w", 8760, 2),
    ("inf2.xlarge", "ap-south-1", 0.5, "half_w", 0.25, 1),
]


def _by_hand(instance: str, region: str, load: float, power: str, hours: float, count: int) -> Iterator[str]:
    """Faults of a footprint against what its factors come to."""
    factors = ask("factors", "--instance", instance, "--region", region)
    machine, pue = factors["machine"], factors["pue"]["value"]
    it_kwh = machine[power] * hours * count / 1000
    facility_kwh = it_kwh * pue
    expected = {
        "energy_j": it_kwh * JOULES_PER_KWH,
        "operational_g": facility_kwh * factors["intensity"]["g_per_kwh"],
        "embodied_g": machine["embodied_g"] * count * hours / LIFETIME_HOURS,
        "water_site_l": it_kwh * factors["water_site_l_per_kwh"]["value"],
        "water_grid_l": facility_kwh * factors["water_grid_l_per_kwh"]["value"],
    }
    words = ("--instance", instance, "--region", region, "--utilization", load, "--hours", hours, "--count", count)
    answer = ask("footprint", *words)
    found = answer["machine"]
    pairs = {name: (found[name]["central"], value) for name, value in expected.items()}
    pairs["cost"] = (found["cost"]["usd"], machine["usd_per_hour"] * hours * count)
    total = expected["operational_g"] + expected["embodied_g"]
    pairs["all carbon"] = (answer["total"]["carbon_g"]["central"], total)
    yield from _unequal(f"{count} {instance} in {region} for {hours} h", pairs)


def _joined(case: Carbon) -> Iterator[str]:
    """Faults of our arithmetic against CodeCarbon's, with our watts, our PUE and our intensity."""
    answer = _footprint(case.machine, case.load, case.region)
    place, machine = answer["place"], answer["machine"]
    grams = peers.codecarbon_grams(
        machine["power_w"]["central"], HOURS, place["pue"], place["intensity_g_per_kwh"]["central"]
    )
    yield from _unequal(case.name(), {"operational_g": (machine["operational_g"]["central"], grams)})


def _answered(provider: str, model: str, tokens: int) -> Iterator[str]:
    """Faults of a call's figures against EcoLogits'."""
    call = _call(f"{PROVIDERS[provider]}/{model}:1000:{tokens}")
    theirs = peers.ecologits_answer(provider, model, tokens)
    place = call["place"]
    pairs = {
        "energy_j": (call["energy_j"]["central"], theirs.joules),
        "embodied_g": (call["embodied_g"], theirs.embodied_grams),
        "operational_g": (
            call["operational_g"],
            theirs.usage(place["pue"], place["intensity_g_per_kwh"]["central"]),
        ),
    }
    yield from _unequal(f"{tokens} tokens of {model}", pairs)


def _configured(folder: Path) -> list[str]:
    config = folder / "site.toml"
    config.write_text(f"[carbon]\nintensity = {wattline.INTENSITY}\npue = {wattline.PUE}\n")
    words = ("--instance", "m5.large", "--tokens", "openai/gpt-4o:10:10", "--hours", HOURS)
    answer, default = ask("footprint", "-c", config, *words), ask("footprint", *words)
    machine = answer["machine"]
    kwh = machine["energy_j"]["central"] / JOULES_PER_KWH
    call, usual = answer["calls"][0], default["calls"][0]
    return [
        *_unequal(
            "with a configuration",
            {
                "the machine's carbon": (machine["operational_g"]["central"], kwh * wattline.PUE * wattline.INTENSITY),
                "the call's carbon": (call["operational_g"], usual["operational_g"]),
            },
        )
    ]


def _unequal(what: str, pairs: dict[str, tuple[float, float]]) -> Iterator[str]:
    for name, (ours, right) in pairs.items():
        if not near(ours, right):
            yield f"{what}: {name} is {ours!r}, {right!r} is right"


# What differs, and by how much it may.


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


def _call(tokens: str) -> dict:
    return ask("footprint", "--tokens", tokens)["calls"][0]


def _models() -> tuple[Block, list[str]]:
    """All models of EcoLogits: those equal, those that it clocks apart from another of their name, those we do not have."""
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
    return energy and near(call["embodied_g"], theirs.embodied_grams)


def _answers() -> tuple[Block, list[str]]:
    head = ["model", "J, both", "embodied mg, both", "use mg, ours", "use mg, EcoLogits", "ratio (band)", "grid x PUE"]
    table = _Table("answers", head)
    for (provider, model), band in ANSWERS.items():
        call = _call(f"{PROVIDERS[provider]}/{model}:1000:300")
        theirs = peers.ecologits_answer(provider, model, 300)
        place = call["place"]
        grid = place["intensity_g_per_kwh"]["central"] / theirs.grams_per_kwh
        # The middle of products of two ranges, as it computes them.
        usage = (theirs.joules_low * theirs.pue_low + theirs.joules_high * theirs.pue_high) / 2 / theirs.joules
        table.faults += _unequal(
            f"{model}: grid times PUE",
            {"explains the ratio": (call["operational_g"] / theirs.usage_grams, grid * place["pue"] / usage)},
        )
        table.rows.append(
            [
                model,
                comparison.short(theirs.joules),
                comparison.short(theirs.embodied_grams * 1000),
                comparison.short(call["operational_g"] * 1000),
                comparison.short(theirs.usage_grams * 1000),
                table.ratio(model, call["operational_g"], theirs.usage_grams, band),
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


def _footprint(machine: Machine, load: float, region: str | None) -> dict:
    where = ("--region", region) if region else ()
    return ask("footprint", *machine.words, "--utilization", load, "--hours", HOURS, *where)


def _watts(answer: dict, *kinds: str) -> float:
    return sum(part["power_w"]["central"] for part in answer["machine"]["parts"] if part["kind"] in kinds)


def _span(answer: dict, kind: str) -> Band:
    part = next(part["power_w"] for part in answer["machine"]["parts"] if part["kind"] == kind)
    return Band(part["low"], part["high"])


def _machines() -> tuple[Block, list[str]]:
    head = ["machine", "load", "processor W, ours", "CodeCarbon", "ratio (band)"]
    head += ["memory W, ours", "CodeCarbon", "ratio (band)", "enclosure W, ours", "why"]
    table = _Table("machines", head)
    for machine in MACHINES:
        for load, cpu_band, memory_band in zip(LOADS, machine.cpu, machine.memory, strict=True):
            answer = _footprint(machine, load, None)
            cpu, memory = _watts(answer, "cpu"), _watts(answer, "memory")
            their_cpu, their_memory = machine.tracked.cpu_watts(load), machine.tracked.memory_watts()
            what = f"{machine.name} at {load:.0%}"
            table.rows.append(
                [
                    machine.name,
                    f"{load:.0%}",
                    comparison.short(cpu),
                    comparison.short(their_cpu),
                    table.ratio(f"processor of {what}", cpu, their_cpu, cpu_band, _span(answer, "cpu")),
                    comparison.short(memory),
                    comparison.short(their_memory),
                    table.ratio(f"memory of {what}", memory, their_memory, memory_band, _span(answer, "memory")),
                    comparison.short(_watts(answer, "enclosure")),
                    machine.why,
                ]
            )
    return table.end()


def _carbon() -> tuple[Block, list[str]]:
    head = ["machine", "load", "place", "use g, ours", "CodeCarbon", "ratio (band)"]
    head += ["= processor and memory", "x enclosure", "x PUE", "x grid", "embodied g, ours only"]
    table = _Table("carbon", head)
    for case in CARBON:
        answer = _footprint(case.machine, case.load, case.region)
        tracked, place, found = case.machine.tracked, answer["place"], answer["machine"]
        their_watts = tracked.cpu_watts(case.load) + tracked.memory_watts()
        country, _, region = case.theirs.partition("/")
        their_grid = peers.codecarbon_grid(country, region or None)
        theirs = peers.codecarbon_grams(their_watts, HOURS, 1.0, their_grid)
        ours, parts = found["operational_g"]["central"], _watts(answer, "cpu", "memory")
        factors = [
            parts / their_watts,
            found["power_w"]["central"] / parts,
            place["pue"],
            place["intensity_g_per_kwh"]["central"] / their_grid,
        ]
        product = factors[0] * factors[1] * factors[2] * factors[3]
        table.faults += _unequal(case.name(), {"the product of the four": (product, ours / theirs)})
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
