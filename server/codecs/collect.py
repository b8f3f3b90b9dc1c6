"""Sinks for a codec that answers with something made from an engine's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.wrapped_sink import HoldingSink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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


class CollectingSink(HoldingSink):
    """Collects the engine's answer in ``body``; its error answer goes to ``inner``."""

    @property
    def body(self) -> bytes:
        """The answer so far."""
        return b"".join(self._pieces)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces."""

    async def write(self, chunk: bytes) -> None:
        """Collect the next piece."""
        self._pieces.append(chunk)
