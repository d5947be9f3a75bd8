"""OpenAI's chat completions, responses and embeddings."""

import json

from answers import ARGUMENTS, TEXT, THOUGHT, Answer, Call, Refusal, Reply, Usage, as_events, as_json, pieces

CREATED = 1_790_000_000

# The model that answers for an alias.
SNAPSHOTS = {"gpt-4o-mini": "gpt-4o-mini-2024-07-18", "gpt-5-mini": "gpt-5-mini-2025-08-07"}


def call(path: str, body: dict) -> Call | None:
    """The request as a call, if it is one of this API."""
    model = str(body.get("model", ""))
    answers, streaming = SNAPSHOTS.get(model, model), bool(body.get("stream"))
    if path.endswith("/chat/completions"):
        return Call("openai.chat", model, answers, streaming, body, "chatcmpl-{}")
    if path.endswith("/responses"):
        return Call("openai.responses", model, answers, streaming, body, "resp_{}", ("completed", "completed"))
    if path.endswith("/embeddings"):
        return Call("openai.embeddings", model, answers, False, body, embeds=True)
    return None


def refuse(call: Call, refusal: Refusal) -> Reply:
    """An error as the API has it."""
    throttled = refusal.status == 429
    kind = "rate_limit_exceeded" if throttled else "invalid_request_error"
    error = {"message": "Not today.", "type": kind, "param": None, "code": kind if throttled else None}
    return refusal.status, "application/json", {}, as_json({"error": error})


def reply(call: Call, answer: Answer) -> Reply:
    """The answer as the API has it."""
    headers = {"x-request-id": f"req_{answer.identity}"}
    if call.embeds:
        return 200, "application/json", headers, as_json(_embedding(call, answer.usage))
    if not call.streaming:
        body = _completion(call, answer) if call.api == "openai.chat" else _response(call, answer)
        return 200, "application/json", headers, as_json(body)
    if call.api == "openai.chat":
        return 200, "text/event-stream", headers, as_events(_chunks(call, answer), False) + b"data: [DONE]\n\n"
    return 200, "text/event-stream", headers, as_events(_response_events(call, answer), True)


def _embedding(call: Call, usage: Usage) -> dict:
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
        "model": call.response_model,
        "usage": {"prompt_tokens": usage.input, "total_tokens": usage.input},
    }


def _chat_usage(usage: Usage) -> dict:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _frame(call: Call, answer: Answer, kind: str) -> dict:
    return {
        "id": call.response_id(answer),
        "object": kind,
        "created": CREATED,
        "model": call.response_model,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def _tool_call(answer: Answer) -> dict:
    return {
        "id": f"call_{answer.identity}",
        "type": "function",
        "function": {"name": answer.tool, "arguments": json.dumps(ARGUMENTS)},
    }


def _completion(call: Call, answer: Answer) -> dict:
    message: dict = {"role": "assistant", "content": None if answer.tool else TEXT, "refusal": None}
    if answer.tool:
        message["tool_calls"] = [_tool_call(answer)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": call.finish(answer)}
    return _frame(call, answer, "chat.completion") | {"choices": [choice], "usage": _chat_usage(answer.usage)}


def _chunks(call: Call, answer: Answer) -> list[dict]:
    deltas: list[dict] = [{"role": "assistant", "content": None if answer.tool else ""}]
    if answer.tool:
        deltas.append({"tool_calls": [{"index": 0} | _tool_call(answer)]})
    else:
        deltas += [{"content": each} for each in pieces(TEXT)]
    ends = [None] * len(deltas) + [call.finish(answer)]
    counts = (call.body.get("stream_options") or {}).get("include_usage")
    frame = _frame(call, answer, "chat.completion.chunk") | ({"usage": None} if counts else {})
    chunks = [
        frame | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}]}
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]
    # Only who asks for it gets usage, in a last chunk without choices.
    return chunks + ([frame | {"choices": [], "usage": _chat_usage(answer.usage)}] if counts else [])


def _items(answer: Answer) -> list[dict]:
    items: list[dict] = []
    if answer.thinks:
        summary = [{"type": "summary_text", "text": THOUGHT}]
        items.append({"type": "reasoning", "id": f"rs_{answer.identity}", "summary": summary})
    if answer.tool:
        items.append(
            {
                "type": "function_call",
                "id": f"fc_{answer.identity}",
                "call_id": f"call_{answer.identity}",
                "name": answer.tool,
                "arguments": json.dumps(ARGUMENTS),
                "status": "completed",
            }
        )
    else:
        content = [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}]
        message = {"type": "message", "id": f"msg_{answer.identity}", "role": "assistant", "status": "completed"}
        items.append(message | {"content": content})
    return items


def _response(call: Call, answer: Answer, done: bool = True) -> dict:
    usage = answer.usage
    return {
        "id": call.response_id(answer),
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if done else "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": call.response_model,
        "output": _items(answer) if done else [],
        "parallel_tool_calls": True,
        "service_tier": "default",
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": call.body.get("tools", []),
        "top_p": 1.0,
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        }
        if done
        else None,
    }


def _response_events(call: Call, answer: Answer) -> list[dict]:
    events = [
        {"type": "response.created", "response": _response(call, answer, done=False)},
        {"type": "response.in_progress", "response": _response(call, answer, done=False)},
    ]
    for index, item in enumerate(_items(answer)):
        events += _item_events(index, item)
    events.append({"type": "response.completed", "response": _response(call, answer)})
    return [each | {"sequence_number": number} for number, each in enumerate(events)]


def _item_events(index: int, item: dict) -> list[dict]:
    at = {"output_index": index, "item_id": item["id"]}
    empty = {"content": [], "arguments": "", "summary": []}
    begun = item | {key: value for key, value in empty.items() if key in item}
    if item["type"] != "reasoning":
        begun["status"] = "in_progress"
    events = [{"type": "response.output_item.added", "output_index": index, "item": begun}]
    if item["type"] == "function_call":
        events += [
            {"type": "response.function_call_arguments.delta", "delta": item["arguments"]} | at,
            {"type": "response.function_call_arguments.done", "name": item["name"], "arguments": item["arguments"]}
            | at,
        ]
    if item["type"] == "message":
        (part,) = item["content"]
        at |= {"content_index": 0}
        events.append({"type": "response.content_part.added", "part": part | {"text": ""}} | at)
        events += [{"type": "response.output_text.delta", "delta": each, "logprobs": []} | at for each in pieces(TEXT)]
        events.append({"type": "response.output_text.done", "text": TEXT, "logprobs": []} | at)
        events.append({"type": "response.content_part.done", "part": part} | at)
    return [*events, {"type": "response.output_item.done", "output_index": index, "item": item}]
