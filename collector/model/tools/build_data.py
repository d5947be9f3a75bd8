#!/usr/bin/env python3
"""Builds the tables in ../data that come from packages: run it again when a pinned version below changes.

    python3 build_data.py            writes grid_country.csv, cloud_region.csv and models.csv
    python3 build_data.py --check    writes nothing, exits 1 when a table would change

Packages are fetched by name with `npm pack` and `pip download`, unpacked in a temporary directory and only read.
What is taken from them are figures; layout and wording are ours. Tables not written here (cpu_family, load_curve,
grid_state, pue, api_provider) hold published figures that were entered by hand, each row with its source.
"""

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
CO2JS = "0.19.0"
ECOLOGITS = "0.11.3"
BOTOCORE = "1.44.5"
ISO3166 = "3.0.0"

# The npm package gives one value for each country and no year. These are the newest years of countries in Ember's
# yearly release of May 2025 (2023 where a country is not named here). That release and the package agree to the last
# digit for 174 of 209 countries; the others were revised since, by 0.4 % in the median and 15 % at most.
NEWEST_YEARS = {
    2022: """ABW BHS CAF COK CPV FLK FRO GLP GNB GRD GRL GUF GUM HTI JAM JOR KIR KNA LCA LKA LSO MAC MDG MRT MSR MTQ
        MWI NCL NPL PRK PSE PYF REU SPM STP SYR TCD UGA UKR""",
    2024: """ARE ARG ARM AUS AUT AZE BEL BGD BGR BIH BLR BOL BRA CAN CHE CHL CHN COL CRI CYP CZE DEU DNK DOM ECU EGY
        ESP EST FIN FRA GBR GEO GRC HRV HUN IND IRL IRN ITA JPN KAZ KEN KGZ KHM KOR KWT LTU LUX LVA MAR MDA MEX MKD
        MLT MMR MNE MNG MYS NGA NLD NOR NZL OMN PAK PER PHL POL PRI PRT QAT ROU RUS SAU SGP SLV SRB SVK SVN SWE THA
        TJK TUN TUR TWN URY USA VNM XKX ZAF WORLD""",
}
YEAR_OF = {code: year for year, codes in NEWEST_YEARS.items() for code in codes.split()}

# Where each region stands. AWS names come from botocore; the country is our reading of the name.
AWS_PLACES = {
    "Cape Town": "ZAF", "Hong Kong": "HKG", "Taipei": "TWN", "Tokyo": "JPN", "Seoul": "KOR", "Osaka": "JPN",
    "Mumbai": "IND", "Hyderabad": "IND", "Singapore": "SGP", "Sydney": "AUS", "Jakarta": "IDN", "Melbourne": "AUS",
    "Malaysia": "MYS", "New Zealand": "NZL", "Thailand": "THA", "Canada": "CAN", "Calgary": "CAN", "Frankfurt": "DEU",
    "Zurich": "CHE", "Stockholm": "SWE", "Milan": "ITA", "Spain": "ESP", "Ireland": "IRL", "London": "GBR",
    "Paris": "FRA", "Tel Aviv": "ISR", "UAE": "ARE", "Bahrain": "BHR", "Mexico": "MEX", "Sao Paulo": "BRA",
    "N. Virginia": "US-VA", "Ohio": "US-OH", "N. California": "US-CA", "Oregon": "US-OR", "Beijing": "CHN",
    "Ningxia": "CHN", "GovCloud (US-East)": "US-OH", "GovCloud (US-West)": "US-OR", "Germany": "DEU",
}
GCP_PLACES = """africa-south1=ZAF asia-east1=TWN asia-east2=HKG asia-northeast1=JPN asia-northeast2=JPN
    asia-northeast3=KOR asia-south1=IND asia-south2=IND asia-southeast1=SGP asia-southeast2=IDN
    australia-southeast1=AUS australia-southeast2=AUS europe-central2=POL europe-north1=FIN europe-north2=SWE
    europe-southwest1=ESP europe-west1=BEL europe-west2=GBR europe-west3=DEU europe-west4=NLD europe-west6=CHE
    europe-west8=ITA europe-west9=FRA europe-west10=DEU europe-west12=ITA me-central1=QAT me-central2=SAU me-west1=ISR
    northamerica-northeast1=CAN northamerica-northeast2=CAN northamerica-south1=MEX southamerica-east1=BRA
    southamerica-west1=CHL us-central1=US-IA us-east1=US-SC us-east4=US-VA us-east5=US-OH us-south1=US-TX
    us-west1=US-OR us-west2=US-CA us-west3=US-UT us-west4=US-NV"""
AZURE_PLACES = """australiacentral=AUS australiacentral2=AUS australiaeast=AUS australiasoutheast=AUS brazilsouth=BRA
    brazilsoutheast=BRA canadacentral=CAN canadaeast=CAN centralindia=IND centralus=US-IA chinaeast=CHN chinaeast2=CHN
    chinanorth=CHN chinanorth2=CHN chinanorth3=CHN eastasia=HKG eastus=US-VA eastus2=US-VA francecentral=FRA
    francesouth=FRA germanynorth=DEU germanywestcentral=DEU indonesiacentral=IDN israelcentral=ISR italynorth=ITA
    japaneast=JPN japanwest=JPN koreacentral=KOR koreasouth=KOR mexicocentral=MEX newzealandnorth=NZL
    northcentralus=US-IL northeurope=IRL norwayeast=NOR norwaywest=NOR polandcentral=POL qatarcentral=QAT
    southafricanorth=ZAF southafricawest=ZAF southcentralus=US-TX southeastasia=SGP southindia=IND spaincentral=ESP
    swedencentral=SWE switzerlandnorth=CHE switzerlandwest=CHE uaecentral=ARE uaenorth=ARE uksouth=GBR ukwest=GBR
    westcentralus=US-WY westeurope=NLD westus=US-CA westus2=US-WA westus3=US-AZ"""

# Models taken from EcoLogits, by its names; `=` gives the name that calls carry where that differs.
ECOLOGITS_MODELS = {
    "anthropic": """claude-haiku-4-5-20251001=claude-haiku-4-5 claude-haiku-5-5 claude-opus-4-5-20251101=claude-opus-4-5
        claude-opus-4-6 claude-opus-4-7 claude-opus-4-8 claude-opus-5 claude-opus-5-5
        claude-sonnet-4-5-20250929=claude-sonnet-4-5 claude-sonnet-4-6 claude-sonnet-5 claude-sonnet-5-5 claude-fable-5
        claude-fable-5-1""",
    "openai": """gpt-3.5-turbo gpt-3.5-turbo=gpt-35-turbo gpt-4 gpt-4-turbo gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-4o
        gpt-4o-mini gpt-5 gpt-5-codex gpt-5-mini gpt-5-nano gpt-5-pro gpt-5.1 gpt-5.1-codex gpt-5.1-codex-mini gpt-5.2
        gpt-5.2-codex gpt-5.2-pro gpt-5.3-codex gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.4-pro gpt-5.5 gpt-5.5-pro
        gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra gpt-6-astra gpt-6-luna gpt-6-sol gpt-6.1-sol o1 o3-mini o4-mini""",
    "google_genai": """gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-flash-preview=gemini-3-flash
        gemini-3.1-flash-lite gemini-3.1-pro-preview=gemini-3.1-pro gemini-3.5-flash gemini-3.5-flash-lite
        gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash gemma-4-26b-a4b-it=gemma-4-26b-a4b
        gemma-4-31b-it=gemma-4-31b""",
    "mistralai": """codestral-2508 codestral-latest ministral-14b-2512=ministral-14b ministral-3b-2512=ministral-3b
        ministral-8b-2512=ministral-8b mistral-large-2512 mistral-large-latest mistral-large-4 mistral-medium-3
        mistral-medium-3.5 mistral-medium-latest mistral-small-2603 mistral-small-latest
        magistral-medium-latest=magistral-medium magistral-small-latest=magistral-small""",
    "cohere": """command-a-03-2025 command-a-plus-05-2026 command-r-08-2024 command-r-plus-08-2024
        command-r7b-12-2024""",
    "huggingface_hub": """openai/gpt-oss-120b=gpt-oss-120b openai/gpt-oss-20b=gpt-oss-20b
        meta-llama/Meta-Llama-3-8B=llama-3-8b meta-llama/Meta-Llama-3-70B=llama-3-70b
        meta-llama/Meta-Llama-3.1-8B=llama-3.1-8b meta-llama/Meta-Llama-3.1-70B=llama-3.1-70b
        meta-llama/Meta-Llama-3.1-405B=llama-3.1-405b mistralai/Mistral-7B-Instruct-v0.3=mistral-7b
        mistralai/Mixtral-8x7B-v0.1=mixtral-8x7b mistralai/Mixtral-8x22B-v0.1=mixtral-8x22b
        mistralai/Mistral-Nemo-Instruct-2407=mistral-nemo google/gemma-2-9b=gemma-2-9b
        google/gemma-2-27b=gemma-2-27b""",
}
PROVIDER_NAMES = {"google_genai": "google", "mistralai": "mistral"}

# Open weights that EcoLogits has no entry for. Total and active parameters in billions, from the model cards.
CARD_MODELS = [
    ("llama-3.2-1b", "meta", 1.24, 1.24, "https://huggingface.co/meta-llama/Llama-3.2-1B"),
    ("llama-3.2-3b", "meta", 3.21, 3.21, "https://huggingface.co/meta-llama/Llama-3.2-3B"),
    ("llama-3.3-70b", "meta", 70.55, 70.55, "https://huggingface.co/meta-llama/Llama-3.3-70B-Instruct"),
    ("llama-4-scout", "meta", 109, 17, "https://huggingface.co/meta-llama/Llama-4-Scout-17B-16E"),
    ("llama-4-maverick", "meta", 400, 17, "https://huggingface.co/meta-llama/Llama-4-Maverick-17B-128E"),
    ("deepseek-v3", "deepseek", 671, 37, "https://huggingface.co/deepseek-ai/DeepSeek-V3"),
    ("deepseek-v3.1", "deepseek", 671, 37, "https://huggingface.co/deepseek-ai/DeepSeek-V3.1"),
    ("deepseek-r1", "deepseek", 671, 37, "https://huggingface.co/deepseek-ai/DeepSeek-R1"),
    ("deepseek-r1-distill-llama-70b", "deepseek", 70.55, 70.55, "https://huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Llama-70B"),
    ("qwen2.5-7b", "alibaba", 7.61, 7.61, "https://huggingface.co/Qwen/Qwen2.5-7B"),
    ("qwen2.5-72b", "alibaba", 72.7, 72.7, "https://huggingface.co/Qwen/Qwen2.5-72B"),
    ("qwen3-8b", "alibaba", 8.2, 8.2, "https://huggingface.co/Qwen/Qwen3-8B"),
    ("qwen3-14b", "alibaba", 14.8, 14.8, "https://huggingface.co/Qwen/Qwen3-14B"),
    ("qwen3-32b", "alibaba", 32.8, 32.8, "https://huggingface.co/Qwen/Qwen3-32B"),
    ("qwen3-30b-a3b", "alibaba", 30.5, 3.3, "https://huggingface.co/Qwen/Qwen3-30B-A3B"),
    ("qwen3-235b-a22b", "alibaba", 235, 22, "https://huggingface.co/Qwen/Qwen3-235B-A22B"),
    ("qwen3-coder-480b-a35b", "alibaba", 480, 35, "https://huggingface.co/Qwen/Qwen3-Coder-480B-A35B-Instruct"),
]


def fetch(client, name, version, into):
    """Downloads one package by name with its ordinary client and returns {path inside: bytes}."""
    into = Path(into) / name.replace("/", "_")
    into.mkdir()
    if client == "npm":
        subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=into, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(into.glob("*.tgz"))) as archive:
            return {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(into)]
    subprocess.run([*command, f"{name}=={version}"], check=True)
    with zipfile.ZipFile(io.BytesIO(next(into.glob("*.whl")).read_bytes())) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def number(value):
    return f"{float(value):g}"


def grid_country(work):
    text = fetch("npm", "@tgwf/co2", CO2JS, work)["package/dist/esm/data/average-intensities.min.js"].decode()
    body = re.search(r"const data = (\{.*?\});", text, re.S).group(1)
    values = json.loads(re.sub(r"(\d)e(\d)", lambda m: m.group(1) + "0" * int(m.group(2)), body))
    iso = fetch("pip", "iso3166", ISO3166, work)
    source = next(v for k, v in iso.items() if k.endswith("iso3166/__init__.py")).decode()
    alpha2 = {a3: a2 for a2, a3 in re.findall(r'"([A-Z]{2})",\s*"([A-Z]{3})"', source)} | {"XKX": "XK"}
    rows = []
    for code, grams in sorted(values.items()):
        if code != "WORLD" and (code not in alpha2 or grams <= 0):
            # Groups of countries, and one country whose few gigawatt-hours round to no emissions at all.
            print(f"grid_country: left out {code} ({grams} g/kWh)", file=sys.stderr)
            continue
        year = YEAR_OF.get(code, 2023)
        rows.append([code, alpha2.get(code, ""), number(grams), str(year), "ember", "CC-BY-4.0"])
    return f"""# table: grid_country
# version: 2026.11
# built-by: tools/build_data.py from npm @tgwf/co2 {CO2JS} (codes: PyPI iso3166 {ISO3166})
# attribution: Data: Ember (ember-energy.org), CC BY 4.0. Yearly average of what the country's plants generated.
# note: the package states no year; each row bears its country's newest year in Ember's release of May 2025
""", ["alpha3", "alpha2", "grams_per_kwh", "year", "source", "licence"], rows


def cloud_region(work):
    endpoints = json.loads(fetch("pip", "botocore", BOTOCORE, work)["botocore/data/endpoints.json"])
    rows = []
    for partition in endpoints["partitions"]:
        if "iso" in partition["partition"]:
            continue
        for region, about in sorted(partition["regions"].items()):
            inside = about["description"]
            place = max((p for p in AWS_PLACES if p in inside), key=len, default=None)
            if place is None:
                sys.exit(f"cloud_region: add the place of {region} ({inside}) to AWS_PLACES")
            rows.append(["aws", region, AWS_PLACES[place], f"botocore {BOTOCORE}", "2026", "public-fact"])
    for provider, places in (("gcp", GCP_PLACES), ("azure", AZURE_PLACES)):
        for pair in sorted(places.split()):
            region, zone = pair.split("=")
            rows.append([provider, region, zone, f"{provider} list of regions", "2026", "public-fact"])
    return """# table: cloud_region
# version: 2026.11
# built-by: tools/build_data.py
# note: zone is an ISO 3166-1 alpha-3 country, or an ISO 3166-2 state of the USA; isolated partitions are left out
""", ["provider", "region", "zone", "source", "year", "licence"], rows


def models(work):
    wheel = fetch("pip", "ecologits", ECOLOGITS, work)
    known = {(m["provider"], m["name"]): m for m in json.loads(wheel["ecologits/data/models.json"])["models"]}
    rows = []
    for provider, names in ECOLOGITS_MODELS.items():
        for pair in names.split():
            theirs, _, ours = pair.partition("=")
            model = known[provider, theirs]
            parameters = model["architecture"]["parameters"]
            total, active = parameters, parameters
            if isinstance(parameters, dict) and "total" in parameters:
                total, active = parameters["total"], parameters["active"]
            span = lambda value: (value["min"], value["max"]) if isinstance(value, dict) else (value, value)
            deployment = model.get("deployment") or {}
            guessed = "model-arch-not-released" in (model.get("warnings") or [])
            owner = theirs.split("/")[0] if "/" in theirs else PROVIDER_NAMES.get(provider, provider)
            owner = {"meta-llama": "meta", "mistralai": "mistral"}.get(owner, owner)
            rows.append([
                pattern(ours or theirs), owner, *map(number, (*span(total), *span(active))),
                *(number(deployment[k]) if deployment.get(k) else "" for k in ("tps", "ttft")),
                "guessed" if guessed else "published",
                f"ecologits {ECOLOGITS}; {model['sources'][0]}", "2026", "figures of an MPL-2.0 table",
            ])
    for name, owner, total, active, card in CARD_MODELS:
        rows.append([pattern(name), owner, *map(number, (total, total, active, active)), "", "", "published", card, "2026",
                     "public-fact"])
    rows += [[alias, *row[1:]] for alias, of in (("deepseek-chat", "deepseek-v3"), ("deepseek-reasoner", "deepseek-r1"))
             for row in rows if row[0] == of]
    return f"""# table: models
# version: 2026.11
# built-by: tools/build_data.py from PyPI ecologits {ECOLOGITS} and model cards
# note: parameters in billions; `guessed` where the maker has not released them; tps and ttft as served by the maker
""", ["pattern", "owner", "total_min_b", "total_max_b", "active_min_b", "active_max_b", "tps", "ttft_s", "parameters",
      "source", "year", "licence"], sorted(rows)


def pattern(name):
    """The normal form of a model's name; src/inference/model_name.rs does the same."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main():
    check = "--check" in sys.argv[1:]
    changed = False
    with tempfile.TemporaryDirectory() as work:
        for name, build in (("grid_country", grid_country), ("cloud_region", cloud_region), ("models", models)):
            head, columns, rows = build(work)
            for row in rows:
                assert len(row) == len(columns) and not any("," in field for field in row), row
            text = head + "\n".join(",".join(row) for row in [columns, *rows]) + "\n"
            path = DATA / f"{name}.csv"
            if not path.exists() or path.read_text() != text:
                changed = True
                print(f"{name}: {len(rows)} rows, {'differs' if check else 'written'}")
                if not check:
                    path.write_text(text)
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
