"""The script by Anthropic's own SDK."""

from anthropic import Anthropic

from telemetry import PROVIDER, fails, flush

MODEL = "claude-sonnet-4-5"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "The weather of a city.", "input_schema": SCHEMA}
CACHED = [{"type": "text", "text": "The long manual.", "cache_control": {"type": "ephemeral"}}]
THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def play(**options: object) -> None:
    """All steps. `options` are more of the client's."""
    anthropic = Anthropic(base_url=PROVIDER, api_key="test", max_retries=0, **options)

    def ask(text: str, **more: object) -> object:
        messages = [{"role": "user", "content": text}]
        return anthropic.messages.create(model=MODEL, max_tokens=2048, messages=messages, **more)

    def stream(text: str, **more: object) -> None:
        for _ in ask(text, stream=True, **more):
            pass
        flush()

    ask("Say hello.")
    flush()
    stream("Count to three.")
    with anthropic.messages.stream(
        model=MODEL, max_tokens=2048, messages=[{"role": "user", "content": "Count to three."}]
    ) as helper:
        helper.get_final_message()
    flush()
    asked = ask("What is the weather in Paris?", tools=[TOOL])
    (use,) = asked.content
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "Rain."}
    messages = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": [use.model_dump(exclude_none=True)]},
        {"role": "user", "content": [result]},
    ]
    anthropic.messages.create(model=MODEL, max_tokens=2048, messages=messages, tools=[TOOL])
    flush()
    stream("What is the weather in Paris?", tools=[TOOL])
    ask("Sum it up.", system=CACHED)
    flush()
    stream("Sum it up.", system=CACHED)
    ask("Think about prime numbers.", **THINKS)
    flush()
    fails(lambda: ask("Throttle this."))
    flush()
