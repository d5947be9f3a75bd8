"""Anthropic's messages."""

import json

from answers import ARGUMENTS, TEXT, THOUGHT, Answer, Call, Refusal, Reply, Usage, as_events, as_json, pieces

FINISHES = ("end_turn", "tool_use")
SNAPSHOTS = {"claude-sonnet-4-5": "claude-sonnet-4-5-20250929"}


def call(path: str, body: dict) -> Call | None:
    """The request as a call, if it is one of this API."""
    if not path.endswith("/v1/messages"):
        return None
    model = str(body.get("model", ""))
    streaming = bool(body.get("stream"))
    return Call("anthropic.messages", model, SNAPSHOTS.get(model, model), streaming, body, "msg_{}", FINISHES)


def refuse(call: Call, refusal: Refusal) -> Reply:
    """An error as the API has it."""
    kind = "rate_limit_error" if refusal.status == 429 else "invalid_request_error"
    error = {"type": "error", "error": {"type": kind, "message": "Not today."}, "request_id": "req_refused"}
    return refusal.status, "application/json", {"request-id": "req_refused"}, as_json(error)


def reply(call: Call, answer: Answer) -> Reply:
    """The answer as the API has it."""
    headers = {"request-id": f"req_{answer.identity}"}
    if call.streaming:
        return 200, "text/event-stream", headers, as_events(events(call, answer), True)
    return 200, "application/json", headers, as_json(message(call, answer))


def usage_of(usage: Usage) -> dict:
    """Usage, whose input excludes what is of the cache."""
    return {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "service_tier": "standard",
    }


def blocks(answer: Answer) -> list[dict]:
    """The content of the answer."""
    content: list[dict] = []
    if answer.thinks:
        content.append({"type": "thinking", "thinking": THOUGHT, "signature": "c2lnbmVk"})
    if answer.tool:
        content.append({"type": "tool_use", "id": f"toolu_{answer.identity}", "name": answer.tool, "input": ARGUMENTS})
    else:
        content.append({"type": "text", "text": TEXT})
    return content


def message(call: Call, answer: Answer) -> dict:
    """The whole answer."""
    return {
        "id": call.response_id(answer),
        "type": "message",
        "role": "assistant",
        "model": call.response_model,
        "content": blocks(answer),
        "stop_reason": call.finish(answer),
        "stop_sequence": None,
        "usage": usage_of(answer.usage),
    }


def events(call: Call, answer: Answer) -> list[dict]:
    """The answer as the events of its stream. The first tells of an output of one token, as the API does."""
    usage = usage_of(answer.usage)
    begun = {key: value for key, value in usage.items() if key != "output_tokens_details"} | {"output_tokens": 1}
    started = message(call, answer) | {"content": [], "stop_reason": None, "usage": begun}
    told = [{"type": "message_start", "message": started}]
    for index, block in enumerate(blocks(answer)):
        first, deltas = _block(block)
        told.append({"type": "content_block_start", "index": index, "content_block": first})
        told += [{"type": "content_block_delta", "index": index, "delta": each} for each in deltas]
        told.append({"type": "content_block_stop", "index": index})
    last = {key: value for key, value in usage.items() if key not in ("cache_creation", "service_tier")}
    delta = {"stop_reason": call.finish(answer), "stop_sequence": None}
    return [*told, {"type": "message_delta", "delta": delta, "usage": last}, {"type": "message_stop"}]


def _block(block: dict) -> tuple[dict, list[dict]]:
    match block["type"]:
        case "text":
            return block | {"text": ""}, [{"type": "text_delta", "text": each} for each in pieces(block["text"])]
        case "thinking":
            signed = {"type": "signature_delta", "signature": block["signature"]}
            thought = {"type": "thinking_delta", "thinking": block["thinking"]}
            return block | {"thinking": "", "signature": ""}, [thought, signed]
    parts = pieces(json.dumps(block["input"]))
    return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": each} for each in parts]
