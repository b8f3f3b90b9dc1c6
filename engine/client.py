"""Send HTTP requests to one running engine. It translates the exceptions of aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import re
import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from yarl import URL

from engine.connection_pool import LARGEST_BODY, ConnectionPool, NotConnected
from engine.upstream import ENDED, AiohttpAnswer, UpstreamResponse, said_by
from utils.errors import (
    CountUnavailable,
    EngineRefused,
    EngineUnreachable,
    EngineUnresponsive,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from engine.upstream import Answer
    from models.requests.reader import RequestFacts, Upload

# Engines close an idle connection after 5 s or more; the gateway must close it before that.
_KEEPALIVE = 3.0
# Who closes a connection first has its port in TIME_WAIT for a minute. An engine that was asked to
# would be that, and not every server could listen on its port again.
_OURS_TO_CLOSE = {"Connection": "keep-alive"}
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}", re.ASCII)
_ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=10)


class EngineClient:
    """The connections to one run of one engine; a new run gets a new client.

    ``heard`` grows with every piece of an answer; ``answered`` only with pieces that are more than
    a keep-alive comment. An engine that ``may_send_no_length`` ends some bodies by closing the
    connection, as HTTP/1.0 does. One that ``reads_ahead`` reads the prompt of a chat with
    ``max_tokens`` 0, and writes nothing.
    """

    may_send_no_length = False
    reads_ahead = False

    def __init__(self, url: str, *, probe_timeout: float, headers: Mapping[str, str]) -> None:
        self.url = url
        self._headers = dict(headers)
        self.heard = 0
        self.answered = 0
        self._opening = 0
        self._patience = probe_timeout
        self._probe_timeout = aiohttp.ClientTimeout(total=probe_timeout)
        self._session: aiohttp.ClientSession | None = None
        self._probes: aiohttp.ClientSession | None = None
        self._closed = False
        self._responses: set[UpstreamResponse] = set()

    async def forward(
        self, path: str, headers: Mapping[str, str], body: bytes | Upload, method: str = "POST"
    ) -> UpstreamResponse:
        """Return an answer that has begun, or raise EngineUnreachable or EngineBroke.

        An engine with a key gets its own key, not the client's.
        """
        self._opening += 1
        try:
            answer: Answer | None = None
            if method == "POST" and isinstance(body, bytes) and self._pool is not None:
                try:
                    answer = await self._pool.post(path, headers, body)
                except OSError as error:
                    raise self._unreachable(error, NotConnected) from error
            if answer is None:
                answer = await self._request(path, headers, body, method)
            return await self._begin(answer, method)
        finally:
            self._opening -= 1

    async def unlike(self) -> list[str]:
        """Return what the engine, which is ready, says of itself that its variant says otherwise.

        Each is the end of a sentence that begins with the engine's name. A failure says nothing.
        """
        return []

    @property
    def active(self) -> int:
        """The number of requests that were sent to the engine and have not ended."""
        return self._opening + len(self._responses)

    async def look(self, path: str, headers: Mapping[str, str], method: str) -> UpstreamResponse:
        """Like ``forward``, for requests without work, which must be answered in ``probe_timeout``.

        Raises EngineUnresponsive if no status comes by then.
        """
        try:
            async with asyncio.timeout(self._patience):
                response = await self._request(path, headers, b"", method)
        except TimeoutError:
            raise EngineUnresponsive(
                f"The engine did not answer within health_check_timeout ({self._patience:g} s)."
            ) from None
        return await self._begin(response, method)

    @cached_property
    def _pool(self) -> ConnectionPool | None:
        """The pool for small requests; None if aiohttp must send them all."""
        return ConnectionPool.of(self.url, self._headers, _KEEPALIVE)

    async def _request(
        self, path: str, headers: Mapping[str, str], body: bytes | Upload, method: str
    ) -> AiohttpAnswer:
        try:
            response = await self._open().request(
                method,
                URL(self.url + path, encoded=True),
                data=_data(body) if body else None,
                headers={**headers, **self._headers} if self._headers else headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error, aiohttp.ClientConnectorError) from error
        return AiohttpAnswer(response)

    def _unreachable(self, error: Exception, unsent: type[Exception]) -> EngineUnreachable:
        """Return the failure of a request; if it is ``unsent``, the engine has nothing of it."""
        sent = not self._closed and not isinstance(error, unsent)
        return EngineUnreachable(f"The engine gave no answer: {said_by(error)}", sent=sent)

    async def _begin(self, answer: Answer, method: str) -> UpstreamResponse:
        self._hear(b"")
        asks = self.may_send_no_length and method != "HEAD"
        alive = self.healthy if asks else None
        upstream = UpstreamResponse(answer, self._responses.discard, self._hear, alive)
        self._responses.add(upstream)
        try:
            await upstream.begin()
        except BaseException:
            upstream.close()
            raise
        return upstream

    async def websocket(
        self,
        path: str,
        headers: Mapping[str, str],
        protocols: Sequence[str],
        *,
        largest: int,
        heartbeat: float,
        farewell: float,
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket of the engine; raise EngineRefused or EngineUnreachable if it fails.

        ``largest`` is the largest message in bytes, ``farewell`` the seconds that its end may take.
        """
        try:
            return await self._open().ws_connect(
                URL(self.url + path, encoded=True),
                headers={**headers, **self._headers},
                protocols=protocols,
                max_msg_size=largest,
                autoclose=False,
                heartbeat=heartbeat,
                timeout=aiohttp.ClientWSTimeout(ws_close=farewell),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise EngineRefused(
                f"The engine opens no websocket here: it answered {error.status}."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnreachable(f"The engine gave no answer: {said_by(error)}") from error

    def listens(self) -> bool:
        """Return False if nothing listens at the engine's address; True where that is unknown.

        It asks only this machine, which answers at once. An engine that starts is looked for
        often, and a request by aiohttp costs ten times as much.
        """
        if self._loopback is None:
            return True
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.setblocking(False)
            failure = tried.connect_ex(self._loopback)
            if failure == errno.EINPROGRESS:
                failure = tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return failure != errno.ECONNREFUSED
        return True

    @cached_property
    def _loopback(self) -> tuple[str, int] | None:
        url = URL(self.url, encoded=True)
        host, port = url.host or "", url.port
        return (host, port) if _LOOPBACK.fullmatch(host) and port is not None else None

    async def healthy(self) -> bool:
        """Return whether the engine says that it is ready; False also after a timeout."""
        raise NotImplementedError

    # What only some engines can do; these are the defaults.

    def too_long(self, response: UpstreamResponse) -> tuple[int, int] | None:
        """Return the prompt's tokens and the context if the engine refused a prompt as too long.

        Return None for every other answer.
        """

    def blames_request(self, response: UpstreamResponse) -> bool:
        """Return whether an error under a status of 500 or more is a fault of the request.

        Clients would repeat it, in vain.
        """
        return False

    def refusal(self, method: str, path: str) -> str | None:
        """Return why a client's request to ``path`` must not reach the engine; None: it may.

        For paths that the gateway does not know; the query is part of ``path``.
        """
        return None

    async def counters(self) -> tuple[int, ...] | None:
        """Return numbers that move while the engine computes.

        () where it computes nothing, None where it does not tell.
        """
        return None

    async def count(self, facts: RequestFacts) -> int:
        """Return the exact number of prompt tokens, or raise CountUnavailable."""
        raise CountUnavailable("this engine counts no tokens")

    async def continues(self, request: bytes, text: str) -> bool:
        """Return whether the engine takes ``text``, the last message, as its answer's beginning."""
        return False

    async def streams(self, names: bytes) -> list[Any]:
        """Return the streams that the engine keeps for the conversations in ``names``."""
        return []

    async def stop_stream(self, conversation: str) -> None:
        """Stop the stream of the conversation, if there is one and the engine can."""

    async def close(self) -> None:
        """Close every connection to the engine, and open no new one."""
        self._closed = True
        for upstream in tuple(self._responses):
            upstream.break_off()
        if self._pool is not None:
            self._pool.close()
        for session in (self._session, self._probes):
            if session is not None:
                await session.close()

    async def _ask(
        self,
        path: str,
        payload: bytes | None = None,
        method: str = "POST",
        *,
        patient: bool = False,
    ) -> tuple[int, Any]:
        """Send a small request of the gateway; return status and JSON, or raise CountUnavailable.

        ``patient`` leaves the timeout to the caller.
        """
        timeout = _ENDLESS if patient else self._probe_timeout
        headers = self._headers | {"Content-Type": "application/json"}
        try:
            async with self._open().request(
                method, self.url + path, data=payload, headers=headers, timeout=timeout
            ) as response:
                raw = await response.read()
                return response.status, orjson.loads(raw or b"null")
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise CountUnavailable(said_by(error)) from error

    async def _probe(self, path: str) -> int | None:
        """Return the status of ``path`` over a separate connection; None without an answer in time.

        So no request finds its connection in use or closed.
        """
        if self._closed:
            return None
        if self._probes is None:
            self._probes = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            # aiohttp's own timeout swallows a cancellation that comes at the same moment.
            async with (
                asyncio.timeout(self._patience),
                self._probes.get(
                    self.url + path, headers=self._headers | _OURS_TO_CLOSE
                ) as response,
            ):
                await response.read()
                return response.status
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None

    def _hear(self, piece: bytes) -> None:
        self.heard += 1
        self.answered += not piece.startswith(b":")

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise aiohttp.ClientConnectionError(ENDED)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                # The cookies of one client must not reach another.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
            )
        return self._session


def _data(body: bytes | Upload) -> bytes | io.BytesIO | AsyncIterator[bytes]:
    if not isinstance(body, bytes):
        return body.chunks()
    # A large body is written piece by piece, so that streams of others go on meanwhile.
    return body if len(body) <= LARGEST_BODY else io.BytesIO(body)
