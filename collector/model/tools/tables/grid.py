"""Carbon intensity of grids by year, and where the regions of clouds stand."""

import json
import re
import sys

from .packages import fetch, number

CO2JS = "0.19.0"
ECOLOGITS = "0.11.3"
BOTOCORE = "1.44.5"
CODECARBON = "3.3.2"
ISO3166 = "3.0.0"

# Two packages carry Ember's newest value of each country, and no year: co2.js that of the release of May 2025, EcoLogits
# (by way of Our World in Data) that of 2026. These are the newest years in the release of May 2025 (2023 where a country
# is not named here). That release and co2.js agree to the last digit for 174 of 209 countries; the others were revised
# since, by 0.4 % in the median and 15 % at most. A value of 2026 that differs from that of 2025 is taken for the next
# year's: Ember adds a year with every release, and a country without a new year keeps its value to the last digit. Of 80
# such countries 61 went the way that Electricity Maps' zones went from 2024 to 2025.
NEWEST_YEARS = {
    2022: """ABW BHS CAF COK CPV FLK FRO GLP GNB GRD GRL GUF GUM HTI JAM JOR KIR KNA LCA LKA LSO MAC MDG MRT MSR MTQ
        MWI NCL NPL PRK PSE PYF REU SPM STP SYR TCD UGA UKR""",
    2024: """ARE ARG ARM AUS AUT AZE BEL BGD BGR BIH BLR BOL BRA CAN CHE CHL CHN COL CRI CYP CZE DEU DNK DOM ECU EGY
        ESP EST FIN FRA GBR GEO GRC HRV HUN IND IRL IRN ITA JPN KAZ KEN KGZ KHM KOR KWT LTU LUX LVA MAR MDA MEX MKD
        MLT MMR MNE MNG MYS NGA NLD NOR NZL OMN PAK PER PHL POL PRI PRT QAT ROU RUS SAU SGP SLV SRB SVK SVN SWE THA
        TJK TUN TUR TWN URY USA VNM XKX ZAF WORLD""",
}
YEAR_OF = {code: year for year, codes in NEWEST_YEARS.items() for code in codes.split()}

# Grams a kilowatt-hour over the life of a plant, medians. Source: IPCC AR5 WG3, Annex III, table A.III.2; petroleum,
# which that table leaves out, is the 650 of the UK Parliamentary Office of Science and Technology (POSTnote 268).
LIFE_CYCLE = {"coal": 820, "naturalGas": 490, "petroleum": 650, "biomass": 230, "solar": 48, "hydro": 24, "nuclear": 12,
              "wind": 11, "tidal": 17, "other": 490}
# Prince Edward Island is left out: it imports most of what it consumes, and its own wind says nothing of that.
PROVINCES = {
    "alberta": "AB", "british columbia": "BC", "manitoba": "MB", "new brunswick": "NB", "newfoundland and labrador": "NL",
    "northwest territories": "NT", "nova scotia": "NS", "nunavut": "NU", "ontario": "ON", "quebec": "QC",
     "saskatchewan": "SK", "yukon": "YT",
}

# Where each region stands: country, then the state or province where one has a figure, then the Electricity Maps zone.
# AWS names come from botocore; the place is our reading of the name. us-west-2 lies between two balancing authorities;
# PacifiCorp West is taken. China's zones are the whole country, so its provinces stand alone.
AWS_PLACES = {
    "Cape Town": "ZAF::ZA", "Hong Kong": "HKG::HK", "Taipei": "TWN::TW", "Tokyo": "JPN::JP-TK", "Seoul": "KOR::KR",
    "Osaka": "JPN::JP-KN", "Mumbai": "IND::IN-WE", "Hyderabad": "IND::IN-SO", "Singapore": "SGP::SG",
    "Sydney": "AUS::AU-NSW", "Jakarta": "IDN::ID", "Melbourne": "AUS::AU-VIC", "Malaysia": "MYS::MY-WM",
    "New Zealand": "NZL::NZ", "Thailand": "THA::TH", "Canada": "CAN:CA-QC:CA-QC", "Calgary": "CAN:CA-AB:CA-AB",
    "Frankfurt": "DEU::DE", "Zurich": "CHE::CH", "Stockholm": "SWE::SE-SE3", "Milan": "ITA::IT-NO", "Spain": "ESP::ES",
    "Ireland": "IRL::IE", "London": "GBR::GB", "Paris": "FRA::FR", "Tel Aviv": "ISR::IL", "UAE": "ARE::AE",
    "Bahrain": "BHR::BH", "Mexico": "MEX::MX", "Sao Paulo": "BRA::BR-CS", "N. Virginia": "USA:US-VA:US-MIDA-PJM",
    "Ohio": "USA:US-OH:US-MIDA-PJM", "N. California": "USA:US-CA:US-CAL-CISO", "Oregon": "USA:US-OR:US-NW-PACW",
    "Beijing": "CHN:CN-BJ:", "Ningxia": "CHN:CN-NX:", "GovCloud (US-East)": "USA:US-OH:US-MIDA-PJM",
    "GovCloud (US-West)": "USA:US-OR:US-NW-PACW", "Germany": "DEU::DE",
}
# Google's utilities: MidAmerican (MISO) in Iowa, Santee Cooper in South Carolina, Northern Wasco (Bonneville) in Oregon.
GCP_PLACES = """africa-south1=ZAF::ZA asia-east1=TWN::TW asia-east2=HKG::HK asia-northeast1=JPN::JP-TK
    asia-northeast2=JPN::JP-KN asia-northeast3=KOR::KR asia-south1=IND::IN-WE asia-south2=IND::IN-NO
    asia-southeast1=SGP::SG asia-southeast2=IDN::ID asia-southeast3=THA::TH australia-southeast1=AUS::AU-NSW
    australia-southeast2=AUS::AU-VIC europe-central2=POL::PL europe-north1=FIN::FI europe-north2=SWE::SE-SE3
    europe-southwest1=ESP::ES europe-west1=BEL::BE europe-west2=GBR::GB europe-west3=DEU::DE europe-west4=NLD::NL
    europe-west6=CHE::CH europe-west8=ITA::IT-NO europe-west9=FRA::FR europe-west10=DEU::DE europe-west12=ITA::IT-NO
    me-central1=QAT::QA me-central2=SAU::SA me-west1=ISR::IL northamerica-northeast1=CAN:CA-QC:CA-QC
    northamerica-northeast2=CAN:CA-ON:CA-ON northamerica-south1=MEX::MX southamerica-east1=BRA::BR-CS
    southamerica-west1=CHL::CL-SEN us-central1=USA:US-IA:US-MIDW-MISO us-central2=USA:US-OK:US-CENT-SWPP
    us-east1=USA:US-SC:US-CAR-SC us-east2=USA:US-GA:US-SE-SOCO us-east4=USA:US-VA:US-MIDA-PJM
    us-east5=USA:US-OH:US-MIDA-PJM us-east7=USA:US-AL:US-TEN-TVA us-south1=USA:US-TX:US-TEX-ERCO
    us-west1=USA:US-OR:US-NW-BPAT us-west2=USA:US-CA:US-CAL-CISO us-west3=USA:US-UT:US-NW-PACE
    us-west4=USA:US-NV:US-NW-NEVP"""
AZURE_PLACES = """australiacentral=AUS::AU-NSW australiacentral2=AUS::AU-NSW australiaeast=AUS::AU-NSW
    australiasoutheast=AUS::AU-VIC austriaeast=AUT::AT belgiumcentral=BEL::BE brazilsouth=BRA::BR-CS
    brazilsoutheast=BRA::BR-CS canadacentral=CAN:CA-ON:CA-ON canadaeast=CAN:CA-QC:CA-QC centralindia=IND::IN-WE
    centralus=USA:US-IA:US-MIDW-MISO chilecentral=CHL::CL-SEN chinaeast=CHN:CN-SH: chinaeast2=CHN:CN-SH:
    chinaeast3=CHN:CN-JS: chinanorth=CHN:CN-BJ: chinanorth2=CHN:CN-BJ: chinanorth3=CHN:CN-HE: denmarkeast=DNK::DK-DK2
    eastasia=HKG::HK eastus=USA:US-VA:US-MIDA-PJM eastus2=USA:US-VA:US-MIDA-PJM eastus3=USA:US-GA:US-SE-SOCO
    finlandcentral=FIN::FI francecentral=FRA::FR francesouth=FRA::FR germanynorth=DEU::DE germanywestcentral=DEU::DE
    greececentral=GRC::GR indiasouthcentral=IND::IN-SO indonesiacentral=IDN::ID israelcentral=ISR::IL
    italynorth=ITA::IT-NO japaneast=JPN::JP-TK japanwest=JPN::JP-KN jioindiacentral=IND::IN-WE jioindiawest=IND::IN-WE
    koreacentral=KOR::KR koreasouth=KOR::KR malaysiawest=MYS::MY-WM mexicocentral=MEX::MX newzealandnorth=NZL::NZ
    northcentralus=USA:US-IL:US-MIDA-PJM northeurope=IRL::IE norwayeast=NOR::NO-NO1 norwaywest=NOR::NO-NO2
    polandcentral=POL::PL qatarcentral=QAT::QA southafricanorth=ZAF::ZA southafricawest=ZAF::ZA
    southcentralus=USA:US-TX:US-TEX-ERCO southeastasia=SGP::SG southindia=IND::IN-SO spaincentral=ESP::ES
    swedencentral=SWE::SE-SE3 swedensouth=SWE::SE-SE4 switzerlandnorth=CHE::CH switzerlandwest=CHE::CH
    taiwannorth=TWN::TW uaecentral=ARE::AE uaenorth=ARE::AE uksouth=GBR::GB ukwest=GBR::GB
    usdodcentral=USA:US-IA:US-MIDW-MISO usdodeast=USA:US-VA:US-MIDA-PJM usgovarizona=USA:US-AZ:US-SW-AZPS
    usgovtexas=USA:US-TX:US-TEX-ERCO usgovvirginia=USA:US-VA:US-MIDA-PJM westcentralus=USA:US-WY:US-NW-PACE
    westeurope=NLD::NL westindia=IND::IN-WE westus=USA:US-CA:US-CAL-CISO westus2=USA:US-WA:US-NW-BPAT
    westus3=USA:US-AZ:US-SW-AZPS"""


def co2js(work):
    return fetch("npm", "@tgwf/co2", CO2JS, work)


def literal(text):
    """The object that a module of co2.js assigns to `data`."""
    body = re.search(r"const data = (\{.*?\});?\s*(?:export|$|\n)", text, re.S).group(1)
    body = re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", body.replace("\\'", "'"))
    return json.loads(re.sub(r"(\d)e(\d)\b", lambda m: m.group(1) + "0" * int(m.group(2)), body))


def grid_country(work):
    earlier = literal(co2js(work)["package/dist/esm/data/average-intensities.min.js"].decode())
    mixes = json.loads(fetch("pip", "ecologits", ECOLOGITS, work)["ecologits/data/electricity_mixes.json"])
    newest = {m["name"]: m["gwp"] * 1000 for m in mixes["electricity_mixes"]}
    newest["WORLD"] = newest.pop("WOR")
    iso = fetch("pip", "iso3166", ISO3166, work)
    source = next(v for k, v in iso.items() if k.endswith("iso3166/__init__.py")).decode()
    alpha2 = {a3: a2 for a2, a3 in re.findall(r'"([A-Z]{2})",\s*"([A-Z]{3})"', source)} | {"XKX": "XK"}
    rows = []
    for code, grams in sorted(earlier.items()):
        if code != "WORLD" and (code not in alpha2 or grams <= 0):
            # Groups of countries, and one country whose few gigawatt-hours round to no emissions at all.
            print(f"grid_country: left out {code} ({grams} g/kWh)", file=sys.stderr)
            continue
        year = YEAR_OF.get(code, 2023)
        rows.append([code, alpha2.get(code, ""), number(grams), str(year), "ember", "CC-BY-4.0"])
        now = newest.get(code, grams)
        if now > 0 and abs(now - grams) > 0.02:
            rows.append([code, alpha2.get(code, ""), number(now), str(year + 1), "ember", "CC-BY-4.0"])
    return f"""# table: grid_country
# version: 2026.11
# built-by: tools/build_data.py from npm @tgwf/co2 {CO2JS} and PyPI ecologits {ECOLOGITS} (codes: PyPI iso3166 {ISO3166})
# attribution: Data: Ember (ember-energy.org), CC BY 4.0. Yearly average of what the country's plants generated.
# note: the packages state no year; rows bear the newest years in Ember's releases of May 2025 and of 2026
""", ["alpha3", "alpha2", "grams_per_kwh", "year", "source", "licence"], rows


def grid_zone_odbl(work):
    package = co2js(work)
    rows = []
    for year in range(2021, 2026):
        zones = literal(package[f"package/dist/esm/data/electricity-maps/yearly_{year}.js"].decode())
        for zone, about in zones.items():
            grams = about["carbonIntensity"]["value"]
            if grams and grams > 0:
                rows.append([zone, number(grams), str(year), "electricity-maps", "ODbL-1.0"])
    return f"""# table: grid_zone_odbl
# version: 2026.11
# built-by: tools/build_data.py from npm @tgwf/co2 {CO2JS}
# attribution: Contains data from Electricity Maps, made available under ODbL 1.0, via The Green Web Foundation CO2.js.
# note: this file is a database under the Open Database License 1.0 (opendatacommons.org/licenses/odbl/1-0), unlike the
# note: tables beside it: whoever passes it on, changed or not, keeps that licence and this attribution; figures that
# note: are computed with it are produced works and need the notice only; the feature `odbl` leaves it out of a build
# note: yearly average of what was consumed in the zone, over the life of the plants
""", ["zone", "grams_per_kwh", "year", "source", "licence"], sorted(rows, key=lambda row: (row[0], row[2]))


def grid_province(work):
    package = fetch("pip", "codecarbon", CODECARBON, work)
    place = "codecarbon/data/private_infra/2023/"
    rows = []
    for name, mix in json.loads(package[place + "canada_energy_mix.json"]).items():
        if name not in PROVINCES:
            continue
        grams = sum(mix.get(fuel, 0) * factor for fuel, factor in LIFE_CYCLE.items()) / mix["total"]
        rows.append([f"CA-{PROVINCES[name]}", f"{grams:.1f}", "2023", "province-mix", "public-fact"])
    china = json.loads(package[place + "china_provincial_emissions.json"])
    for zone, about in china["data"].items():
        rows.append([zone, number(about["emission_factor"]), str(about["year"]), "mee-china", "public-fact"])
    return f"""# table: grid_province
# version: 2026.11
# built-by: tools/build_data.py from PyPI codecarbon {CODECARBON}
# attribution: China: Ministry of Ecology and Environment, announcement 2025 No. 47. Canada: mix of generation of 2023.
# note: China as published, carbon dioxide only; Canada our sum of the mix and the medians over a plant's life of
# note: IPCC AR5 WG3 Annex III
""", ["zone", "grams_per_kwh", "year", "source", "licence"], sorted(rows)


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
            rows.append(["aws", region, *AWS_PLACES[place].split(":"), f"botocore {BOTOCORE}", "2026", "public-fact"])
    for provider, places in (("gcp", GCP_PLACES), ("azure", AZURE_PLACES)):
        for pair in sorted(places.split()):
            region, place = pair.split("=")
            rows.append([provider, region, *place.split(":"), f"{provider} list of regions", "2026", "public-fact"])
    return """# table: cloud_region
# version: 2026.11
# built-by: tools/build_data.py
# note: country is ISO 3166-1 alpha-3, state ISO 3166-2, zone as Electricity Maps names it; isolated partitions are left
# note: out; no state or zone where none is narrower than the country and has a figure
""", ["provider", "region", "country", "state", "zone", "source", "year", "licence"], rows


def water_grid_country(work):
    mixes = json.loads(fetch("pip", "ecologits", ECOLOGITS, work)["ecologits/data/electricity_mixes.json"])
    iso = {m["name"]: m for m in mixes["electricity_mixes"]}
    rows = [[name, number(m["wue"]), "2020", "wri", "public-fact"] for name, m in sorted(iso.items())
            if "electricity-mix-wue-world" not in (m["warnings"] or []) and name not in ("WOR", "EEE")]
    rows.append(["WORLD", number(iso["WOR"]["wue"]), "2020", "wri", "public-fact"])
    return f"""# table: water_grid_country
# version: 2026.11
# built-by: tools/build_data.py from PyPI ecologits {ECOLOGITS}
# attribution: World Resources Institute, Guidance for calculating water use embedded in purchased electricity (2020).
# note: litres consumed at the plants for each kilowatt-hour; hydropower's reservoirs evaporate the most
""", ["zone", "liters_per_kwh", "year", "source", "licence"], rows


TABLES = {
    "grid_country": grid_country, "grid_province": grid_province, "grid_zone_odbl": grid_zone_odbl,
    "cloud_region": cloud_region, "water_grid_country": water_grid_country,
}
