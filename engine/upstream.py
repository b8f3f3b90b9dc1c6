"""An engine's answer while it comes. aiohttp's exceptions end here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import aiohttp

from utils.errors import EngineBroke

if TYPE_CHECKING:
    from collections.abc import Callable

ENDED = "the engine has ended"
_LARGEST_ERROR = 64 * 1024
_FIRST_ERROR = 400


class UpstreamResponse:
    """An engine's answer that has begun: its status, headers and first bytes are here.

    ``first`` is the first chunk of the body; of an error answer, all of it up to 64 KiB.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        forget: Callable[[UpstreamResponse], None],
        heard: Callable[[bytes], None],
    ) -> None:
        self._response = response
        self._forget = forget
        self._heard = heard
        self.status = response.status
        self.headers = response.headers
        self.first = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    @property
    def failed(self) -> bool:
        """Whether the engine answered with an error status."""
        return self.status >= _FIRST_ERROR

    @property
    def whole(self) -> bool:
        """Whether ``first`` is the entire body already."""
        return self.headers.get("Content-Length") == str(len(self.first))

    def close(self) -> None:
        """A body that is not read to its end is aborted, so that the engine stops generating."""
        self._forget(self)
        self._response.close()

    def break_off(self) -> None:
        """Whoever reads gets EngineBroke: closing a session alone would let them wait for ever."""
        content = self._response.content
        if not content.is_eof():
            content.set_exception(aiohttp.ClientConnectionError(ENDED))

    async def begin(self) -> None:
        """``first`` is filled; EngineBroke when the engine ended before it.

        An engine's own keep-alive comments are no beginning yet: a crash after them can
        still be retried, and the gateway sends comments of its own.
        """
        self.first = await self.read()
        while self.first.startswith(b":"):
            self.first = self.first.partition(b"\n\n")[2] or await self.read()
        while self.failed and len(self.first) < _LARGEST_ERROR and (more := await self.read()):
            self.first += more

    async def read(self) -> bytes:
        """The next bytes as they come, b"" at the end; EngineBroke when it ends before that."""
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise EngineBroke(f"The engine broke off its response: {said_by(error)}") from error
        self._heard(chunk)
        return chunk


def said_by(error: BaseException) -> str:
    """What a foreign exception says, or at least what it is."""
    return str(error) or type(error).__name__
