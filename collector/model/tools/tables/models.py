"""Parameters of language models, from PyPI ecologits and model cards."""

import json
import re

from .packages import fetch, number

ECOLOGITS = "0.11.3"

# Providers of which every name is taken, under whatever it is called, and with EcoLogits' own second names: what an API
# answers with is dated, and EcoLogits has another speed for another date.
WHOLE = ["anthropic", "cohere", "google_genai", "mistralai", "openai"]

# Open weights taken from EcoLogits, by its names; `=` gives the name that calls carry.
OPEN_WEIGHTS = """openai/gpt-oss-120b=gpt-oss-120b openai/gpt-oss-20b=gpt-oss-20b
    meta-llama/Meta-Llama-3-8B=llama-3-8b meta-llama/Meta-Llama-3-70B=llama-3-70b
    meta-llama/Meta-Llama-3.1-8B=llama-3.1-8b meta-llama/Meta-Llama-3.1-70B=llama-3.1-70b
    meta-llama/Meta-Llama-3.1-405B=llama-3.1-405b mistralai/Mistral-7B-Instruct-v0.3=mistral-7b
    mistralai/Mixtral-8x7B-v0.1=mixtral-8x7b mistralai/Mixtral-8x22B-v0.1=mixtral-8x22b
    mistralai/Mistral-Nemo-Instruct-2407=mistral-nemo google/gemma-2-9b=gemma-2-9b
    google/gemma-2-27b=gemma-2-27b"""

# Further names of one model, and the row that they share. A name without its date is given only where all dates are one
# model: `mistral-large` is none, for 2411 and 2512 have other sizes.
SECOND_NAMES = {
    "deepseek-chat": "deepseek-v3",
    "deepseek-reasoner": "deepseek-r1",
    # Previews that lost the word when they were released, and open weights without what they were tuned for.
    "gemini-3-flash": "gemini-3-flash-preview",
    "gemini-3-pro-image": "gemini-3-pro-image-preview",
    "gemini-3.1-flash-image": "gemini-3.1-flash-image-preview",
    "gemini-3.1-pro": "gemini-3.1-pro-preview",
    "gemma-4-26b-a4b": "gemma-4-26b-a4b-it",
    "gemma-4-31b": "gemma-4-31b-it",
    # Azure's names of the models in ChatGPT.
    "gpt-5-chat": "gpt-5-chat-latest",
    "gpt-5.1-chat": "gpt-5.1-chat-latest",
    "gpt-5.2-chat": "gpt-5.2-chat-latest",
    "gpt-5.3-chat": "gpt-5.3-chat-latest",
    # GPT-4 Turbo before it was called so: platform.openai.com/docs/models/gpt-4-turbo-preview.
    "gpt-4-1106-preview": "gpt-4-turbo",
    "gpt-4-0125-preview": "gpt-4-turbo",
    "magistral-medium": "magistral-medium-latest",
    "magistral-small": "magistral-small-latest",
    "ministral-3b": "ministral-3b-2512",
    "ministral-8b": "ministral-8b-2512",
    "ministral-14b": "ministral-14b-2512",
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
    data = json.loads(wheel["ecologits/data/models.json"])
    known = {(m["provider"], m["name"]): m for m in data["models"]}
    rows = {}

    def add(name, row):
        # Two spellings of one name may stand in the source, but not with two figures.
        assert rows.setdefault(pattern(name), row) == row, f"{name} would have two rows"

    for (provider, name), model in known.items():
        if provider in WHOLE:
            add(name, row_of(provider, name, model))
    for alias in data["aliases"]:
        if (provider := alias["provider"]) in WHOLE:
            add(alias["name"], row_of(provider, alias["alias"], known[provider, alias["alias"]]))
    for pair in OPEN_WEIGHTS.split():
        theirs, _, ours = pair.partition("=")
        add(ours, row_of("huggingface_hub", theirs, known["huggingface_hub", theirs]))
    for name, owner, total, active, card in CARD_MODELS:
        figures = map(number, (total, total, active, active))
        add(name, [owner, *figures, "", "", "published", card, "2026", "public-fact"])
    for second, first in SECOND_NAMES.items():
        add(second, rows[pattern(first)])
    return f"""# table: models
# version: 2026.11
# built-by: tools/build_data.py from PyPI ecologits {ECOLOGITS} and model cards
# attribution: Sizes and speeds of models from EcoLogits, GenAI Impact (github.com/genai-impact/ecologits), MPL-2.0
# note: parameters in billions; `guessed` where the maker has not released them; tps and ttft as served by the maker
""", ["pattern", "owner", "total_min_b", "total_max_b", "active_min_b", "active_max_b", "tps", "ttft_s", "parameters",
      "source", "year", "licence"], sorted([name, *row] for name, row in rows.items())


def row_of(provider, name, model):
    """The columns behind the name, of one entry of EcoLogits."""
    parameters = model["architecture"]["parameters"]
    total, active = parameters, parameters
    if isinstance(parameters, dict) and "total" in parameters:
        total, active = parameters["total"], parameters["active"]
    span = lambda value: (value["min"], value["max"]) if isinstance(value, dict) else (value, value)
    deployment = model.get("deployment") or {}
    guessed = "model-arch-not-released" in (model.get("warnings") or [])
    return [
        owner_of(provider, name), *map(number, (*span(total), *span(active))),
        *(number(deployment[k]) if deployment.get(k) else "" for k in ("tps", "ttft")),
        "guessed" if guessed else "published",
        f"ecologits {ECOLOGITS}; {model['sources'][0]}", "2026", "figures of an MPL-2.0 table",
    ]


def owner_of(provider, name):
    """Who made the model; Mistral also serves those of Z.ai."""
    if "glm-" in name:
        return "zai"
    owner = name.split("/")[0] if "/" in name else PROVIDER_NAMES.get(provider, provider)
    return {"meta-llama": "meta", "mistralai": "mistral"}.get(owner, owner)


def pattern(name):
    """The normal form of a model's name; src/inference/model_name.rs does the same."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


TABLES = {"models": models}
