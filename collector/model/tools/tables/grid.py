"""Carbon intensity of grids, and where the regions of clouds stand."""

import json
import re
import sys

from .packages import fetch, number

CO2JS = "0.19.0"
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


TABLES = {"grid_country": grid_country, "cloud_region": cloud_region}
