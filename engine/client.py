"""Talking HTTP to one running engine. aiohttp's exceptions end here."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from yarl import URL

from engine.upstream import ENDED, UpstreamResponse, said_by
from utils.errors import (
    CountUnavailable,
    EngineRefused,
    EngineUnreachable,
    EngineUnresponsive,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from models.requests.reader import RequestFacts, Upload

# Engines close an idle connection after 5 s or more; ours must not be the one that is surprised.
_KEEPALIVE = 3.0
_IN_ONE_PIECE = 1024 * 1024
_ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=10)


class EngineClient:
    """A connection pool to one run of one engine; a new run gets a new client.

    ``heard`` grows with every piece of an answer to a request that comes, ``answered`` with those
    that are more than a keep-alive comment.
    """

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
        """The engine has begun to answer; EngineUnreachable or EngineBroke when it has not.

        An engine that wants a key gets its own, not the client's.
        """
        self._opening += 1
        try:
            return await self._begin(await self._request(path, headers, body, method))
        finally:
            self._opening -= 1

    async def unlike(self) -> list[str]:
        """Return what the engine, which is ready, says of itself that its variant says otherwise.

        Each is the end of a sentence that begins with the engine's name. A failure says nothing.
        """
        return []

    @property
    def active(self) -> int:
        """How many requests were sent to the engine and have not ended."""
        return self._opening + len(self._responses)

    async def look(self, path: str, headers: Mapping[str, str], method: str) -> UpstreamResponse:
        """The same for what takes no work, and so must be answered within ``probe_timeout``.

        EngineUnresponsive when no status has come by then.
        """
        try:
            async with asyncio.timeout(self._patience):
                response = await self._request(path, headers, b"", method)
        except TimeoutError:
            raise EngineUnresponsive(
                f"The engine did not answer within health_check_timeout ({self._patience:g} s)."
            ) from None
        return await self._begin(response)

    async def _request(
        self, path: str, headers: Mapping[str, str], body: bytes | Upload, method: str
    ) -> aiohttp.ClientResponse:
        try:
            return await self._open().request(
                method,
                URL(self.url + path, encoded=True),
                data=_data(body) if body else None,
                headers={**headers, **self._headers} if self._headers else headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            sent = not self._closed and not isinstance(error, aiohttp.ClientConnectorError)
            raise EngineUnreachable(
                f"The engine gave no answer: {said_by(error)}", sent=sent
            ) from error

    async def _begin(self, response: aiohttp.ClientResponse) -> UpstreamResponse:
        self._hear(b"")
        upstream = UpstreamResponse(response, self._responses.discard, self._hear)
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
        """A websocket of the engine's; EngineRefused or EngineUnreachable when there is none.

        ``largest`` is a message's length in bytes, ``farewell`` how long its end may take.
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

    async def healthy(self) -> bool:
        """Whether the engine says it is ready; False for anything else, a time-out too."""
        raise NotImplementedError

    # What only some engines can do; the others leave it to these.

    def too_long(self, response: UpstreamResponse) -> tuple[int, int] | None:
        """The prompt's tokens and the engine's context where it refuses the prompt for its length.

        None for every other answer.
        """

    def refusal(self, method: str, path: str) -> str | None:
        """Return why a client's request to ``path`` must not reach the engine; None: it may.

        Asked of paths of which the gateway knows nothing else; the query is part of ``path``.
        """
        return None

    async def counters(self) -> tuple[int, ...] | None:
        """Return numbers that move while the engine computes.

        () where it computes nothing, None where it does not tell.
        """
        return None

    async def count(self, facts: RequestFacts) -> int:
        """The exact number of prompt tokens; CountUnavailable when the engine cannot tell."""
        raise CountUnavailable("this engine counts no tokens")

    async def continues(self, request: bytes, text: str) -> bool:
        """Whether the engine takes ``text``, the chat's last message, for its own beginning."""
        return False

    async def streams(self, names: bytes) -> list[Any]:
        """What the engine keeps of the conversations in ``names``; empty when it keeps none."""
        return []

    async def stop_stream(self, conversation: str) -> None:
        """What the engine writes for the conversation ends, if it does and can."""

    async def findings(self) -> list[str]:
        """How the engine, which is ready, differs from its configuration, for a person."""
        return []

    async def close(self) -> None:
        """Every connection to the engine is closed, and no new one will be opened."""
        self._closed = True
        for upstream in tuple(self._responses):
            upstream.break_off()
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
        """Status and decoded JSON of a small exchange of our own; CountUnavailable on failure.

        ``patient`` leaves the time to the caller.
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
        """The status of ``path`` over a connection of its own; None without an answer in time.

        No request finds its connection taken by it, or closed.
        """
        if self._closed:
            return None
        if self._probes is None:
            self._probes = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=self._probe_timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._probes.get(self.url + path, headers=self._headers) as response:
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
                # One client's cookies are no business of the next one's.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
            )
        return self._session


def _data(body: bytes | Upload) -> bytes | io.BytesIO | AsyncIterator[bytes]:
    if not isinstance(body, bytes):
        return body.chunks()
    # A large body is written piece by piece, so that streams of others go on meanwhile.
    return body if len(body) <= _IN_ONE_PIECE else io.BytesIO(body)
