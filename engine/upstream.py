"""The answer of an engine as it comes. It translates the exceptions of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import aiohttp

from utils.errors import EngineBroke, EngineUnreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

ENDED = "the engine has ended"
_LARGEST_ERROR = 64 * 1024
_FIRST_ERROR = 400
_OK = 200


class Answer(Protocol):
    """What a connection has of an answer that has begun. Failures are aiohttp's, or an OSError."""

    @property
    def status(self) -> int:
        """The status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""

    @property
    def ended(self) -> bool:
        """Whether all of the answer has come."""

    async def read(self) -> bytes:
        """Return what has come and was not read, at least a byte; b"" at the end."""

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give what comes to ``take``, until it returns False; return whether the answer has ended.

        ``take`` must not raise.
        """
        ...

    def fail(self, error: Exception) -> None:
        """Let the reader get ``error``."""

    def close(self) -> None:
        """Close the connection, unless the answer has ended."""


class AiohttpAnswer:
    """An ``Answer`` that came by way of aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.read = response.content.readany
        self.fail = response.content.set_exception
        self.close = response.close
        self._is_eof = response.content.is_eof

    @property
    def ended(self) -> bool:
        """Whether all of the answer has come."""
        return self._is_eof()

    async def body(self) -> bytes:
        """Return what is left of the body, and close; EngineUnreachable if it breaks off."""
        pieces = []
        try:
            while piece := await self.read():
                pieces.append(piece)
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnreachable(f"The engine gave no answer: {said_by(error)}") from error
        finally:
            self.close()
        return b"".join(pieces)

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give what comes to ``take``, as a connection of the gateway's own does."""
        while chunk := await self.read():
            if not take(chunk):
                return False
        return True


class UpstreamResponse:
    """An engine's answer that has begun: its status, its headers and its first bytes.

    ``first`` is the first chunk of the body; for an error answer, all of it up to 64 KiB. If only
    the end of the connection shows the end of the body, ``alive`` is asked whether the engine is
    still there: a crash looks the same. ``heard`` is told of each piece.
    """

    def __init__(
        self,
        answer: Answer,
        forget: Callable[[UpstreamResponse], None],
        heard: Callable[[bytes], None],
        alive: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._answer = answer
        self._forget = forget
        self.heard = heard
        self.status = answer.status
        # Whether the engine answered with an error status.
        self.failed = self.status >= _FIRST_ERROR
        self.headers = answer.headers
        self._alive = None if alive is None or self._has_length() else alive
        self.first = b""
        # Whether ``first`` is the entire body.
        self.whole = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Abort a body that is not read to its end, so that the engine stops generating."""
        self._forget(self)
        self._answer.close()

    def break_off(self) -> None:
        """Make readers raise EngineBroke. If only the session closed, they would wait for ever."""
        if not self._answer.ended:
            self._answer.fail(ConnectionError(ENDED))

    async def begin(self) -> None:
        """Read ``first``; raise EngineBroke if the engine ends before it.

        Keep-alive comments of the engine do not count: a crash after them can still be retried, and
        the gateway sends its own comments.
        """
        first = await self.read()
        while first.startswith(b":"):
            first = await self._after_comments(first)
        self.first = first
        while self.failed and len(self.first) < _LARGEST_ERROR and (more := await self.read()):
            self.first += more
        self.whole = self.headers.get("Content-Length") == str(len(self.first))

    async def _after_comments(self, data: bytes) -> bytes:
        """Return what follows the comments that ``data`` begins with; b"" when nothing does.

        A comment may come in several reads, and so may the blank line that ends it.
        """
        while not (rest := uncommented(data)) or rest.startswith(b":"):
            more = await self.read()
            if not more:
                return b""
            data = rest + more if rest else b"\n" + more
        return rest

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end; raise EngineBroke if it ends before that."""
        try:
            chunk = await self._answer.read()
        except (aiohttp.ClientError, OSError) as error:
            raise EngineBroke(f"The engine broke off its response: {said_by(error)}") from error
        self.heard(chunk)
        if not chunk and self._alive is not None:
            await self._check_end(self._alive)
        return chunk

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give each further piece to ``take`` where it arrives; return whether that was the end.

        If ``take`` returns False, it has not: the engine is not read from until the next call.
        ``take`` tells ``heard`` of each piece, and must not raise. EngineBroke if the answer ends
        early.
        """
        try:
            ended = await self._answer.pump(take)
        except (aiohttp.ClientError, OSError) as error:
            raise EngineBroke(f"The engine broke off its response: {said_by(error)}") from error
        if ended:
            self.heard(b"")
            if self._alive is not None:
                await self._check_end(self._alive)
        return ended

    async def _check_end(self, alive: Callable[[], Awaitable[bool]]) -> None:
        self._alive = None
        if not await alive():
            raise EngineBroke("The engine ended in the middle of its response.")

    def _has_length(self) -> bool:
        """Return whether the response itself shows where its body ends."""
        if self.status != _OK:
            return True
        return "Content-Length" in self.headers or "Transfer-Encoding" in self.headers


def uncommented(data: bytes) -> bytes:
    """Return ``data`` without the comments and blank lines at its beginning.

    A last line that has not ended stays: it begins with a colon if it is a comment.
    """
    while data.startswith((b":", b"\n", b"\r")):
        line, ended, rest = data.partition(b"\n")
        if not ended:
            return b"" if line == b"\r" else data
        data = rest
    return data


def said_by(error: BaseException) -> str:
    """Return the text of a foreign exception, or at least its type."""
    return str(error) or type(error).__name__
