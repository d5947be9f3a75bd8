"""What a call asks and what it is answered, whatever the API."""

import json
from dataclasses import dataclass

TEXT = "One, two, three."
THOUGHT = "Two is the first."
ARGUMENTS = {"city": "Paris"}

Reply = tuple[int, str, dict[str, str], bytes]


@dataclass(frozen=True)
class Usage:
    """Tokens. `input` includes those of the cache, and `output` those of reasoning."""

    input: int
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def fresh(self) -> int:
        """The input that has nothing to do with the cache."""
        return self.input - self.cache_read - self.cache_write


@dataclass(frozen=True)
class Answer:
    """A call that succeeds."""

    step: str
    identity: str
    usage: Usage
    tool: str | None = None
    thinks: bool = False


@dataclass(frozen=True)
class Refusal:
    """A call that fails."""

    step: str
    status: int


@dataclass(frozen=True)
class Call:
    """A request, understood as one of an API. `ids` and `finishes` are how the API forms its response's id and why it
    ended: with a text, with a call of a tool."""

    api: str
    model: str
    response_model: str
    streaming: bool
    body: dict
    ids: str = "{}"
    finishes: tuple[str, str] = ("stop", "tool_calls")
    embeds: bool = False

    def response_id(self, answer: Answer) -> str:
        """The id of the response."""
        return self.ids.format(answer.identity)

    def finish(self, answer: Answer) -> str:
        """Why the answer ends."""
        return self.finishes[answer.tool is not None]


def as_json(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def as_events(events: list[dict], named: bool) -> bytes:
    """Server-sent events, with or without their type as their name."""
    return b"".join(
        (f"event: {each['type']}\n".encode() if named else b"") + b"data: " + as_json(each) + b"\n\n" for each in events
    )


def pieces(text: str) -> list[str]:
    """A text in two parts, as streams bring it."""
    return [text[: len(text) // 2], text[len(text) // 2 :]]
