"""A server on loopback that speaks the APIs of OpenAI, Anthropic and Amazon Bedrock, and writes down what it served.

Every call is answered with token counts of its own, by its number, so that a count that is taken for another shows.
The words of the prompt choose the answer: see `STEPS`.
"""

import json
import threading
from dataclasses import asdict, dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import anthropic_api
import bedrock_api
import bodies
import openai_api
from answers import Answer, Call, Refusal, Usage

# What a prompt has to say for a step of the script; a prompt that says none of it gets a plain answer.
STEPS = {
    "weather in paris": "tool",
    "long manual": "cached",
    "prime numbers": "reasoning",
    "refuse this": "refused",
    "throttle this": "throttled",
}

# How a request carries a tool's result, by API.
RESULTS = ('"role": "tool"', '"tool_result"', '"toolresult"', '"function_call_output"')


@dataclass(frozen=True)
class Served:
    """One call as it was answered: a line of the manifest. `input` includes what was read from or written to a cache,
    and `output` includes what was spent on reasoning."""

    call: int
    step: str
    api: str
    streaming: bool
    status: int
    model: str
    response_model: str
    response_id: str
    finish: str
    tools: list[str]
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


class Provider:
    """The server and what it has served. `emitter` makes the ids of its responses unlike those of any other."""

    def __init__(self, emitter: str) -> None:
        self.served: list[Served] = []
        self._prefix = sha256(emitter.encode()).hexdigest()[:12]
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    def __enter__(self) -> "Provider":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def manifest(self) -> list[dict]:
        """All that was served, in the order of the calls."""
        with self._lock:
            return [asdict(each) for each in self.served]

    def answer(self, call: Call) -> Answer | Refusal:
        """Decides what a call gets, and writes it down."""
        with self._lock:
            number = len(self.served) + 1
            answer = _answer(call, number, f"{self._prefix}{number:04}")
            self.served.append(_line(call, number, answer))
            return answer


def _answer(call: Call, number: int, identity: str) -> Answer | Refusal:
    text = json.dumps(call.body).lower()
    step = next((step for words, step in STEPS.items() if words in text), "plain")
    if step in ("refused", "throttled"):
        return Refusal(step, 400 if step == "refused" else 429)
    # Fresh input, cache reads and cache writes are even and lie apart, and output is odd, so that none is taken for another.
    fresh = 2000 + 36 * number
    if call.embeds:
        return Answer("embedding", identity, Usage(fresh))
    calls_tool = step == "tool" and not any(each in text for each in RESULTS)
    if step == "tool" and not calls_tool:
        step = "tool answer"
    # More of a stream is fresh than cached, so that comparing the two does not tell whether the one holds the other.
    read, write = (400 + 2 * number, 600 + 2 * number) if call.streaming else (8000 + 52 * number, 5000 + 28 * number)
    if step != "cached":
        read, write = 0, 0
    reasoning = 90 + 8 * number if step == "reasoning" else 0
    usage = Usage(fresh + read + write, read, write, 201 + 10 * number + reasoning, reasoning)
    return Answer(step, identity, usage, tool="get_weather" if calls_tool else None, thinks=step == "reasoning")


def _line(call: Call, number: int, answer: Answer | Refusal) -> Served:
    refused = isinstance(answer, Refusal)
    usage = Usage(0) if refused else answer.usage
    return Served(
        call=number,
        step=answer.step,
        api=call.api,
        streaming=call.streaming,
        status=answer.status if refused else 200,
        model=call.model,
        response_model="" if refused else call.response_model,
        response_id="" if refused or call.embeds else call.response_id(answer),
        finish="" if refused or call.embeds else call.finish(answer),
        tools=[answer.tool] if not refused and answer.tool else [],
        input=usage.input,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        output=usage.output,
        reasoning=usage.reasoning,
    )


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is a few writes; it must not wait for the acknowledgement of the first.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            """Answers a call of any of the APIs."""
            body = json.loads(bodies.read(self) or b"{}")
            path = unquote(urlsplit(self.path).path)
            for api in (openai_api, anthropic_api, bedrock_api):
                call = api.call(path, body)
                if call is not None:
                    answer = provider.answer(call)
                    reply = api.refuse(call, answer) if isinstance(answer, Refusal) else api.reply(call, answer)
                    return self._send(*reply)
            return self._send(404, "application/json", {}, b'{"error": {"message": "no such API"}}')

        def _send(self, status: int, content: str, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            # A client that keeps connections cannot use them in another event loop, where agents take one for each run.
            own = {"Content-Type": content, "Content-Length": str(len(body)), "Connection": "close"}
            for name, value in (own | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler
