"""The script by OpenAI's own SDK."""

import json

from openai import OpenAI

from telemetry import PROVIDER, fails, flush

CHAT, REASONS, EMBEDS = "gpt-4o-mini", "gpt-5-mini", "text-embedding-3-small"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}
CHAT_TOOL = {"type": "function", "function": WEATHER}
TOOL = {"type": "function"} | WEATHER


def client() -> OpenAI:
    """A client of the local server that does not repeat a call."""
    return OpenAI(base_url=f"{PROVIDER}/v1", api_key="test", max_retries=0)


def play() -> None:
    """All steps: chat completions, responses, embeddings."""
    openai = client()
    chat(openai)
    responses(openai)
    openai.embeddings.create(model=EMBEDS, input="A line to embed.", encoding_format="float")
    flush()


def chat(openai: OpenAI) -> None:
    """The steps by chat completions."""

    def ask(text: str, model: str = CHAT, **more: object) -> object:
        return openai.chat.completions.create(model=model, messages=_user(text), **more)

    def stream(text: str, **more: object) -> None:
        for _ in ask(text, stream=True, stream_options={"include_usage": True}, **more):
            pass
        flush()

    ask("Say hello.")
    flush()
    stream("Count to three.")
    asked = _user("What is the weather in Paris?")
    message = ask("What is the weather in Paris?", tools=[CHAT_TOOL]).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain."}
    messages = [*asked, message.model_dump(exclude_none=True), result]
    openai.chat.completions.create(model=CHAT, messages=messages, tools=[CHAT_TOOL])
    flush()
    stream("What is the weather in Paris?", tools=[CHAT_TOOL])
    ask("Sum up the long manual.")
    flush()
    stream("Sum up the long manual.")
    ask("Think about prime numbers.", REASONS)
    flush()
    fails(lambda: ask("Throttle this."))
    flush()


def responses(openai: OpenAI) -> None:
    """The steps by responses."""

    def ask(text: str, model: str = CHAT, **more: object) -> object:
        return openai.responses.create(model=model, input=text, **more)

    ask("Say hello.")
    flush()
    for _ in ask("Count to three.", stream=True):
        pass
    flush()
    asked = ask("What is the weather in Paris?", tools=[TOOL])
    (call,) = asked.output
    assert json.loads(call.arguments) == {"city": "Paris"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
    turns = [*_user("What is the weather in Paris?"), call.model_dump(exclude_none=True), result]
    openai.responses.create(model=CHAT, input=turns, tools=[TOOL])
    flush()
    ask("Sum up the long manual.")
    flush()
    ask("Think about prime numbers.", REASONS)
    flush()
    fails(lambda: ask("Refuse this."))
    flush()


def _user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]
