"""Sinks for a codec that answers with something made from an engine's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.wrapped_sink import WrappedSink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.call import Sink


class Unheard:
    """Where an answer goes that no client hears of."""

    def __init__(self) -> None:
        self.decided: dict[str, str] = {}
        self.progress: Callable[[], str] | None = None
        self.begun = False

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces."""

    async def write(self, chunk: bytes) -> None:
        """Leave a piece unheard."""

    def outlet(self) -> None:
        """Return None: pieces are written."""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Leave an answer unheard."""

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Return True: an error answer is unheard, too."""
        del status, headers, body
        return True

    async def end(self) -> None:
        """End the answer."""


class CollectingSink(WrappedSink):
    """Collects the engine's answer in ``body``; its error answer goes to ``inner``.

    ``refused`` says that this has happened, and that there is nothing more to answer.
    """

    def __init__(self, inner: Sink) -> None:
        super().__init__(inner)
        self._pieces: list[bytes] = []
        self.refused = False

    @property
    def body(self) -> bytes:
        """The answer so far."""
        return b"".join(self._pieces)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces."""

    async def write(self, chunk: bytes) -> None:
        """Collect the next piece."""
        self._pieces.append(chunk)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Collect an answer in one piece."""
        del status, headers
        self._pieces.append(body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Tell the client of an engine's error answer."""
        self.refused = True
        if not await self._inner.refuse(status, headers, body):
            await self._inner.answer(status, headers, body)
        return True

    async def end(self) -> None:
        """Note that the answer is complete."""
