"""What a stream of an engine lacks at its beginning and at its end. Pure.

An engine that begins an answer with half a character sends its first event without what must come
before it. Only the beginning and the last bytes are looked at: between them, nothing is touched.
Most streams lack nothing; inference/relay.py sees that at a glance, and asks here about the others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from models.requests.endpoints import CHAT, COMPLETION, MESSAGES
from utils.sse import Event, events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.requests.endpoints import Endpoint

Json = dict[str, Any]
# A beginning that is longer than this is passed on as it is.
_LONGEST = 64 * 1024
_BLANK = b"\n\n"
_DONE = b"data: [DONE]\n\n"
_DELTA = b'"message_delta"'
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_STOPPED = re.compile(rb'"stop"\s*:\s*true')
# The fields that all chunks of a chat share.
_SHARED = ("id", "object", "created", "model", "system_fingerprint")
_BLOCKS: dict[str, Json] = {
    "text_delta": {"type": "text", "text": ""},
    "thinking_delta": {"type": "thinking", "thinking": "", "signature": ""},
}


class Answer(NamedTuple):
    """What the gateway knows of an answer: its id, its model, and the tokens of the prompt."""

    id: str
    model: str
    prompt: int


def missing_beginning(endpoint: Endpoint, first: bytes, answer: Answer) -> bytes | None:
    """Return the events that a stream which begins with ``first`` lacks; b"" if it lacks none.

    None: it cannot be told before more of the stream has come.
    """
    find = _BEGINNINGS.get(endpoint)
    if find is None:
        return b""
    for event in _whole(first):
        if (data := event.json()) is None:
            if event.raw == _DONE:
                return b""
            continue
        if "error" in data:
            return b""
        if (missing := find(data, answer)) is not None:
            return missing
    return None if len(first) < _LONGEST else b""


def missing_end(endpoint: Endpoint, tail: bytes) -> bytes | None:
    """Return what a stream lacks that has ended with ``tail``; None if it lacks too much."""
    if endpoint not in _ENDS:
        return b""
    text = tail.replace(b"\r\n", b"\n").rstrip(b"\n")
    last = text[text.rfind(_BLANK) + 1 :].lstrip(b"\n")
    if last.startswith((b'data: {"error"', b"event: error", b"error:")):
        return b""
    separator = b"" if tail.endswith((_BLANK, b"\r\n\r\n")) or not tail else _BLANK
    if endpoint is MESSAGES:
        if b'"message_stop"' in last:
            return b""
        finished, end = _DELTA in last, Event.of({"type": "message_stop"}, named=True).raw
    else:
        # llama-server's own form of a completion ends with a field.
        if last.endswith(b"[DONE]") or (endpoint is COMPLETION and _STOPPED.search(last)):
            return b""
        finished, end = _FINISHED.search(text) is not None, _DONE
    return separator + end if finished else None


def _whole(data: bytes) -> Iterator[Event]:
    text = data.replace(b"\r\n", b"\n")
    return events_of(text[: text.rfind(_BLANK) + len(_BLANK)] if _BLANK in text else b"")


def _chat(data: Json, _answer: Answer) -> bytes | None:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    delta = choices[0].get("delta")
    if not isinstance(delta, dict) or delta.get("role"):
        return b""
    begun = {"role": "assistant", "content": ""}
    choice = {"index": choices[0].get("index", 0), "delta": begun, "finish_reason": None}
    shared = {name: data[name] for name in _SHARED if name in data}
    return Event.of({**shared, "choices": [choice]}).raw


def _messages(data: Json, answer: Answer) -> bytes | None:
    kind = data.get("type")
    if kind == "ping":
        return None
    if kind not in ("content_block_start", "content_block_delta", "message_delta"):
        return b""
    message: Json = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": answer.model,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": answer.prompt, "output_tokens": 0},
    }
    missing = Event.of({"type": "message_start", "message": message}, named=True).raw
    if kind == "content_block_delta":
        delta = data.get("delta")
        block = _BLOCKS.get(delta.get("type", "")) if isinstance(delta, dict) else None
        begun = {"type": "content_block_start", "index": data.get("index", 0)}
        begun["content_block"] = block or _BLOCKS["text_delta"]
        missing += Event.of(begun, named=True).raw
    return missing


_BEGINNINGS: dict[Endpoint, Callable[[Json, Answer], bytes | None]] = {
    CHAT: _chat,
    MESSAGES: _messages,
}
_ENDS = (CHAT, COMPLETION, MESSAGES)
