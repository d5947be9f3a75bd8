"""Thermal design power and core counts of processors by name, from PyPI codecarbon and published facts."""

import csv
import io
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

# Processors that only clouds have. No maker publishes their design power: what circulates are guesses that differ by
# up to half, so a figure from them is marked. Where projects differ, the geometric mean of what they say stands here.
CLOUD_ONLY = {
    "amd epyc 7571": (155, 32, "Impact Framework 120 W; Boavizta 200 W"),
    "amd epyc 7r32": (237, 48, "Impact Framework 200 W; Boavizta 280 W"),
    "aws graviton2": (128, 64, "Boavizta 110 W; Impact Framework 150 W"),
}
CLOUD_NAMES = r"epyc \d[brv]\d\d|(platinum|gold) \d{4}(c|cl)$|platinum (8124m|8151|817[1359]m|8167m)$|e5-26([678]6|73) v"

# Cores of each socket, where a guest needs them to know its share of the design power. EC2's are those of its bare
# metal servers (two sockets each); the others are the makers' public specifications.
CORES = {
    "amd epyc 7b12": 64, "amd epyc 7452": 32, "amd epyc 7763": 64, "amd epyc 7r13": 48, "amd epyc 8024p": 8,
    "amd epyc 9654": 96, "amd epyc 9754": 128, "amd epyc 7742": 64, "amd epyc 7713": 64, "amd epyc 7702": 64,
    "intel xeon e5-2650 v4": 12, "intel xeon e5-2670 v2": 10, "intel xeon e5-2680 v2": 10, "intel xeon e5-2680 v4": 14,
    "intel xeon e5-2686 v4": 18, "intel xeon e5-2690 v4": 14, "intel xeon e5-2699 v4": 22, "intel xeon e5-2620 v3": 6,
    "intel xeon e7-8880 v3": 18, "intel xeon e5-2673 v4": 20, "intel xeon gold 6148": 20, "intel xeon gold 6338": 32,
    "intel xeon platinum 8124m": 18, "intel xeon platinum 8151": 12, "intel xeon platinum 8171m": 26,
    "intel xeon platinum 8175m": 24, "intel xeon platinum 8180": 28, "intel xeon platinum 8259cl": 24,
    "intel xeon platinum 8272cl": 26, "intel xeon platinum 8275cl": 24, "intel xeon platinum 8280": 28,
    "intel xeon platinum 8370c": 32, "intel xeon platinum 8375c": 32, "intel xeon platinum 8380": 40,
    "intel xeon platinum 8480+": 56, "intel xeon platinum 8490h": 60, "intel xeon platinum 8592+": 64,
}


def normal(name):
    """The normal form of a processor's name; src/power/tdp.rs does the same."""
    name = re.sub(r"\((r|tm)\)|[®™\u200b]", " ", name.lower())
    name = name[max(name.find("intel "), 0):]
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
        kind = "cloud" if re.search(CLOUD_NAMES, name) else "catalogue"
        rows.append([name, number(tdp), str(CORES.get(name, "")), kind, f"codecarbon {CODECARBON}", "2026", "MIT"])
    for name, (tdp, cores, source) in CLOUD_ONLY.items():
        rows.append([name, number(tdp), str(cores), "cloud", source, "2026", "public-fact"])
    assert not CORES.keys() - watts.keys(), CORES.keys() - watts.keys()
    return f"""# table: cpu_tdp
# version: 2026.11
# built-by: tools/build_data.py from PyPI codecarbon {CODECARBON}
# attribution: Design powers from CodeCarbon, MIT License, Copyright (c) 2019 Mila, BCG Gamma, CometML, Haverford College; Copyright (c) 2023 Code Carbon NGO
# note: watts of one socket; cores of one socket where they are needed; names in the form that src/power/tdp.rs makes
# note: `cloud` marks processors that no maker's catalogue has, whose design power is a guess
""", ["name", "tdp_w", "cores", "kind", "source", "year", "licence"], sorted(rows)


TABLES = {"cpu_tdp": cpu_tdp}
