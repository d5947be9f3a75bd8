"""What CodeCarbon and EcoLogits say, by their own code and their own tables. Nothing is measured or fetched."""

import logging
import math
from dataclasses import dataclass
from unittest.mock import patch

from codecarbon.core import cpu as codecarbon_cpu
from codecarbon.core.emissions import Emissions
from codecarbon.core.units import Energy, Power, Time
from codecarbon.external.geography import CloudMetadata, GeoMetadata
from codecarbon.external.hardware import CPU, MODE_CPU_LOAD
from codecarbon.external.ram import RAM
from codecarbon.input import DataSource
from ecologits.electricity_mix_repository import electricity_mixes
from ecologits.tracers.utils import PROVIDER_CONFIG_MAP, llm_impacts
from ecologits.utils.range_value import RangeValue

JOULES_PER_KWH = 3_600_000

# It warns of what the table tells: that it does not know a processor or a country.
logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
logging.getLogger("ecologits").setLevel(logging.CRITICAL)


def codecarbon_grid(country: str, region: str | None) -> float:
    """Grams for each kWh at a place on premises."""
    geo = GeoMetadata(country_iso_code=country, region=region)
    return Emissions(DataSource()).get_private_infra_emissions(Energy.from_energy(1.0), geo) * 1000


def codecarbon_google(region: str) -> float:
    """Grams for each kWh in a region of Google Cloud, the only cloud whose regions it has."""
    place = CloudMetadata(provider="gcp", region=region)
    return Emissions(DataSource()).get_cloud_emissions(Energy.from_energy(1.0), place) * 1000


def codecarbon_grams(watts: float, hours: float, pue: float, grams_per_kwh: float) -> float:
    """Its arithmetic alone, with the factors of somebody else: as its tracker joins power, time, PUE and intensity."""
    energy = Energy.from_power_and_time(power=Power.from_watts(watts), time=Time.from_seconds(hours * 3600)) * pue
    emissions = Emissions(DataSource(), force_carbon_intensity_g_co2e_kwh=grams_per_kwh)
    return emissions.get_private_infra_emissions(energy, GeoMetadata(country_iso_code="FRA")) * 1000


@dataclass(frozen=True)
class Tracked:
    """A machine as CodeCarbon meets it: what the kernel tells it of the processor, the sockets and the memory."""

    processor: str
    threads: int
    sockets: int
    memory_gib: int
    is_arm: bool = False

    def design_watts(self) -> float:
        """The design power of all sockets: of its table, else its default for each thread."""
        with (
            patch.object(codecarbon_cpu, "detect_cpu_model", lambda: self.processor),
            patch.object(codecarbon_cpu, "count_cpus", lambda: self.threads),
        ):
            return codecarbon_cpu.TDP().tdp * self.sockets

    def cpu_watts(self, load: float) -> float:
        """The processors at a load from 0 to 1, in its default mode where no counter of energy can be read."""
        tracked = CPU("", MODE_CPU_LOAD, self.processor, self.design_watts())
        tracked._cpu_load_meter = _Load(load)
        return tracked._get_power_from_cpu_load().W

    def memory_watts(self) -> float:
        """The memory, at whatever load."""
        memory = RAM()
        memory.is_arm_cpu = self.is_arm
        return memory._calculate_ram_power(self.memory_gib)


@dataclass(frozen=True)
class _Load:
    """Stands where CodeCarbon asks how busy the machine is."""

    share: float

    def percent(self) -> float:
        """Busy time in percent."""
        return self.share * 100


@dataclass(frozen=True)
class Answer:
    """A generated answer by EcoLogits. Where it gives a range, the middle."""

    # Without the facility's overhead, which its `energy` contains.
    joules: float
    embodied_grams: float
    # With its own PUE and its own grid.
    usage_grams: float
    grams_per_kwh: float
    pue_low: float
    pue_high: float
    joules_low: float
    joules_high: float

    def usage(self, pue: float, grams_per_kwh: float) -> float:
        """The carbon of its energy at another facility on another grid, in grams."""
        return self.joules / JOULES_PER_KWH * pue * grams_per_kwh


def ecologits_answer(provider: str, model: str, tokens: int) -> Answer:
    """A call whose duration nobody knows."""
    impacts = llm_impacts(provider, model, tokens, math.inf)
    assert not impacts.has_errors, impacts.errors
    place = PROVIDER_CONFIG_MAP[provider]
    pue_low, pue_high = _ends(place.datacenter_pue)
    energy_low, energy_high = _ends(impacts.energy.value)
    low, high = energy_low / pue_low * JOULES_PER_KWH, energy_high / pue_high * JOULES_PER_KWH
    return Answer(
        joules=(low + high) / 2,
        embodied_grams=sum(_ends(impacts.embodied.gwp.value)) / 2 * 1000,
        usage_grams=sum(_ends(impacts.usage.gwp.value)) / 2 * 1000,
        grams_per_kwh=ecologits_grid(place.datacenter_location),
        pue_low=pue_low,
        pue_high=pue_high,
        joules_low=low,
        joules_high=high,
    )


def ecologits_grid(country: str) -> float | None:
    """Grams for each kWh in a country, if it has it; `WOR` is the world."""
    mix = electricity_mixes.find_electricity_mix(zone=country)
    return mix.gwp * 1000 if mix else None


def _ends(value: float | RangeValue) -> tuple[float, float]:
    return (value.min, value.max) if isinstance(value, RangeValue) else (value, value)
