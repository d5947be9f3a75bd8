#!/usr/bin/env python3
"""Writes the test vectors in ../data/vectors: what two public Python packages answer to the questions below.

    python3 -m venv work && work/bin/pip install ecologits==0.11.3 genai-prices==0.2.1
    work/bin/python build_vectors.py

Run it again, and look at what changed, when the formulas or the crate `genai-prices` move to another version.
"""

import math
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from ecologits.impacts.llm import compute_llm_impacts_dag
from ecologits.model_repository import models as ecologits_models
from ecologits.tracers.utils import PROVIDER_CONFIG_MAP, llm_impacts
from genai_prices import Usage, calc_price

VECTORS = Path(__file__).resolve().parent.parent / "data" / "vectors"

# provider as gen_ai.provider.name has it, the same in genai-prices, model, time, input (all of it), read from a
# cache, written to a cache, output; then, where there is any, service tier, written for an hour, reasoning
PRICES = [
    ("anthropic", "anthropic", "claude-sonnet-4-5-20250929", "2026-09-01", 12345, 10000, 1200, 777),
    ("anthropic", "anthropic", "claude-haiku-4-5", "2026-09-01", 333, 0, 0, 41),
    ("anthropic", "anthropic", "claude-sonnet-4-5", "2026-09-01", 250001, 0, 0, 1000),
    ("openai", "openai", "gpt-4o-mini", "2026-09-01", 1001, 512, 0, 99),
    ("openai", "openai", "gpt-4o", "2024-06-01", 1000, 0, 0, 1000),
    ("openai", "openai", "gpt-4o", "2026-09-01", 1000, 0, 0, 1000),
    ("openai", "openai", "gpt-5", "2026-09-01", 100003, 90001, 0, 2049),
    ("gcp.gemini", "google", "models/gemini-2.5-flash", "2026-09-01", 5003, 1024, 0, 3001),
    ("gcp.vertex_ai", "google", "gemini-2.5-pro", "2026-09-01", 210007, 0, 0, 513),
    ("aws.bedrock", "aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-09-01", 25040, 25037, 0, 13),
    ("aws.bedrock", "aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-09-01", 25040, 25037, 0, 13),
    ("aws.bedrock", "aws", "amazon.nova-lite-v1:0", "2026-09-01", 999, 0, 0, 998),
    ("mistral_ai", "mistral", "mistral-large-latest", "2026-09-01", 1234, 0, 0, 5678),
    ("cohere", "cohere", "command-r-08-2024", "2026-09-01", 47, 0, 0, 11),
    ("azure.ai.openai", "azure", "gpt-4o", "2026-09-01", 7, 0, 0, 1),
    ("deepseek", "deepseek", "deepseek-chat", "2026-09-01", 1000, 64, 0, 333),
    ("groq", "groq", "llama-3.3-70b-versatile", "2026-09-01", 1000, 0, 0, 333),
    ("x_ai", "x-ai", "grok-4-0709", "2026-09-01", 1000, 0, 0, 333),
    # Caches written for five minutes and for an hour, below and above the length at which prices rise.
    ("anthropic", "anthropic", "claude-sonnet-4-5", "2026-09-01", 50000, 20000, 9000, 800, "", 4000),
    ("anthropic", "anthropic", "claude-sonnet-4-5", "2026-09-01", 200001, 100000, 50000, 800, "", 50000),
    ("anthropic", "anthropic", "claude-sonnet-4-5", "2026-09-01", 200000, 100000, 50000, 800, "", 1),
    ("aws.bedrock", "aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-09-01", 9999, 0, 9998, 7, "", 9998),
    ("aws.bedrock", "aws", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "2026-09-01", 40000, 30000, 5000, 250, "", 5000),
    ("openai", "openai", "gpt-4o", "2026-09-01", 1000, 500, 300, 10, "", 100),
    # Tiers and batches, and the list price on the day before they were listed.
    ("openai", "openai", "gpt-5", "2026-10-24", 100003, 90001, 0, 2049, "flex"),
    ("openai", "openai", "gpt-5", "2026-10-24", 100003, 90001, 0, 2049, "priority"),
    ("openai", "openai", "gpt-5", "2026-10-24", 100003, 90001, 0, 2049, "batch"),
    ("openai", "openai", "gpt-5", "2026-10-24", 100003, 90001, 0, 2049, "default"),
    ("openai", "openai", "gpt-5.4", "2026-10-24", 272000, 1000, 0, 99, "flex"),
    ("openai", "openai", "gpt-5.4", "2026-10-24", 272001, 1000, 0, 99, "flex"),
    ("anthropic", "anthropic", "claude-haiku-4-5", "2026-10-24", 7000, 3000, 2000, 450, "batch", 1500),
    ("anthropic", "anthropic", "claude-haiku-4-5", "2026-10-13", 7000, 3000, 2000, 450, "", 1500),
    ("gcp.gemini", "google", "gemini-2.5-flash", "2026-10-24", 5003, 1024, 0, 3001, "batch"),
    ("mistral_ai", "mistral", "mistral-small-2603", "2026-10-24", 1234, 0, 0, 5678, "batch"),
    # Prices that were others before, and prices that depend on the hour at Greenwich.
    ("openai", "openai", "o3", "2025-06-09", 4000, 1000, 0, 500),
    ("openai", "openai", "o3", "2025-06-10", 4000, 1000, 0, 500),
    ("deepseek", "deepseek", "deepseek-chat", "2025-07-31T00:29:59", 1000000, 64, 0, 333),
    ("deepseek", "deepseek", "deepseek-chat", "2025-07-31T00:30:00", 1000000, 64, 0, 333),
    ("deepseek", "deepseek", "deepseek-chat", "2025-07-31T16:30:00", 1000000, 64, 0, 333),
    # Reasoning with a price of its own, and as part of the output.
    ("perplexity", "perplexity", "sonar-deep-research", "2026-09-01", 1000, 0, 0, 9000, "", 0, 7000),
    ("openai", "openai", "gpt-5", "2026-09-01", 1000, 0, 0, 9000, "", 0, 7000),
]

# active and total parameters, output tokens, latency, tokens a second, time to the first token
POINTS = [
    (8.03, 8.03, 1000, math.inf, None, None),
    (70.55, 70.55, 1000, math.inf, None, None),
    (405.85, 405.85, 1000, math.inf, None, None),
    (41, 675, 400, math.inf, 59.2, 0.63),
    (5.1, 117, 300, 2.5, None, None),
    (33.33, 33.33, 1, math.inf, None, None),
    (33.34, 33.34, 1, math.inf, None, None),
    (200, 2000, 12345, 60.0, 91.8, 2.67),
    (10, 10, 0, math.inf, 79, 0.5),
]

# Every name of these providers that EcoLogits has, its second names included.
EVERY_NAME_OF = ["anthropic", "cohere", "google_genai", "mistralai", "openai"]

# provider and model as EcoLogits has them, model as a call names it, output tokens, latency
MODELS = [
    ("anthropic", "claude-sonnet-4-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 400, math.inf),
    ("anthropic", "claude-opus-4-5", "claude-opus-4-5-20251101", 1000, math.inf),
    ("anthropic", "claude-haiku-4-5", "anthropic/claude-haiku-4.5", 400, 3.0),
    ("openai", "gpt-4o", "gpt-4o-2024-12-24", 0, math.inf),
    ("openai", "gpt-4o-mini", "openai/gpt-4o-mini", 400, math.inf),
    ("openai", "gpt-5", "gpt-5-2025-08-07", 400, math.inf),
    ("google_genai", "gemini-2.5-flash", "models/gemini-2.5-flash", 400, math.inf),
    ("google_genai", "gemini-2.5-pro", "gemini-2.5-pro", 250, math.inf),
    ("mistralai", "mistral-large-2512", "mistral-large-2512", 400, math.inf),
    ("huggingface_hub", "meta-llama/Meta-Llama-3.1-8B-Instruct", "meta.llama3-1-8b-instruct-v1:0", 400, math.inf),
    ("huggingface_hub", "openai/gpt-oss-120b", "openai.gpt-oss-120b-1:0", 400, math.inf),
]


def text(value):
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def write(name, package, columns, rows):
    head = f"# table: {name}\n# version: {package} {version(package)}\n# built-by: tools/build_vectors.py\n"
    (VECTORS / f"{name}.csv").write_text(head + "\n".join([",".join(columns), *(",".join(map(text, r)) for r in rows)]) + "\n")


def prices():
    for provider, theirs, model, day, tokens, read, write_, output, *rest in PRICES:
        tier, hour, reasoning = [*rest, *("", 0, 0)[len(rest):]]
        usage = Usage(input_tokens=tokens, cache_read_tokens=read, cache_write_tokens=write_, cache_write_1h_tokens=hour,
                      output_tokens=output, output_reasoning_tokens=reasoning)
        when = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        context = {"processing": tier} if tier == "batch" else {"service_tier": tier} if tier else None
        price = calc_price(usage, model_ref=model.removeprefix("models/"), provider_id=theirs,
                           genai_request_timestamp=when, price_context=context)
        nano = int((price.total_price * 10**9).to_integral_value(rounding="ROUND_HALF_UP"))
        yield provider, model, tier, int(when.timestamp()), tokens, read, write_, hour, output, reasoning, nano


def points():
    for active, total, output, latency, tps, ttft in POINTS:
        # The mix and the PUE do not enter what is asked for.
        all_of_it = compute_llm_impacts_dag(
            model_active_parameter_count=active, model_total_parameter_count=total, output_token_count=output,
            request_latency=latency, tps=tps, ttft=ttft, if_electricity_mix_adpe=0, if_electricity_mix_pe=0,
            if_electricity_mix_gwp=0, if_electricity_mix_wue=0, datacenter_pue=1, datacenter_wue=0)
        wanted = ["gpu_required_count", "gpu_energy", "generation_latency", "server_energy", "request_it_energy",
                  "request_embodied_gwp"]
        yield active, total, output, latency, tps, ttft, *(all_of_it[name] for name in wanted)


def every_name():
    for model in ecologits_models.list_models():
        if model.provider.value in EVERY_NAME_OF:
            yield model.provider.value, model.name, model.name, 400, math.inf


def models():
    low, high = (lambda value: getattr(value, "min", value)), (lambda value: getattr(value, "max", value))
    for provider, theirs, name, output, latency in [*MODELS, *every_name()]:
        mine = llm_impacts(provider, theirs, output, latency, "WOR")
        pue = PROVIDER_CONFIG_MAP[provider].datacenter_pue
        # Energy is stated with the PUE in it; the lowest pairs with the lowest.
        yield (name, output, latency, low(mine.energy.value) / low(pue), high(mine.energy.value) / high(pue),
               low(mine.embodied.gwp.value), high(mine.embodied.gwp.value))


def main():
    VECTORS.mkdir(exist_ok=True)
    write("prices", "genai-prices", ["provider", "model", "tier", "unix_seconds", "input", "cache_read", "cache_write",
                                     "cache_write_1h", "output", "reasoning", "nano_usd"], prices())
    write("ecologits_points", "ecologits", ["active_b", "total_b", "output", "latency_s", "tps", "ttft_s", "gpus",
                                            "gpu_kwh", "generation_s", "server_kwh", "it_kwh", "embodied_kg"], points())
    write("ecologits_models", "ecologits", ["model", "output", "latency_s", "it_low_kwh", "it_high_kwh", "embodied_low_kg",
                                            "embodied_high_kg"], models())


if __name__ == "__main__":
    main()
