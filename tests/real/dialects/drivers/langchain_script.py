"""The script by LangChain: its models of three providers, and an agent of it."""

import boto3
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_aws import ChatBedrockConverse
from langchain_core.tools import tool
from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

import telemetry
from telemetry import PROVIDER, fails

BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPENAI = {"base_url": f"{PROVIDER}/v1", "api_key": "test", "max_retries": 0}


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}."


def play() -> None:
    """All steps."""
    openai = ChatOpenAI(model="gpt-4o-mini", use_responses_api=False, stream_usage=True, **OPENAI)
    anthropic = ChatAnthropic(model="claude-sonnet-4-5", base_url=PROVIDER, api_key="test", max_retries=0)
    for model in (openai, anthropic, _bedrock()):
        _chat(model)
        _agent(model)
    ChatOpenAI(model="gpt-5-mini", use_responses_api=True, **OPENAI).invoke("Think about prime numbers.")
    flush()
    # Without counting tokens itself, for which it would want a file from the network.
    OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, **OPENAI).embed_query("A line.")
    flush()


def _bedrock() -> ChatBedrockConverse:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("bedrock-runtime", endpoint_url=PROVIDER, **keys)
    return ChatBedrockConverse(model=BEDROCK, client=client, bedrock_client=boto3.client("bedrock", **keys))


def _chat(model: object) -> None:
    model.invoke("Say hello.")
    flush()
    for _ in model.stream("Count to three."):
        pass
    flush()
    model.invoke("Sum up the long manual.")
    flush()
    for _ in model.stream("Sum up the long manual."):
        pass
    flush()
    fails(lambda: model.invoke("Refuse this."))
    flush()


def _agent(model: object) -> None:
    agent = create_agent(model, tools=[get_weather], name="forecaster")
    agent.invoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})
    flush()


def flush() -> None:
    """Sends what waits. LangSmith makes its spans in a thread of its own."""
    wait_for_all_tracers()
    telemetry.flush()
