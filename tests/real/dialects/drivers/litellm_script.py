"""The script by LiteLLM's SDK, which traces itself where its callback is named."""

import litellm
from litellm.litellm_core_utils.thread_pool_executor import executor

from telemetry import PROVIDER, fails, flush

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "aws_region_name": "us-east-1"}
OPENAI = {"api_base": f"{PROVIDER}/v1", "api_key": "test"}
TARGETS = (
    {"model": "openai/gpt-4o-mini"} | OPENAI,
    {"model": "anthropic/claude-sonnet-4-5", "api_base": PROVIDER, "api_key": "test"},
    {"model": "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws_bedrock_runtime_endpoint": PROVIDER} | KEYS,
)


def play() -> None:
    """All steps with each provider."""
    litellm.callbacks = ["otel"]
    for target in TARGETS:
        _play(target)
    litellm.completion(messages=_user("Think about prime numbers."), **OPENAI, model="openai/gpt-5-mini", num_retries=0)
    flush()
    litellm.embedding(model="openai/text-embedding-3-small", input=["A line."], **OPENAI)
    # Its spans are made in threads of its own.
    executor.shutdown(wait=True)
    flush()


def _play(target: dict) -> None:
    def ask(messages: list, **more: object) -> object:
        return litellm.completion(messages=messages, num_retries=0, max_retries=0, max_tokens=100, **target, **more)

    def stream(text: str, **more: object) -> None:
        for _ in ask(_user(text), stream=True, stream_options={"include_usage": True}, **more):
            pass
        flush()

    tools = [{"type": "function", "function": TOOL}]
    ask(_user("Say hello."))
    flush()
    stream("Count to three.")
    message = ask(_user("What is the weather in Paris?"), tools=tools).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain."}
    ask([*_user("What is the weather in Paris?"), message.model_dump(), result], tools=tools)
    flush()
    ask(_user("Sum up the long manual."))
    flush()
    stream("Sum up the long manual.")
    fails(lambda: ask(_user("Refuse this.")))
    flush()


def _user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]
