"""The inputs that wattline and the others are asked, the bands of the ratios and their reasons, and the page."""

import math
import re
from dataclasses import dataclass

import wattline
from peers import Tracked

PAGE = wattline.ROOT / "docs" / "comparison.md"

# What must be equal agrees to nine digits.
EQUAL = 1e-9


@dataclass(frozen=True)
class Band:
    """The range that a ratio of ours to theirs must stay in."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


def about(ratio: float) -> Band:
    """A tenth about the ratio as it was when the reason for it was understood."""
    return Band(float(f"{ratio * 0.9:.2g}"), float(f"{ratio * 1.1:.2g}"))


def near(one: float, other: float) -> bool:
    """Equal but for rounding."""
    return math.isclose(one, other, rel_tol=EQUAL)


def short(value: float) -> str:
    """Three digits that count, without exponents."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


# Models, by EcoLogits' names for the provider and for the model.
ANSWERS = {
    ("anthropic", "claude-haiku-4-5"): about(1),
    ("anthropic", "claude-opus-4-5"): about(1),
    ("anthropic", "claude-sonnet-4-5"): about(1),
    ("anthropic", "claude-sonnet-5"): about(1),
    ("cohere", "command-a-03-2025"): about(1),
    ("cohere", "command-r7b-12-2024"): about(1),
    ("google_genai", "gemini-2.5-flash"): about(1),
    ("google_genai", "gemini-2.5-pro"): about(1),
    ("google_genai", "gemma-4-31b-it"): about(1),
    ("mistralai", "ministral-8b-2512"): about(0.6),
    ("mistralai", "mistral-large-2512"): about(0.6),
    ("openai", "gpt-4o"): about(1),
    ("openai", "gpt-4o-mini"): about(1),
    ("openai", "gpt-5"): about(1),
    ("openai", "gpt-5-pro"): about(1),
    ("openai", "o3-mini"): about(1),
}


@dataclass(frozen=True)
class Place:
    """A place as wattline is asked for it and as the others are: COUNTRY, COUNTRY/REGION, or gcp:REGION."""

    ours: str
    theirs: str
    codecarbon: Band
    why: str
    ecologits: Band | None = None


# EcoLogits' name for what no table knows.
COUNTRIES = {"XXX": "WOR"}

PLACES = [
    Place("FRA", "FRA", about(0.55), "p q", about(0.75)),
    Place("DEU", "DEU", about(0.9), "p q", about(1.04)),
    Place("SWE", "SWE", about(0.52), "p q", about(0.6)),
    Place("POL", "POL", about(0.85), "p q", about(0.96)),
    Place("GBR", "GBR", about(0.74), "p q", about(0.81)),
    Place("USA", "USA", about(1.12), "q", about(1.08)),
    Place("CAN", "CAN", about(0.8), "q", about(0.71)),
    Place("BRA", "BRA", about(1), "q", about(0.89)),
    Place("IND", "IND", about(0.83), "p q", about(0.89)),
    Place("CHN", "CHN", about(0.83), "p q", about(0.92)),
    Place("JPN", "JPN", about(0.95), "p q", about(0.97)),
    Place("AUS", "AUS", about(0.86), "p q", about(0.9)),
    Place("ZAF", "ZAF", about(0.99), "q", about(1)),
    Place("XXX", "XXX", about(0.96), "w", about(1)),
    Place("US-VA", "USA/virginia", about(1.31), "s"),
    Place("US-CA", "USA/california", about(1.12), "s"),
    Place("US-IL", "USA/illinois", about(1), "s"),
    Place("US-OR", "USA/oregon", about(1.23), "s"),
    Place("US-TX", "USA/texas", about(1.02), "s"),
    Place("CA-QC", "CAN/quebec", about(10.4), "c"),
    Place("CA-ON", "CAN/ontario", about(1.72), "c q"),
    Place("CA-AB", "CAN/alberta", about(0.61), "c"),
    Place("SE-SE3", "SWE/SE3", about(0.74), "q"),
    Place("us-east-1", "USA/virginia", about(1.71), "s z"),
    Place("europe-west1", "gcp:europe-west1", about(1.48), "g"),
    Place("us-central1", "gcp:us-central1", about(1.17), "g"),
    Place("asia-northeast1", "gcp:asia-northeast1", about(1.17), "g"),
]

REASONS = {
    "grids": {
        "p": "CodeCarbon's factors of countries are Ember's of 2023 (EcoLogits' are of 2024 or 2025); ours are of "
        "2025. The column `ours, 2023` shows how much of the difference the years make.",
        "q": "Two publishers. Ours is Electricity Maps: what is consumed in the zone, imports included, over the "
        "life of the plants, with its own factors for each kind of plant. Ember: what the country's plants "
        "generate. In the same year the two differ by 16 % in the median over 86 countries, and most, in "
        "proportion, where there is little carbon.",
        "w": "What no table knows: CodeCarbon takes 475 g, the world in the IEA's report of 2019; we take Ember's "
        "world of 2025 and say so in a note.",
        "s": "CodeCarbon has EPA's eGRID 2023: what leaves the stacks of the state's plants. Ours is Ember's of "
        "2024: what they generate, with one factor for each fuel over its life, supply included. So ours is "
        "higher where gas dominates (490 g against about 400 at the stack) and equal or lower where coal "
        "does.",
        "z": "A region of a cloud draws from the zone of its grid operator (here PJM), which is not the state: "
        "Virginia imports much of what its data centres use.",
        "c": "CodeCarbon sums the mix of the province with 996 g for coal, 817 for oil, 744 for gas and nothing "
        "for all else. Hydro and nuclear power have the making of their plants in our figure, and gas has "
        "less than 744 g.",
        "g": "CodeCarbon has what Google publishes for its regions: operational emissions, without those of fuel "
        "supply and of making plants.",
    },
    "machines": {
        "r": "At rest CodeCarbon takes a tenth of the design power; published servers rest at 15 to 25 % of their "
        "full load, Arm servers at more.",
        "u": "Between, CodeCarbon takes 0.1 + 0.9 u^3 of the design power. Measured processors are steep at the "
        "start: [power-model.md](power-model.md) has them beside this curve.",
        "f": "At full load CodeCarbon takes the design power, we 0.93 of it, joined with published servers of the "
        "family.",
        "t": "CodeCarbon does not have the name and takes 4 W for each thread. We go by the family, and where that"
        " is not known either, by all servers.",
        "g": "In a guest CodeCarbon counts the design power of the whole socket, because that is what the name in "
        "the guest stands for. We take the guest's threads of it.",
        "m": "CodeCarbon guesses the number of memory modules from the size and takes 5 W for each, falling to 3.5"
        " W beyond the sixteenth (1.5 W on Arm), at any load. We take 0.15 W for each gigabyte and 0.24 W "
        "more at full use, as two servers with modules of 16 and 32 GB show it at rest, and less for each gigabyte "
        "of a machine with more than 4 GB for each thread, whose modules are larger. One rule of thumb, Crucial's, "
        "has said 5 W for each module instead since 2024 ([codecarbon "
        "#751](https://github.com/mlco2/codecarbon/issues/751)).",
    },
}

LOADS = (0.0, 0.1, 0.5, 1.0)


@dataclass(frozen=True)
class Machine:
    """A machine as wattline is asked for it and as CodeCarbon meets it, with the bands at each of the loads."""

    name: str
    words: tuple[object, ...]
    tracked: Tracked
    cpu: tuple[Band, ...]
    memory: tuple[Band, ...]
    why: str


def _bands(*ratios: float) -> tuple[Band, ...]:
    return tuple(about(ratio) for ratio in ratios)


EPYC = Machine(
    "AMD EPYC 9654, 192 threads, 768 GiB",
    ("--cpu", "AMD EPYC 9654 96-Core Processor", "--threads", 192, "--memory", 768),
    Tracked("AMD EPYC 9654 96-Core Processor", 192, 1, 768),
    _bands(1.91, 4.06, 3.3, 0.905),
    _bands(2.13, 2.47, 3.84, 5.55),
    "r u f m",
)
XEON = Machine(
    "Intel Xeon Platinum 8488C, 96 threads, 512 GiB",
    ("--cpu", "Intel(R) Xeon(R) Platinum 8488C", "--threads", 96, "--memory", 512),
    Tracked("Intel(R) Xeon(R) Platinum 8488C", 96, 1, 512),
    _bands(1.81, 3.12, 2.71, 0.76),
    _bands(1.75, 2.03, 3.15, 4.55),
    "t r u m",
)
GOLD = Machine(
    "2 x Intel Xeon Gold 6230, 80 threads, 192 GiB",
    ("--cpu", "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", "--threads", 80, "--memory", 192),
    Tracked("Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", 80, 2, 192),
    _bands(1.45, 3.35, 3.38, 0.985),
    _bands(0.53, 0.62, 0.96, 1.39),
    "r u f m",
)
GUEST = Machine(
    "m5.large",
    ("--instance", "m5.large"),
    Tracked("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", 2, 1, 8),
    _bands(0.036, 0.095, 0.1, 0.03),
    _bands(0.12, 0.14, 0.22, 0.31),
    "g u m",
)
ARM = Machine(
    "m7g.xlarge",
    ("--instance", "m7g.xlarge"),
    Tracked("Neoverse-V1", 4, 1, 16, is_arm=True),
    _bands(1.5, 1.99, 1.36, 0.4),
    _bands(0.8, 0.93, 1.44, 2.08),
    "t r u m",
)
P5 = Machine(
    "p5.48xlarge without its GPUs",
    ("--instance", "p5.48xlarge"),
    Tracked("AMD EPYC 7R13 Processor", 192, 2, 2048),
    _bands(2.17, 4.21, 3.29, 0.89),
    _bands(2.69, 3.12, 4.84, 6.99),
    "r u f m",
)
UNKNOWN = Machine(
    "an unknown processor, 64 threads, 256 GiB",
    ("--cpu", "Nonesuch 9000", "--threads", 64, "--memory", 256),
    Tracked("Nonesuch 9000", 64, 1, 256),
    _bands(1.36, 2.66, 2.34, 0.66),
    _bands(1.01, 1.17, 1.82, 2.63),
    "t r u m",
)
MACHINES = [EPYC, XEON, GOLD, GUEST, ARM, P5, UNKNOWN]


@dataclass(frozen=True)
class Carbon:
    """A machine for a day at a place, which CodeCarbon knows as COUNTRY or COUNTRY/REGION."""

    machine: Machine
    load: float
    region: str | None
    theirs: str
    band: Band

    def name(self) -> str:
        """For a fault."""
        return f"{self.machine.name} at {self.load:.0%} in {self.region or CLOUD}"


@dataclass(frozen=True)
class Published:
    """A worked example of a model that is not run here: what it says and what we say."""

    name: str
    # A command for each hour or part of the time; the figure is the mean of them.
    words: tuple[tuple[object, ...], ...]
    # Where the figure stands in the answer: the name of a kind of part, else a figure of the machine.
    figure: str
    unit: str
    says: float
    band: Band
    why: str


GOLD_6134 = ("--cpu", "Intel Xeon Gold 6134", "--threads", 16, "--utilization", 0.5)
A1 = ("--instance", "a1.4xlarge", "--region", "eu-west-3", "--hours", 2)
A1_AT = tuple((*A1, "--utilization", load) for load in (0, 0.5))

PUBLISHED = [
    Published(
        "Boavizta, Xeon Gold 6134 at 50 %",
        (GOLD_6134,),
        "cpu",
        "W",
        94.62,
        about(0.7),
        "its 130 W joined with the family's watts for each thread, which are those of parts with far more cores; theirs "
        "is a curve of their own on the 130 W",
    ),
    Published(
        "Boavizta, a1.4xlarge, 2 h, use",
        A1_AT,
        "operational_g",
        "g",
        6.9,
        about(0.33),
        "France has 98 g/kWh there and no PUE, 31 g and 1.35 here; of the watts ours are 0.78",
    ),
    Published(
        "Boavizta, a1.4xlarge, 2 h, embodied", A1_AT, "embodied_g", "g", 26, about(0.88), "other parts, the same life"
    ),
    Published(
        "SPRUCE, GPU of a g4dn.xlarge at 50 %",
        (("--instance", "g4dn.xlarge", "--utilization", 0.5),),
        "accelerator",
        "W",
        39.5,
        about(1.15),
        "the same board; we add 0.15 for the chassis",
    ),
]

# Where neither is told a place.
CLOUD = "unknown"

CARBON = [
    Carbon(EPYC, 0.5, "FRA", "FRA", about(4.04)),
    Carbon(EPYC, 1.0, "US-VA", "USA/virginia", about(4.12)),
    Carbon(XEON, 0.5, "DEU", "DEU", about(5.6)),
    Carbon(GOLD, 0.1, "IND", "IND", about(2.57)),
    Carbon(GOLD, 0.5, "CA-QC", "CAN/quebec", about(46.6)),
    Carbon(GUEST, 0.5, "us-east-1", "USA/virginia", about(0.318)),
    Carbon(GUEST, 0.1, "eu-north-1", "SWE", about(0.078)),
    Carbon(ARM, 0.5, "eu-west-1", "IRL", about(2.12)),
    Carbon(UNKNOWN, 0.5, None, "XXX", about(4.25)),
]


@dataclass(frozen=True)
class Block:
    """A table of the page, between two marks."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def table(cls, name: str, head: list[str], rows: list[list[str]]) -> "Block":
        """In Markdown, with what its letters mean."""
        cells = [head, ["---"] * len(head), *rows]
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        reasons = [f"- **{letter}**: {reason}" for letter, reason in REASONS.get(name, {}).items()]
        return cls(name, tuple(lines + [""] * bool(reasons) + reasons))

    def marks(self) -> tuple[str, str]:
        """The lines around it."""
        return f"<!-- {self.name}: written by tests/real/run footprint -->", f"<!-- {self.name}: end -->"


def differences(blocks: list[Block], update: bool) -> list[str]:
    """Where the page has other tables than these; with `update` it gets these first."""
    page = PAGE.read_text()
    for block in blocks:
        begin, end = block.marks()
        if update and begin in page:
            inside = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
            page = inside.sub(lambda _: "\n".join(block.lines) + "\n", page)
    if update:
        PAGE.write_text(page)
    faults = []
    for block in blocks:
        begin, end = block.marks()
        _, found, rest = page.partition(begin + "\n")
        written = rest.partition(end)[0].splitlines()
        if not found:
            faults.append(f"the page has no mark {begin}")
        for line in block.lines:
            if found and line not in written:
                faults.append(f"{block.name}: missing {line}")
        faults += [f"{block.name}: stale {line}" for line in written if found and line not in block.lines]
    return faults
