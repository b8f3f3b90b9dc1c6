"""An answer that the gateway makes of what an engine said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MadeAnswer:
    """An ``Answer`` in one piece, all of which is known."""

    def __init__(self, status: int, content_type: str, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
        }
        self._left = body

    @property
    def ended(self) -> bool:
        """Whether all of it was read."""
        return not self._left

    async def read(self) -> bytes:
        """Return the body, once."""
        body, self._left = self._left, b""
        return body

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give the body to ``take``."""
        body, self._left = self._left, b""
        return not body or take(body)

    def fail(self, error: Exception) -> None:
        """Do nothing: what is known cannot be lost."""

    def close(self) -> None:
        """Do nothing: there is no connection."""
