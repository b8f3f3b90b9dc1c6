"""Answers of ``/v1/messages`` as Anthropic's API promises them.

Engines differ in three ways. An answer that a stop sequence has ended names it, but gives the end
of the turn as the reason. A stream begins its text before it has ended its thinking; in the API one
block ends before the next begins. A fault in a stream has another shape.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from inference.wrapped_sink import WrappedSink
from utils.sse import Event, EventBuffer, events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.call import Sink

    Fault = Callable[[int, bytes], bytes]

# The events that are looked at; all others pass.
_LOOKED_AT = re.compile(
    rb"event: (?:content_block_st|message_delta|error)|signature_delta|data: *{\"error\""
)
_FAULT = 500
_LENGTH = "content-length"


def mended(answer: Any) -> bool:  # noqa: ANN401 - decoded JSON
    """Set the reason of an answer, or of the end of a stream; return whether it was wrong."""
    if not isinstance(answer, dict):
        return False
    place = answer.get("delta", answer)
    if not isinstance(place, dict) or not isinstance(place.get("stop_sequence"), str):
        return False
    wrong = place.get("stop_reason") == "end_turn"
    if wrong:
        place["stop_reason"] = "stop_sequence"
    return wrong


class Blocks:
    """Puts the blocks of one stream in order, and mends its reason. Pure."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._open: tuple[int, str] | None = None
        self._closed: set[int] = set()

    def told(self, events: bytes) -> bytes:
        """Return whole events as the API has them."""
        if _LOOKED_AT.search(events) is None:
            return events
        return b"".join(map(self._told, events_of(events)))

    def _told(self, event: Event) -> bytes:
        data = event.json()
        if data is None or _LOOKED_AT.search(event.raw) is None:
            return event.raw
        if event.raw.startswith(b"event: error") or "error" in data:
            return self._error(data)
        return self._in_order(event, data)

    def _error(self, data: dict[str, Any]) -> bytes:
        error = data.get("error", data)
        code = error.get("code") if isinstance(error, dict) else None
        return self._fault(code if isinstance(code, int) else _FAULT, orjson.dumps(data))

    def _in_order(self, event: Event, data: dict[str, Any]) -> bytes:
        kind, index = data.get("type"), data.get("index")
        if kind == "message_delta":
            return Event.of(data, named=True).raw if mended(data) else event.raw
        if not isinstance(index, int):
            return event.raw
        if kind == "content_block_start":
            block = data.get("content_block")
            before = self._close()
            self._open = index, str(block.get("type")) if isinstance(block, dict) else ""
            return before + event.raw
        if index in self._closed:
            # Its end was told when the next block began.
            return b""
        if kind == "content_block_stop":
            self._closed.add(index)
            self._open = None
        return event.raw

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        (index, kind), self._open = self._open, None
        self._closed.add(index)
        end = Event.of({"type": "content_block_stop", "index": index}, named=True).raw
        if kind != "thinking":
            return end
        signature = {"type": "signature_delta", "signature": ""}
        told = {"type": "content_block_delta", "index": index, "delta": signature}
        return Event.of(told, named=True).raw + end


class MessagesSink(WrappedSink):
    """Passes an answer on to ``inner`` as the API promises it; ``end`` must be called.

    ``fault`` writes an engine's error, a status and a body, as an event of the API.
    """

    def __init__(self, inner: Sink, fault: Fault, *, stream: bool) -> None:
        super().__init__(inner)
        self._buffer = EventBuffer() if stream else None
        self._blocks = Blocks(fault)
        # The head and the pieces of a whole answer.
        self._head: tuple[int, dict[str, str]] | None = None
        self._pieces: list[bytes] = []

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin a stream; a whole answer is kept until its end."""
        if self._buffer is not None:
            await self._inner.begin(status, headers)
        elif self._head is None:
            # The length is set anew, for the answer as it is then.
            self._head = status, {n: v for n, v in headers.items() if n.lower() != _LENGTH}

    async def write(self, chunk: bytes) -> None:
        """Pass on the events that the chunk completes, or keep a piece of a whole answer."""
        if self._buffer is None:
            self._pieces.append(chunk)
            return
        if events := self._blocks.told(self._buffer.feed(chunk)):
            await self._inner.write(events)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep an answer in one piece."""
        await self.begin(status, headers)
        await self.write(body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Pass on an engine's error page."""
        return await self._inner.refuse(status, headers, body)

    async def end(self) -> None:
        """Pass on what is left; harmless when repeated."""
        if self._buffer is not None:
            if rest := self._buffer.take_rest():
                await self._inner.write(rest)
        elif self._head is not None:
            (status, headers), self._head = self._head, None
            await self._inner.answer(status, headers, _whole(b"".join(self._pieces)))


def _whole(body: bytes) -> bytes:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    return orjson.dumps(answer) if mended(answer) else body
