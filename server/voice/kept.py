"""``KeptSession``: a session that outlasts its websocket, when the connection was lost."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from server.voice.socket import REPLACED, End
from utils.tasks import happens
from voice.live.sent import Sent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from server.voice.socket import VoiceSocket


class KeptSession:
    """The websockets of one session, one after the other; ``seconds`` may pass between two.

    ``tokens`` open the next one: the newest, and that before it, whose successor may have been
    lost with the connection. ``sent`` notes the messages, if there can be a next one. ``lost``
    says that there is no websocket, but may be one again.
    """

    def __init__(self, seconds: float) -> None:
        self.sent = Sent() if seconds else None
        self.tokens: list[str] = []
        self.lost = False
        self._seconds = seconds
        self._socket: VoiceSocket | None = None
        self._end: End | None = None
        # Set when there is another websocket, or the end.
        self._news = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether there is a websocket."""
        return self._socket is not None

    def renew(self) -> str:
        """Return a new token for the next websocket."""
        self.tokens = [*self.tokens[-1:], secrets.token_hex(16)]
        return self.tokens[-1]

    def close(self, end: End) -> None:
        """End the session, whether it has a websocket or not."""
        self._end = end
        if self._socket is not None:
            self._socket.close(end)
        self._news.set()

    async def serve(self, socket: VoiceSocket, first: Iterable[Any]) -> None:
        """Serve over this websocket, in place of the one before."""
        before, self._socket = self._socket, socket
        self.lost = False
        self._news.set()
        if self._end is not None:
            socket.close(self._end)
        try:
            if before is not None:
                before.close(End(REPLACED, "The session was opened again."))
                await before.ended.wait()
            await socket.serve(first)
        finally:
            socket.ended.set()
            if self._socket is socket:
                self._socket, self.lost = None, socket.lost
                self._news.clear()

    async def waits(self) -> bool:
        """Return True once the session has a websocket again, and False if it has ended.

        It ends when it was closed, or when too much time has passed.
        """
        if self._socket is None and self._end is None:
            await happens(self._news, self._seconds)
        self.lost = False
        return self._socket is not None
