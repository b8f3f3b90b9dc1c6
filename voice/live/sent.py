"""``Sent``: the last messages of a session, for a client that lost its websocket. Pure."""

from __future__ import annotations

from collections import deque

_MOST = 2 * 1024 * 1024


class Sent:
    """Numbers messages as they are sent, and keeps the last ``most`` characters of them.

    A client counts what it receives. What was sent after that number did not arrive. ``taken`` is
    how many messages came from the client.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._kept: deque[str] = deque()
        self._size = 0
        self.count = 0
        self.taken = 0

    def add(self, message: str) -> None:
        """Note a message that is sent now; the oldest go where there are too many."""
        self.count += 1
        self._kept.append(message)
        self._size += len(message)
        while self._size > self._most:
            self._size -= len(self._kept.popleft())

    def after(self, received: int) -> list[str]:
        """Return what was sent after the first ``received`` messages, as far as it is kept."""
        missing = min(max(0, self.count - received), len(self._kept))
        return list(self._kept)[len(self._kept) - missing :]
