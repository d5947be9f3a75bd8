#!/usr/bin/env python3
"""Writes ../data/token_prices.txt: the price list that the crate `genai-prices` brings, as far as calls are priced by it.

    cargo metadata --locked --format-version 1 | python3 collector/model/tools/build_prices.py

The crate decodes its whole list at once, which takes 17 MB. In the table each provider and each model is a line of its
own, so that only those that a name may mean are decoded. Run this again when the crate moves to another version.
"""

import json
import sys
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "data" / "token_prices.txt"
OF_PROVIDERS = ("id", "name", "model_match", "provider_match", "fallback_model_providers")
OF_MODELS = ("id", "match", "prices", "price_variants")


def main() -> None:
    """Writes the table."""
    package = next(each for each in json.load(sys.stdin)["packages"] if each["name"] == "genai-prices")
    providers = json.loads((Path(package["manifest_path"]).parent / "data" / "prices.json").read_text())
    lines = [
        f"# version: {package['name']} {package['version']}",
        "# attribution: genai-prices, (c) Pydantic Services Inc., MIT License, https://github.com/pydantic/genai-prices",
    ]
    for provider in providers:
        # The crate wants a pattern of addresses. None is ever asked for by its address.
        lines.append(compact({key: provider[key] for key in OF_PROVIDERS if key in provider} | {"api_pattern": "-"}))
        for model in provider["models"]:
            told = "\t".join(texts(model["match"]))
            lines.append(f"\t{told}\t{compact({key: model[key] for key in OF_MODELS if key in model})}")
    TABLE.write_text("\n".join(lines) + "\n")


def texts(match: dict) -> list[str]:
    """Texts of which a name must have one in it, in small letters, to be meant by the rule; an empty one is in all."""
    ((operation, argument),) = match.items()
    if operation == "or":
        return [text for rule in argument for text in texts(rule)]
    if operation == "and":
        # Any of the rules will do: that with the longest text tells most.
        return max((texts(rule) for rule in argument), key=lambda found: min(map(len, found)))
    return [""] if operation == "regex" else [argument.lower()]


def compact(value: dict) -> str:
    """As short as JSON can be."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    main()
