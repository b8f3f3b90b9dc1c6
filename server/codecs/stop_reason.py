"""The reason of an answer that a stop sequence has ended, for ``/v1/messages``.

Engines name the sequence and call it the end of the turn; in Anthropic's API the reason is
``stop_sequence``, and clients that set sequences look for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from utils.sse import Event, EventBuffer, events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.call import Outlet, Sink

_END = b'"message_delta"'
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


class StopReasonSink:
    """Passes an answer on to ``inner`` with the right reason; ``end`` must be called."""

    def __init__(self, inner: Sink, *, stream: bool) -> None:
        self._inner = inner
        self._buffer = EventBuffer() if stream else None
        # The head and the pieces of a whole answer.
        self._head: tuple[int, dict[str, str]] | None = None
        self._pieces: list[bytes] = []

    @property
    def decided(self) -> dict[str, str]:
        """The gateway's own headers of the answer."""
        return self._inner.decided

    @decided.setter
    def decided(self, headers: dict[str, str]) -> None:
        self._inner.decided = headers

    @property
    def progress(self) -> Callable[[], str] | None:
        """Tell what a waiting client waits for."""
        return self._inner.progress

    @progress.setter
    def progress(self, progress: Callable[[], str] | None) -> None:
        self._inner.progress = progress

    @property
    def begun(self) -> bool:
        """Whether the client has a part of the answer."""
        return self._inner.begun

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
        whole = self._buffer.feed(chunk)
        if _END in whole:
            whole = b"".join(map(_event, events_of(whole)))
        if whole:
            await self._inner.write(whole)

    def outlet(self) -> Outlet | None:
        """Return None: each piece is looked at."""
        return None

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


def _event(event: Event) -> bytes:
    data = event.json()
    if data is None or data.get("type") != "message_delta" or not mended(data):
        return event.raw
    return Event.of(data, named=True).raw


def _whole(body: bytes) -> bytes:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    return orjson.dumps(answer) if mended(answer) else body
