"""Parameters of language models, from PyPI ecologits and model cards."""

import json
import re

from .packages import fetch, number

ECOLOGITS = "0.11.3"

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


TABLES = {"models": models}
