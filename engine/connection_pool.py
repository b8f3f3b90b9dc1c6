"""The connections to one engine that are kept for small requests over plain HTTP.

aiohttp costs several times as much for each request and each piece of an answer. It keeps what is
rare: uploads and large bodies, https, websockets, names to resolve, and the gateway's own requests.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from yarl import URL

from engine.upstream import ENDED
from engine.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Larger ones are written piece by piece, so that streams of others go on meanwhile.
LARGEST_BODY = 1024 * 1024
_CONNECT_SECONDS = 10.0
# Most requests have the target and the headers of another.
_REMEMBERED = 128
# Visible ASCII without a fragment: what may stand in a request line as it is.
_TARGET = re.compile(r"/[!\"$-~]*")


class NotConnected(ConnectionError):
    """No connection could be made, so nothing was sent."""


class ConnectionPool:
    """Connections to the engine at ``url``; idle ones are kept for ``keep`` seconds.

    ``own`` are headers of the gateway's own, which replace those of the client.
    """

    def __init__(self, url: URL, own: Mapping[str, str], keep: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._host, self._port = url.host or "", url.port or 80
        self._path = url.raw_path.rstrip("/")
        self._names = frozenset(name.lower() for name in own)
        self._lines = f"Host: {url.host_port_subcomponent}\r\n" + _lines(own.items())
        self._keep = keep
        self._all: set[UpstreamConnection] = set()
        # The longest idle first.
        self._idle: list[UpstreamConnection] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @classmethod
    def of(cls, url: str, own: Mapping[str, str], keep: float) -> ConnectionPool | None:
        """Return a pool for the engine at ``url``; None if aiohttp must ask it.

        That is so with https, with a password in the URL, and with a name that has to be resolved.
        """
        parsed = URL(url, encoded=True)
        if parsed.scheme != "http" or parsed.raw_user or parsed.raw_password or parsed.host is None:
            return None
        if parsed.host != "localhost":
            try:
                ipaddress.ip_address(parsed.host)
            except ValueError:
                return None
        return cls(parsed, own, keep)

    async def post(
        self, target: str, headers: Mapping[str, str], body: bytes
    ) -> UpstreamConnection | None:
        """Send a request; return its connection when the answer has begun.

        None if aiohttp must send it, because it is large or ``target`` is to be encoded.
        ``headers`` name neither host nor length. Raises NotConnected, or another OSError if the
        answer does not begin; ValueError for what cannot be sent.
        """
        if self._closed:
            raise NotConnected(ENDED)
        if len(body) > LARGEST_BODY:
            return None
        pairs = tuple(headers.items())
        if self._names:
            pairs = tuple([pair for pair in pairs if pair[0].lower() not in self._names])
        head = _head(f"{self._path}{target}", self._lines, pairs)
        if head is None:
            return None
        connection = self._kept() or await self._connected()
        try:
            connection.send(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            await connection.begun()
        except BaseException:
            connection.abort()
            raise
        return connection

    def close(self) -> None:
        """Close every connection, and make no new one."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._all):
            connection.abort()

    # -- inside ------------------------------------------------------------------------

    def _kept(self) -> UpstreamConnection | None:
        oldest = time.monotonic() - self._keep
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and (connection.idle_since or 0.0) > oldest:
                return connection
            connection.abort()
        return None

    async def _connected(self) -> UpstreamConnection:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await self._loop.create_connection(
                    self._new, self._host, self._port
                )
        except OSError as error:
            raise NotConnected(str(error) or type(error).__name__) from error
        if self._closed:
            connection.abort()
            raise NotConnected(ENDED)
        if connection.usable:
            self._all.add(connection)
        return connection

    def _new(self) -> UpstreamConnection:
        return UpstreamConnection(self._loop, self._release, self._forget)

    def _release(self, connection: UpstreamConnection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._keep, self._sweep)

    def _forget(self, connection: UpstreamConnection) -> None:
        self._all.discard(connection)
        if connection.idle_since is not None and connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self) -> None:
        oldest = time.monotonic() - self._keep
        while self._idle and (self._idle[0].idle_since or 0.0) <= oldest:
            self._idle.pop(0).abort()
        self._sweeper = None
        if self._idle:
            self._sweeper = self._loop.call_later(self._keep, self._sweep)


@lru_cache(maxsize=_REMEMBERED)
def _head(target: str, own: str, pairs: tuple[tuple[str, str], ...]) -> bytes | None:
    """Return the head of a request, without its length; None for a target that is to be encoded."""
    if _TARGET.fullmatch(target) is None:
        return None
    head = f"POST {target} HTTP/1.1\r\n{own}{_lines(pairs)}"
    return head.encode("utf-8", "surrogateescape")


def _lines(pairs: Collection[tuple[str, str]]) -> str:
    """Return the lines of the headers; ValueError if one would be more than its line."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    if lines.count("\n") != len(pairs) or lines.count("\r") != len(pairs) or "\0" in lines:
        raise ValueError("a header contains a line break")
    return lines
