"""Amazon Bedrock's Converse, ConverseStream, InvokeModel and InvokeModelWithResponseStream."""

import base64
import json
import re
import struct
from zlib import crc32

import anthropic_api
from answers import ARGUMENTS, TEXT, THOUGHT, Answer, Call, Refusal, Reply, Usage, as_json, pieces

PATH = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream|invoke|invoke-with-response-stream)$")
JSON, STREAM = "application/json", "application/vnd.amazon.eventstream"
LATENCY_MS = 7


def call(path: str, body: dict) -> Call | None:
    """The request as a call, if it is one of this API."""
    found = PATH.search(path)
    if found is None:
        return None
    model, operation = found["model"], found["operation"]
    embeds, streaming = "inputText" in body, "stream" in operation
    # Only the model's own format, here Anthropic's, tells of the model that answers and has an id.
    own = operation.startswith("invoke") and not embeds
    answers = re.sub(r"^.*anthropic\.|-v\d+:\d+$", "", model) if own else model
    ids = "msg_bdrk_{}" if own else ""
    return Call(f"bedrock.{operation}", model, answers, streaming, body, ids, anthropic_api.FINISHES, embeds)


def refuse(call: Call, refusal: Refusal) -> Reply:
    """An error as the API has it."""
    kind = "ThrottlingException" if refusal.status == 429 else "ValidationException"
    headers = {"x-amzn-errortype": kind, "x-amzn-requestid": "refused"}
    return refusal.status, JSON, headers, as_json({"message": "Not today."})


def reply(call: Call, answer: Answer) -> Reply:
    """The answer as the API has it."""
    headers = {"x-amzn-requestid": answer.identity}
    usage = answer.usage
    match call.api:
        case "bedrock.converse":
            return 200, JSON, headers, as_json(_converse(call, answer))
        case "bedrock.converse-stream":
            events = b"".join(_frame(kind, value) for kind, value in _converse_events(call, answer))
            return 200, STREAM, headers, events
        case "bedrock.invoke-with-response-stream":
            return 200, STREAM, headers | {"x-amzn-bedrock-content-type": JSON}, _invoke_events(call, answer)
    headers |= _counts(usage)
    if call.embeds:
        return 200, JSON, headers, as_json({"embedding": [0.25, -0.5], "inputTextTokenCount": usage.input})
    return 200, JSON, headers, as_json(anthropic_api.message(call, answer))


def _counts(usage: Usage) -> dict[str, str]:
    counts = {"input": usage.fresh, "output": usage.output, "cache-read-input": usage.cache_read}
    counts["cache-write-input"] = usage.cache_write
    named = {f"x-amzn-bedrock-{kind}-token-count": str(count) for kind, count in counts.items()}
    return named | {"x-amzn-bedrock-invocation-latency": str(LATENCY_MS)}


def _usage(usage: Usage) -> dict:
    return {
        "inputTokens": usage.fresh,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    }


def _content(answer: Answer) -> list[dict]:
    content: list[dict] = []
    if answer.thinks:
        content.append({"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": "c2lnbmVk"}}})
    if answer.tool:
        use = {"toolUseId": f"tooluse_{answer.identity}", "name": answer.tool, "input": ARGUMENTS}
        content.append({"toolUse": use})
    else:
        content.append({"text": TEXT})
    return content


def _converse(call: Call, answer: Answer) -> dict:
    return {
        "output": {"message": {"role": "assistant", "content": _content(answer)}},
        "stopReason": call.finish(answer),
        "usage": _usage(answer.usage),
        "metrics": {"latencyMs": LATENCY_MS},
    }


def _converse_events(call: Call, answer: Answer) -> list[tuple[str, dict]]:
    events: list[tuple[str, dict]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(_content(answer)):
        at = {"contentBlockIndex": index}
        match block:
            case {"text": text}:
                deltas = [{"text": each} for each in pieces(text)]
            case {"toolUse": use}:
                start = {"toolUse": {key: use[key] for key in ("toolUseId", "name")}}
                events.append(("contentBlockStart", {"start": start} | at))
                deltas = [{"toolUse": {"input": each}} for each in pieces(json.dumps(use["input"]))]
            case {"reasoningContent": {"reasoningText": thought}}:
                deltas = [{"reasoningContent": {key: thought[key]}} for key in ("text", "signature")]
        events += [("contentBlockDelta", {"delta": each} | at) for each in deltas]
        events.append(("contentBlockStop", at))
    events.append(("messageStop", {"stopReason": call.finish(answer)}))
    return [*events, ("metadata", {"usage": _usage(answer.usage), "metrics": {"latencyMs": LATENCY_MS}})]


def _invoke_events(call: Call, answer: Answer) -> bytes:
    events = anthropic_api.events(call, answer)
    usage = answer.usage
    events[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": usage.fresh,
        "outputTokenCount": usage.output,
        "invocationLatency": LATENCY_MS,
        "firstByteLatency": 3,
        "cacheReadInputTokenCount": usage.cache_read,
        "cacheWriteInputTokenCount": usage.cache_write,
    }
    return b"".join(_frame("chunk", {"bytes": base64.b64encode(as_json(each)).decode()}) for each in events)


def _frame(kind: str, value: dict) -> bytes:
    """A message of AWS's event stream: lengths and their checksum, headers, payload, checksum of all."""
    named = {":event-type": kind, ":content-type": JSON, ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(text)) + text.encode()
        for name, text in named.items()
    )
    payload = as_json(value)
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))
