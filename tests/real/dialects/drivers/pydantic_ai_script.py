"""The script by Pydantic AI: an agent on the models of three providers."""

import asyncio

import boto3
from pydantic_ai import Agent, Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from telemetry import PROVIDER, flush


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}."


def play() -> None:
    """All steps with each model."""
    Agent.instrument_all()
    asyncio.run(_play_all())


async def _play_all() -> None:
    openai = OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{PROVIDER}/v1", api_key="test", max_retries=0))
    client = AsyncAnthropic(base_url=PROVIDER, api_key="test", max_retries=0)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    bedrock = BedrockProvider(bedrock_client=boto3.client("bedrock-runtime", endpoint_url=PROVIDER, **keys))
    for model in (
        OpenAIChatModel("gpt-4o-mini", provider=openai),
        OpenAIResponsesModel("gpt-5-mini", provider=openai),
        AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(anthropic_client=client)),
        BedrockConverseModel("us.anthropic.claude-sonnet-4-5-20250929-v1:0", provider=bedrock),
    ):
        await _play(model)
    embedder = Embedder(OpenAIEmbeddingModel("text-embedding-3-small", provider=openai), instrument=True)
    await embedder.embed_query("A line to embed.")
    flush()


async def _play(model: object) -> None:
    agent = Agent(model, tools=[get_weather], name="forecaster", retries=0)
    await agent.run("Say hello.")
    flush()
    async with agent.run_stream("Count to three.") as stream:
        async for _ in stream.stream_text():
            pass
    flush()
    for text in ("What is the weather in Paris?", "Sum up the long manual.", "Think about prime numbers."):
        await agent.run(text)
        flush()
    try:
        await agent.run("Refuse this.")
    except ModelHTTPError:
        flush()
    else:
        raise AssertionError("the call that must fail did not")
