"""Thermal design power and core counts of processors by name, from PyPI codecarbon and published facts."""

import csv
import io
import math
import re

from .packages import fetch, number

CODECARBON = "3.3.2"

# What is kept of the package's 4,900 names: what stands in servers, workstations and desktops. A laptop's processor
# follows other limits than its design power.
KEPT = [
    r"intel xeon (e[357]-|platinum |gold |silver |bronze |w\d?-|d-|e-|max |6\d{3}[pe])",
    r"amd (epyc|ryzen threadripper) ",
    r"amd ryzen [3579] (pro )?\d{4}(x|xt|x3d|xt|g|ge|f)?$",
    r"intel core i[3579]-\d{3,5}(k|kf|ks|f|t|s|x|xe)?$",
    r"intel core ultra [579] 2\d\d(k|kf|f|t)?$",
]

# Processors that only clouds have. No maker publishes their design power, and what circulates are guesses. Where
# projects differ, the geometric mean of what they say stands here, and half the logarithm of their ratio as spread.
CLOUD_ONLY = {
    "amd epyc 7571": (120, 200, 32),
    "amd epyc 7r32": (200, 280, 48),
    "aws graviton2": (110, 150, 64),
}
CLOUD_SPREAD = 0.08  # Half the logarithm of 240 W and 205 W, which are said of the 8275CL, for all that nobody disputes.
PUBLISHED = {"ampere altra q80-30": (210, 80), "ampere altra max m128-30": (250, 128)}
CLOUD_NAMES = r"epyc \d[brv]\d\d|(platinum|gold) \d{4}(c|cl)$|platinum (8124m|8151|817[1359]m|8167m)$|e5-26([678]6|73) v"

# Cores of each socket, where a guest needs them to know its share of the design power, and of the parts that stand for
# a family in cpu_family.csv. EC2's are those of its bare metal servers; the others are the makers' specifications.
CORES = {
    "amd epyc 7401": 24, "amd epyc 7452": 32, "amd epyc 7543": 32, "amd epyc 7601": 32, "amd epyc 7702": 64,
    "amd epyc 7713": 64, "amd epyc 7742": 64, "amd epyc 7763": 64, "amd epyc 7b12": 64, "amd epyc 7r13": 48,
    "amd epyc 8024p": 8, "amd epyc 9454": 48, "amd epyc 9555": 64, "amd epyc 9654": 96, "amd epyc 9754": 128,
    "amd epyc 9755": 128, "intel xeon 6710e": 64, "intel xeon 6767p": 64, "intel xeon 6780e": 144,
    "intel xeon 6980p": 128, "intel xeon e5-2620 v3": 6, "intel xeon e5-2640": 6, "intel xeon e5-2640 v2": 8,
    "intel xeon e5-2640 v3": 8, "intel xeon e5-2640 v4": 10, "intel xeon e5-2650 v4": 12, "intel xeon e5-2670 v2": 10,
    "intel xeon e5-2673 v4": 20, "intel xeon e5-2680 v2": 10, "intel xeon e5-2680 v4": 14, "intel xeon e5-2686 v4": 18,
    "intel xeon e5-2690": 8, "intel xeon e5-2690 v4": 14, "intel xeon e5-2697 v2": 12, "intel xeon e5-2699 v3": 18,
    "intel xeon e5-2699 v4": 22, "intel xeon e7-8880 v3": 18, "intel xeon gold 5218": 16, "intel xeon gold 5320t": 20,
    "intel xeon gold 6130": 16, "intel xeon gold 6148": 20, "intel xeon gold 6338": 32, "intel xeon gold 6430": 32,
    "intel xeon gold 6530": 32, "intel xeon platinum 8124m": 18, "intel xeon platinum 8151": 12,
    "intel xeon platinum 8171m": 26, "intel xeon platinum 8175m": 24, "intel xeon platinum 8180": 28,
    "intel xeon platinum 8259cl": 24, "intel xeon platinum 8272cl": 26, "intel xeon platinum 8275cl": 24,
    "intel xeon platinum 8280": 28, "intel xeon platinum 8370c": 32, "intel xeon platinum 8375c": 32,
    "intel xeon platinum 8380": 40, "intel xeon platinum 8480+": 56, "intel xeon platinum 8490h": 60,
    "intel xeon platinum 8592+": 64,
}


def normal(name):
    """The normal form of a processor's name; src/power/tdp.rs does the same."""
    name = re.sub(r"\((r|tm)\)|[®™\u200b]", " ", name.lower())
    name = name[max(name.rfind("intel "), name.rfind("amd "), 0):]
    name = re.split(r" @| with | w/| \(", name)[0]
    words = [word for word in name.split() if word not in ("cpu", "processor") and not word.endswith("-core")]
    return " ".join(words)


def cpu_tdp(work):
    table = fetch("pip", "codecarbon", CODECARBON, work)["codecarbon/data/hardware/cpu_power.csv"].decode()
    watts = {}
    for row in csv.DictReader(io.StringIO(table)):
        name = normal(row["Name"])
        if "," not in name and any(re.match(pattern, name) for pattern in KEPT) and float(row["TDP"]) > 0:
            # Some names stand twice, once as sold alone and once as sold to makers; the higher figure is the limit.
            watts[name] = max(float(row["TDP"]), watts.get(name, 0))
    rows = []
    for name, tdp in watts.items():
        spread = CLOUD_SPREAD if re.search(CLOUD_NAMES, name) else 0
        cores = str(CORES.get(name, ""))
        rows.append([name, number(tdp), cores, number(spread), f"codecarbon {CODECARBON}", "2026", "MIT"])
    for name, (low, high, cores) in CLOUD_ONLY.items():
        source = f"{low} W Impact Framework or Boavizta; {high} W the other"
        middle, spread = math.sqrt(low * high), math.log(high / low) / 2
        rows.append([name, f"{middle:.0f}", str(cores), f"{spread:.2f}", source, "2026", "public-fact"])
    for name, (tdp, cores) in PUBLISHED.items():
        rows.append([name, number(tdp), str(cores), "0", "the maker's specification", "2026", "public-fact"])
    assert not CORES.keys() - watts.keys(), CORES.keys() - watts.keys()
    return f"""# table: cpu_tdp
# version: 2026.11
# built-by: tools/build_data.py from PyPI codecarbon {CODECARBON}
# attribution: Design powers from CodeCarbon, MIT License, Copyright (c) 2019 Mila, BCG Gamma, CometML, Haverford College; Copyright (c) 2023 Code Carbon NGO
# note: watts of one socket; cores of one socket where they are needed; names in the form that src/power/tdp.rs makes
# note: spread is the deviation of the logarithm of what is said of the design power; 0 for a part in a maker's catalogue
""", ["name", "tdp_w", "cores", "spread", "source", "year", "licence"], sorted(rows)


TABLES = {"cpu_tdp": cpu_tdp}
