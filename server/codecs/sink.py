"""A sink that translates: the engine's answer goes in, the client's API comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.wrapped_sink import WrappedSink
from server.codecs.chat_reader import ChatStreamReader, read_whole
from server.codecs.deltas import Failed
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inference.call import Sink
    from server.codecs.codec import Encoder
    from server.codecs.deltas import Delta

_OK = 200
_EVENTS = "text/event-stream"
_JSON = {"Content-Type": "application/json; charset=utf-8"}


class TranslatingSink(WrappedSink):
    """Passes an answer on to ``inner`` as ``encoder`` writes it: as a stream, or whole.

    The engine may stream or not, whatever the client wants. When the call has run, ``end`` must be
    called. If the engine's answer is an error in the middle of a stream, EngineRefused is raised.
    ``ended`` is awaited when all of the answer is known, before the client gets its end.
    """

    def __init__(
        self,
        inner: Sink,
        encoder: Encoder,
        *,
        stream: bool,
        ended: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(inner)
        self._encoder = encoder
        self._stream = stream
        self._ended = ended
        # The engine's answer: as events, or the pieces of a whole one.
        self._reader: ChatStreamReader | None = None
        self._pieces: list[bytes] = []
        self._opened = self._over = False

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin with the engine's answer; a second time, tell what was decided since."""
        if self._opened:
            if self._stream:
                await self._inner.begin(status, {})
            return
        self._opened = True
        if _header(headers, "Content-Type").startswith(_EVENTS):
            self._reader = ChatStreamReader()
        await self._open()

    async def write(self, chunk: bytes) -> None:
        """Translate the next piece of the engine's answer."""
        if self._reader is None:
            self._pieces.append(chunk)
        else:
            await self._feed(self._reader.feed(chunk))

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Translate an answer in one piece."""
        await self.begin(status, headers)
        await self.write(body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Tell the client of an engine's error answer in the shape of its API."""
        if self.begun:
            said = [delta.message for delta in read_whole(body) if isinstance(delta, Failed)]
            raise EngineRefused(" ".join([f"The engine answered {status}.", *said]))
        self._over = True
        if not await self._inner.refuse(status, headers, body):
            await self._inner.answer(status, headers, body)
        return True

    async def end(self) -> None:
        """Send what is left of the answer; harmless when repeated."""
        if self._over or not self._opened:
            return
        if self._reader is None:
            await self._feed(read_whole(b"".join(self._pieces)))
        else:
            await self._feed(self._reader.end())
        self._over = True
        last = self._encoder.end() if self._stream else self._encoder.whole()
        if self._ended is not None:
            await self._ended()
        if not self._stream:
            await self._inner.answer(_OK, _JSON, last)
        elif last:
            await self._inner.write(last)
        await self._inner.end()

    async def _open(self) -> None:
        if not self._stream:
            return
        head = {"Content-Type": self._encoder.content_type, "Cache-Control": "no-cache"}
        await self._inner.begin(_OK, head)
        if beginning := self._encoder.begin():
            await self._inner.write(beginning)

    async def _feed(self, deltas: list[Delta]) -> None:
        for at, delta in enumerate(deltas):
            if isinstance(delta, Failed):
                await self._pass(deltas[:at])
                raise EngineRefused(delta.message)
        await self._pass(deltas)

    async def _pass(self, deltas: list[Delta]) -> None:
        written = self._encoder.feed(deltas)
        if written and self._stream:
            await self._inner.write(written)


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted.lower()), "")
