"""Calls of language models as fixed figures, and what they must come to by sources other than wattline."""

import csv
import json
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from ecologits.impacts.llm import compute_llm_impacts_dag
from ecologits.model_repository import models
from genai_prices import Usage, calc_price
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import spans
import wattline

JOULES_PER_KWH = 3_600_000

# Calls lie this far back, so that all of them are over when they are sent.
AGO_NANOS = 120 * 10**9


@dataclass(frozen=True)
class Call:
    """One call of a remote model. `input_tokens` includes those read from and written to a cache."""

    provider: str
    asked: str
    answered: str
    address: str
    seconds: float
    input_tokens: int
    cache_read: int
    cache_write: int
    output_tokens: int


CLAUDE = ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "api.anthropic.com")
GPT = ("openai", "gpt-4o", "gpt-4o-2024-08-06", "api.openai.com")

CALLS = [
    # Long enough for the answer: the published tokens a second tell how long it was in the making.
    Call(*CLAUDE, seconds=60.0, input_tokens=12345, cache_read=8000, cache_write=1000, output_tokens=350),
    # Over before the published rate would be: the call's own duration bounds it.
    Call(*GPT, seconds=3.5, input_tokens=2048, cache_read=1024, cache_write=0, output_tokens=512),
    # Nothing from a cache, and odd numbers.
    Call(*GPT, seconds=20.25, input_tokens=777, cache_read=0, cache_write=0, output_tokens=1),
]


def attributes(call: Call, response: str) -> dict:
    """A call as a chat span has it by the semantic conventions."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.asked,
        "gen_ai.response.model": call.answered,
        "gen_ai.response.id": response,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.temperature": 0.25,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.cache_read.input_tokens": call.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": call.cache_write,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "server.address": call.address,
        "server.port": 443,
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Grüße, 世界"}]}]',
    }


def request(service: str) -> tuple[list[str], bytes]:
    """An export request with the spans of all calls, which are over, and the spans' ids."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    spans.put(resource.resource, "service.name", service)
    scope, began = resource.scope_spans.add(), time.time_ns() - AGO_NANOS
    for call in CALLS:
        number = next(spans.numbers)
        span = scope.spans.add(trace_id=number.to_bytes(16), span_id=number.to_bytes(8), name="chat", kind=3)
        span.start_time_unix_nano, span.end_time_unix_nano = began, began + round(call.seconds * 10**9)
        for key, value in attributes(call, f"{service}-{number}").items():
            spans.put(span, key, value)
    return [span.span_id.hex() for span in scope.spans], message.SerializeToString()


@dataclass(frozen=True)
class Bill:
    """What calls come to, in the books' whole numbers."""

    calls: int
    input_tokens: int
    output_tokens: int
    microjoules: int
    operational_nanograms: int
    embodied_nanograms: int
    nano_dollars: int


def bill(calls: list[Call], at: datetime) -> Bill:
    """The sum over `calls` that began `at`, each rounded to whole numbers by itself, as it is booked."""
    energy = [_energy(call) for call in calls]
    return Bill(
        calls=len(calls),
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        microjoules=sum(round(it_kwh * JOULES_PER_KWH * 10**6) for it_kwh, _ in energy),
        operational_nanograms=sum(
            round(it_kwh * _pue(call) * _grams_per_kwh(call) * 10**9)
            for call, (it_kwh, _) in zip(calls, energy, strict=True)
        ),
        embodied_nanograms=sum(round(embodied_kg * 10**12) for _, embodied_kg in energy),
        nano_dollars=sum(nano_dollars(call, at) for call in calls),
    )


def _energy(call: Call) -> tuple[float, float]:
    """IT energy in kWh and embodied carbon in kg by EcoLogits: the middle of what the range of parameters gives."""
    model = models.find_model(provider=call.provider, model_name=call.answered)
    parameters = model.architecture.parameters
    ends = [_impact(call, model, parameters, end) for end in ("min", "max")]
    return sum(each["request_it_energy"] for each in ends) / 2, sum(each["request_embodied_gwp"] for each in ends) / 2


def _impact(call: Call, model: object, parameters: object, end: str) -> dict:
    """All of EcoLogits' figures at one end of the range. Where the machines stand does not enter those asked for."""
    total, active = getattr(parameters, "total", parameters), getattr(parameters, "active", parameters)
    return compute_llm_impacts_dag(
        model_active_parameter_count=getattr(active, end, active),
        model_total_parameter_count=getattr(total, end, total),
        output_token_count=call.output_tokens,
        request_latency=call.seconds,
        tps=model.deployment.tps if model.deployment else None,
        ttft=model.deployment.ttft if model.deployment else None,
        if_electricity_mix_adpe=0,
        if_electricity_mix_pe=0,
        if_electricity_mix_gwp=0,
        if_electricity_mix_wue=0,
        datacenter_pue=1,
        datacenter_wue=0,
    )


def nano_dollars(call: Call, at: datetime) -> int:
    """The list price, by the Python package of the price table."""
    usage = Usage(
        input_tokens=call.input_tokens,
        cache_read_tokens=call.cache_read,
        cache_write_tokens=call.cache_write,
        output_tokens=call.output_tokens,
    )
    price = calc_price(usage, call.answered, provider_id=call.provider, genai_request_timestamp=at.astimezone(UTC))
    return int((price.total_price * Decimal(10**9)).to_integral_value(ROUND_HALF_UP))


def _pue(call: Call) -> float:
    return float(_provider(call)["pue"])


def _grams_per_kwh(call: Call) -> float:
    """The intensity of where the provider's machines are taken to be, as the program itself states it."""
    return _stated_intensity(_provider(call)["zone"])


@cache
def _stated_intensity(zone: str) -> float:
    """Which of its tables speaks for a place is wattline's choice; what it makes of the factor is what is tested."""
    argv = [str(wattline.binary()), "factors", "--region", zone, "--json"]
    printed = subprocess.run(argv, check=True, capture_output=True, timeout=30, text=True)
    return float(json.loads(printed.stdout)["intensity"]["g_per_kwh"])


def _provider(call: Call) -> dict[str, str]:
    return next(row for row in _rows("api_provider") if row["provider"] == call.provider)


@cache
def _rows(name: str) -> list[dict[str, str]]:
    """A factor table that wattline ships. The suite tests what is made of the factors, not the factors."""
    lines = (wattline.FACTORS / f"{name}.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
