"""The script by boto3, AWS's own SDK: Converse, ConverseStream, InvokeModel and its stream."""

import json

import boto3
from botocore.config import Config

from telemetry import PROVIDER, fails, flush

MODEL, EMBEDS = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.titan-embed-text-v2:0"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SPECIFICATION = {"name": "get_weather", "description": "The weather of a city.", "inputSchema": {"json": SCHEMA}}
TOOLS = {"toolConfig": {"tools": [{"toolSpec": SPECIFICATION}]}}
CACHED = {"system": [{"text": "The long manual."}, {"cachePoint": {"type": "default"}}]}
THINKS = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}


def client() -> object:
    """A client of the local server that does not repeat a call."""
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=PROVIDER,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def play() -> None:
    """All steps."""
    bedrock = client()
    converse(bedrock)
    invoke(bedrock)


def converse(bedrock: object) -> None:
    """The steps by Converse."""

    def ask(text: str, **more: object) -> dict:
        return bedrock.converse(modelId=MODEL, messages=[_user({"text": text})], **more)

    def stream(text: str, **more: object) -> None:
        for _ in bedrock.converse_stream(modelId=MODEL, messages=[_user({"text": text})], **more)["stream"]:
            pass
        flush()

    ask("Say hello.", inferenceConfig={"maxTokens": 100, "temperature": 0.5})
    flush()
    stream("Count to three.")
    asked = ask("What is the weather in Paris?", **TOOLS)["output"]["message"]
    (block,) = asked["content"]
    result = {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "Rain."}]}
    messages = [_user({"text": "What is the weather in Paris?"}), asked, _user({"toolResult": result})]
    bedrock.converse(modelId=MODEL, messages=messages, **TOOLS)
    flush()
    stream("What is the weather in Paris?", **TOOLS)
    ask("Sum it up.", **CACHED)
    flush()
    stream("Sum it up.", **CACHED)
    ask("Think about prime numbers.", **THINKS)
    flush()
    fails(lambda: ask("Throttle this."))
    flush()


def invoke(bedrock: object) -> None:
    """The steps by InvokeModel."""

    def body(text: str) -> str:
        return json.dumps(
            {
                "anthropic_version": "bedrock-2023-05-31",
                "max_tokens": 2048,
                "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
            }
        )

    def ask(text: str) -> None:
        json.loads(bedrock.invoke_model(modelId=MODEL, body=body(text))["body"].read())
        flush()

    def stream(text: str) -> None:
        for _ in bedrock.invoke_model_with_response_stream(modelId=MODEL, body=body(text))["body"]:
            pass
        flush()

    ask("Say hello.")
    stream("Count to three.")
    ask("Sum up the long manual.")
    stream("Sum up the long manual.")
    text = json.dumps({"inputText": "A line to embed."})
    json.loads(bedrock.invoke_model(modelId=EMBEDS, body=text)["body"].read())
    flush()
    fails(lambda: ask("Refuse this."))
    flush()


def _user(block: dict) -> dict:
    return {"role": "user", "content": [block]}
