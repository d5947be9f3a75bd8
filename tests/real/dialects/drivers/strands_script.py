"""The script by Strands Agents: an agent on the models of three providers."""

import boto3
from strands import Agent, tool
from strands.models.anthropic import AnthropicModel
from strands.models.bedrock import BedrockModel
from strands.models.openai import OpenAIModel

from telemetry import PROVIDER, fails, flush


@tool
def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Which.
    """
    return f"Rain in {city}."


def play() -> None:
    """All steps with each model. Strands always streams."""
    session = boto3.Session("test", "test", region_name="us-east-1")
    anthropic = {"base_url": PROVIDER, "api_key": "test", "max_retries": 0}
    openai = {"base_url": f"{PROVIDER}/v1", "api_key": "test", "max_retries": 0}
    for model in (
        BedrockModel(
            boto_session=session,
            endpoint_url=PROVIDER,
            model_id="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        BedrockModel(
            boto_session=session,
            endpoint_url=PROVIDER,
            model_id="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            streaming=False,
        ),
        AnthropicModel(client_args=anthropic, model_id="claude-sonnet-4-5", max_tokens=2048),
        OpenAIModel(client_args=openai, model_id="gpt-4o-mini"),
    ):
        _play(model)


def _play(model: object) -> None:
    def ask(text: str) -> None:
        # A new agent: it would tell what was said before.
        Agent(model=model, tools=[get_weather], name="forecaster", callback_handler=None)(text)

    for text in (
        "Say hello.",
        "What is the weather in Paris?",
        "Sum up the long manual.",
        "Think about prime numbers.",
    ):
        ask(text)
        flush()
    fails(lambda: ask("Refuse this."))
    flush()
