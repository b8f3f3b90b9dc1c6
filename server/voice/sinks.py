"""Sinks for the answers that a voice session gets of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.codecs.chat_reader import ChatStreamReader, read_whole
from server.codecs.collect import Unheard
from server.codecs.deltas import Failed, Text
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from server.codecs.deltas import Delta


class _Refusing(Unheard):
    """An engine's error answer is an EngineRefused."""

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Raise EngineRefused with what the engine says."""
        del headers
        said = [delta.message for delta in read_whole(body) if isinstance(delta, Failed)]
        raise EngineRefused(" ".join([f"The engine answered {status}.", *said]))


class WholeSink(_Refusing):
    """Collects an answer in ``body``."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The answer so far."""
        return b"".join(self._pieces)

    async def write(self, chunk: bytes) -> None:
        """Collect the next piece."""
        self._pieces.append(chunk)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Collect an answer in one piece."""
        del status, headers
        self._pieces.append(body)


class ChatSink(_Refusing):
    """Passes on the text of a chat's answer as it comes; ``rest`` returns all else."""

    def __init__(self, said: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._said = said
        self._reader = ChatStreamReader()
        self._others: list[Delta] = []

    async def write(self, chunk: bytes) -> None:
        """Read the next piece of the stream."""
        await self._take(self._reader.feed(chunk))

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Read an answer in one piece."""
        del status, headers
        await self._take(read_whole(body))

    async def rest(self) -> list[Delta]:
        """Pass on the last text; return all deltas that are no text."""
        await self._take(self._reader.end())
        return self._others

    async def _take(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, Failed):
                raise EngineRefused(delta.message)
            if isinstance(delta, Text):
                if delta.text:
                    await self._said(delta.text)
            else:
                self._others.append(delta)
