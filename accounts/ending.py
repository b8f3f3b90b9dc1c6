"""The end of a stream that is cut because there is no more money. Pure.

It ends as if it had reached a limit of tokens, which every client understands; a comment says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.requests.endpoints import CHAT, COMPLETION, MESSAGES
from utils.sse import Event, events_of

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint

Json = dict[str, Any]
_DONE = b"data: [DONE]\n\n"
_COMMENT = b": the balance is used up\n\n"
_SHARED = ("id", "object", "created", "model", "system_fingerprint")


def ending(
    endpoint: Endpoint,
    path: str,
    first: bytes,
    tail: bytes,
    completion: int,
    usage: Json | None = None,
) -> bytes:
    """Return the end of a stream that began with ``first`` and came to ``tail``.

    ``completion`` are the tokens of the answer; ``usage`` is what a chat or a text completion tells
    of it, where the client wants that.
    """
    if endpoint is MESSAGES:
        return _COMMENT + _of_messages(tail, completion)
    if endpoint is COMPLETION and not path.startswith("/v1/"):
        last = {"content": "", "stop": True, "stop_type": "limit", "truncated": False}
        return _COMMENT + Event.of(last).raw
    shared = _shared(first)
    choice: Json = {"index": 0, "finish_reason": "length"}
    if endpoint is CHAT:
        choice["delta"] = {}
    elif endpoint is COMPLETION:
        choice |= {"text": "", "logprobs": None}
    else:
        return _COMMENT
    end = Event.of({**shared, "choices": [choice]}).raw
    if usage is not None:
        end += Event.of({**shared, "choices": [], "usage": usage}).raw
    return _COMMENT + end + _DONE


def _shared(first: bytes) -> Json:
    for event in events_of(first):
        data = event.json()
        if data is not None and "choices" in data:
            return {name: data[name] for name in _SHARED if name in data}
    return {}


def _of_messages(tail: bytes, completion: int) -> bytes:
    last = b""
    block = None
    for event in events_of(tail):
        data = event.json()
        if data is not None and str(data.get("type", "")).startswith("content_block_"):
            block = None if data["type"] == "content_block_stop" else data.get("index", 0)
    if block is not None:
        last = Event.of({"type": "content_block_stop", "index": block}, named=True).raw
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {"output_tokens": completion},
    }
    last += Event.of(delta, named=True).raw
    return last + Event.of({"type": "message_stop"}, named=True).raw
