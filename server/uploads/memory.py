"""How much memory the bodies of all requests under way take together. Pure."""

from __future__ import annotations

# So much of each body is not counted: small requests are answered however much large ones hold.
_FREE = 64 * 1024


class BodyMemory:
    """Counts the bytes that all requests hold."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class Share:
    """What one request holds, until ``release``; all together hold no more than ``limit``."""

    __slots__ = ("_counted", "_limit", "_memory", "_size")

    def __init__(self, memory: BodyMemory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self._size = 0
        self._counted = 0

    def take(self, size: int) -> bool:
        """Hold ``size`` bytes more; return False, and change nothing, where they are too many."""
        more = max(0, self._size + size - _FREE) - self._counted
        if more and self._memory.used + more > self._limit:
            return False
        self._size += size
        self._counted += more
        self._memory.used += more
        return True

    def release(self) -> None:
        """Hold nothing any more."""
        self._memory.used -= self._counted
        self._size = self._counted = 0
