"""The calculator against CodeCarbon and EcoLogits on the same inputs, and against plain arithmetic.

What must be equal is compared to nine digits. Where two models differ on purpose, the ratio must stay inside a band,
and `docs/comparison.md` says why they differ; the tables there are written by this scene, run with WATTLINE_UPDATE=1.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import comparison
import footprint_tables
import peers
import wattline
from calculator import HOURS, PROVIDERS, ask, of_call, of_machine, unequal
from checks import Checks
from comparison import ANSWERS, CARBON, Carbon
from peers import JOULES_PER_KWH

LIFETIME_HOURS = 4 * 365 * 24


def play(checks: Checks, folder: Path) -> None:
    """Plays the scene."""
    with checks.of("footprint"):
        folder = folder / "footprint"
        folder.mkdir()
        for sentence, faults in _exact(folder):
            checks.that(sentence, faults)
        blocks = []
        for block, faults in footprint_tables.all_of_them():
            blocks.append(block)
            checks.that(f"{block.name}: figures are equal, or apart as far as docs/comparison.md says", faults)
        update = bool(os.environ.get("WATTLINE_UPDATE"))
        checks.that("docs/comparison.md has what was computed", comparison.differences(blocks, update))


# What must be equal.


def _exact(folder: Path) -> Iterator[tuple[str, list[str]]]:
    yield "power times hours, PUE, intensity, lifetime and price by hand are what it says", [
        fault for case in HAND for fault in _by_hand(*case)
    ]
    yield "it joins watts, hours, PUE and intensity as CodeCarbon does", [
        fault for case in CARBON for fault in _joined(case)
    ]
    yield "energy and embodied carbon of a call are EcoLogits', carbon of use with our grid and PUE", [
        fault
        for provider, model in ANSWERS
        for tokens in (1, 300, 4000)
        for fault in _answered(provider, model, tokens)
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
    yield from unequal(f"{count} {instance} in {region} for {hours} h", pairs)


def _joined(case: Carbon) -> Iterator[str]:
    """Faults of our arithmetic against CodeCarbon's, with our watts, our PUE and our intensity."""
    answer = of_machine(case.machine, case.load, case.region)
    place, machine = answer["place"], answer["machine"]
    grams = peers.codecarbon_grams(
        machine["power_w"]["central"], HOURS, place["pue"], place["intensity_g_per_kwh"]["central"]
    )
    yield from unequal(case.name(), {"operational_g": (machine["operational_g"]["central"], grams)})


def _answered(provider: str, model: str, tokens: int) -> Iterator[str]:
    """Faults of a call's figures against EcoLogits'."""
    call = of_call(f"{PROVIDERS[provider]}/{model}:1000:{tokens}")
    theirs = peers.ecologits_answer(provider, model, tokens)
    place = call["place"]
    pairs = {
        "energy_j": (call["energy_j"]["central"], theirs.joules),
        "embodied_g": (call["embodied_g"]["central"], theirs.embodied_grams),
        "operational_g": (
            call["operational_g"]["central"],
            theirs.usage(place["pue"], place["intensity_g_per_kwh"]["central"]),
        ),
    }
    yield from unequal(f"{tokens} tokens of {model}", pairs)


def _configured(folder: Path) -> list[str]:
    config = folder / "site.toml"
    config.write_text(f"[carbon]\nintensity = {wattline.INTENSITY}\npue = {wattline.PUE}\n")
    words = ("--instance", "m5.large", "--tokens", "openai/gpt-4o:10:10", "--hours", HOURS)
    answer, default = ask("footprint", "-c", config, *words), ask("footprint", *words)
    machine = answer["machine"]
    kwh = machine["energy_j"]["central"] / JOULES_PER_KWH
    call, usual = answer["calls"][0], default["calls"][0]
    return [
        *unequal(
            "with a configuration",
            {
                "the machine's carbon": (machine["operational_g"]["central"], kwh * wattline.PUE * wattline.INTENSITY),
                "the call's carbon": (call["operational_g"]["central"], usual["operational_g"]["central"]),
            },
        )
    ]
