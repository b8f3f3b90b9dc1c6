"""Write an answer of Anthropic's Messages API: whole, or as its events. Pure.

A stream is one message: it begins, its blocks begin and end one after another, its reason and its
counts follow, it ends. It begins with the first piece of the answer, because engines count the
prompt no earlier.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from server.codecs.deltas import Counted, Finished, Reasoning, Refusal, Text, ToolCall
from server.codecs.messages.blocks import sealed
from server.dialects import ANTHROPIC
from utils.errors import EngineRefused
from utils.sse import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from server.codecs.deltas import Delta, Json
    from utils.errors import GatewayError

_REASONS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_PING = Event.of({"type": "ping"}, named=True).raw


class Identity(NamedTuple):
    """What a message has from its beginning."""

    id: str
    model: str


class _Block:
    """A block of the answer: what it begins with, and the pieces that follow."""

    def __init__(self, begin: Json, number: int = -1) -> None:
        self.begin = begin
        self.kind: str = begin["type"]
        # Of a call of a tool.
        self.number = number
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class MessagesEncoder:
    """Encodes one message.

    ``expected`` returns the prompt's tokens as the gateway knows them, for engines that count them
    at the end alone. ``stops`` are the sequences that the client named, and ``begun`` is the answer
    as the client has begun it, which engines may repeat. With ``omitted`` the client gets no
    thoughts, but a signature that holds them.
    """

    content_type = "text/event-stream"

    def __init__(
        self,
        identity: Identity,
        expected: Callable[[], int],
        *,
        stops: Sequence[str] = (),
        begun: str = "",
        omitted: bool = False,
    ) -> None:
        self._identity = identity
        self._expected = expected
        self._stops = stops
        self._omitted = omitted
        # What an engine may repeat, and what it has repeated so far.
        self._expected_begin, self._repeated = begun, ""
        self._blocks: list[_Block] = []
        self._open: _Block | None = None
        self._begun = False
        self._reason, self._stopped_by = "", ""
        self._prompt: int | None = None
        self._cached = self._written = 0
        self._thinking: int | None = None
        self._cost: float | None = None

    # -- a stream --------------------------------------------------------------------

    def begin(self) -> bytes:
        """Return nothing: the message begins with the first piece of the answer."""
        return b""

    def idle(self) -> bytes:
        """Return an event for a client that waits."""
        return _PING

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        """Note what the engine says; return its events.

        EngineRefused if it goes on with a call of a tool after the next has begun.
        """
        deltas = list(deltas)
        for delta in deltas:
            if isinstance(delta, Counted):
                self._count(delta)
        return b"".join(map(self._said, deltas))

    def end(self) -> bytes:
        """Return the end of the message."""
        events = self._text(self._not_repeated())
        if not self._blocks:
            events += self._opened(_text_block())
        events += self._close()
        delta = {"stop_reason": self._stop_reason, "stop_sequence": self._stopped_by or None}
        told = {"type": "message_delta", "delta": delta, "usage": self._usage()}
        return events + _event(told) + _event({"type": "message_stop"})

    def fail(self, error: GatewayError) -> bytes:
        """Return the event that ends the stream by a fault."""
        return ANTHROPIC.event(ANTHROPIC.body(error))

    # -- a whole answer --------------------------------------------------------------

    def whole(self) -> bytes:
        """Return the message; EngineRefused if the arguments of a call are no JSON object."""
        self._text(self._not_repeated())
        cut = self._stop_reason == "max_tokens"
        content = []
        for block in self._blocks or [_text_block()]:
            told = self._told(block)
            if told is None:
                if cut and block is self._blocks[-1]:
                    break
                name = block.begin["name"]
                raise EngineRefused(
                    f"The model calls the tool '{name}' with arguments that are no JSON object."
                )
            content.append(told)
        message = self._message(self._stop_reason, self._stopped_by or None)
        return orjson.dumps({**message, "content": content, "usage": self._usage()})

    # -- what the engine says --------------------------------------------------------

    def _said(self, delta: Delta) -> bytes:
        match delta:
            case Text() | Refusal() if delta.text:
                return self._text(self._new(delta.text))
            case Reasoning() if delta.text:
                return self._add(
                    "thinking", _thinking_block, "thinking_delta", "thinking", delta.text
                )
            case ToolCall():
                return self._called(delta)
            case Finished():
                self._reason = delta.reason
                # Templates have sequences of their own.
                self._stopped_by = delta.stopped_by if delta.stopped_by in self._stops else ""
        return b""

    def _new(self, text: str) -> str:
        """Return the text without what it repeats of the client's own beginning."""
        begun = self._expected_begin
        if not begun:
            return text
        self._repeated += text
        if begun.startswith(self._repeated) and begun != self._repeated:
            return ""
        said = self._not_repeated()
        return said.removeprefix(begun)

    def _not_repeated(self) -> str:
        """Return text that was held back because it might be a repetition."""
        held, self._repeated, self._expected_begin = self._repeated, "", ""
        return held

    def _text(self, text: str) -> bytes:
        return self._add("text", _text_block, "text_delta", "text", text) if text else b""

    def _add(
        self, kind: str, make: Callable[[], _Block], delta: str, field: str, text: str
    ) -> bytes:
        block, events = self._open, b""
        if block is None or block.kind != kind:
            block = make()
            events = self._opened(block)
        block.pieces.append(text)
        if kind == "thinking" and self._omitted:
            return events
        return events + self._delta({"type": delta, field: text})

    def _called(self, piece: ToolCall) -> bytes:
        block, events = self._open, b""
        if block is None or block.number != piece.number:
            if any(other.number == piece.number for other in self._blocks):
                raise EngineRefused("The engine mixes the arguments of two calls of tools.")
            place = len(self._blocks)
            begin = {
                "type": "tool_use",
                "id": piece.id or f"toolu_{self._identity.id.removeprefix('msg_')}_{place}",
                "name": piece.name or "",
                "input": {},
            }
            block = _Block(begin, piece.number)
            events = self._opened(block)
        if not piece.arguments:
            return events
        block.pieces.append(piece.arguments)
        return events + self._delta({"type": "input_json_delta", "partial_json": piece.arguments})

    def _opened(self, block: _Block) -> bytes:
        events = self._close()
        if not self._begun:
            self._begun = True
            message = {**self._message(None, None), "content": [], "usage": self._usage(0)}
            events += _event({"type": "message_start", "message": message})
        self._open = block
        self._blocks.append(block)
        begun = {"type": "content_block_start", "index": len(self._blocks) - 1}
        return events + _event({**begun, "content_block": block.begin})

    def _close(self) -> bytes:
        block, self._open = self._open, None
        if block is None:
            return b""
        events = b""
        if block.kind == "thinking":
            signature = {"type": "signature_delta", "signature": self._signature(block.text)}
            events = self._delta(signature)
        return events + _event({"type": "content_block_stop", "index": len(self._blocks) - 1})

    def _delta(self, delta: Json) -> bytes:
        at = len(self._blocks) - 1
        return _event({"type": "content_block_delta", "index": at, "delta": delta})

    # -- what is told of the message -------------------------------------------------

    @property
    def _stop_reason(self) -> str:
        if self._stopped_by:
            return "stop_sequence"
        if self._reason in _REASONS:
            return _REASONS[self._reason]
        # Some engines say no more than that they have ended.
        called = any(block.kind == "tool_use" for block in self._blocks)
        return "tool_use" if called else "end_turn"

    def _message(self, reason: str | None, sequence: str | None) -> Json:
        return {
            "id": self._identity.id,
            "type": "message",
            "role": "assistant",
            "model": self._identity.model,
            "stop_reason": reason,
            "stop_sequence": sequence,
        }

    def _told(self, block: _Block) -> Json | None:
        """Return a whole block; None if it is a call whose arguments are no JSON object."""
        if block.kind == "text":
            return {"type": "text", "text": block.text}
        if block.kind == "thinking":
            thinking = "" if self._omitted else block.text
            signature = self._signature(block.text)
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        arguments = _object(block.text)
        return None if arguments is None else {**block.begin, "input": arguments}

    def _signature(self, thoughts: str) -> str:
        """Return the signature of thoughts; clients drop those that have none."""
        if self._omitted:
            return sealed(thoughts)
        return blake2b(thoughts.encode(), digest_size=16).hexdigest()

    def _count(self, counted: Counted) -> None:
        told, thinking, cost = counted
        self._prompt = self._prompt if told.prompt is None else told.prompt
        self._cached = self._cached if told.cached is None else told.cached
        self._written = self._written if told.completion is None else told.completion
        self._thinking = self._thinking if thinking is None else thinking
        self._cost = self._cost if cost is None else cost

    def _usage(self, written: int | None = None) -> Json:
        prompt = self._expected() if self._prompt is None else self._prompt
        usage: Json = {
            "input_tokens": max(0, prompt - self._cached),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": self._cached,
            "output_tokens": self._written if written is None else written,
        }
        if self._thinking is not None:
            usage["output_tokens_details"] = {"thinking_tokens": self._thinking}
        if self._cost is not None and written is None:
            usage["cost"] = self._cost
        return usage


def _text_block() -> _Block:
    return _Block({"type": "text", "text": ""})


def _thinking_block() -> _Block:
    return _Block({"type": "thinking", "thinking": "", "signature": ""})


def _object(text: str) -> Json | None:
    if not text.strip():
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _event(data: Json) -> bytes:
    return Event.of(data, named=True).raw
