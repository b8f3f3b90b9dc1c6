"""The bytes of one connection as HTTP/1.1 responses, one after another. Pure.

httptools, which is llhttp, reads the protocol. This file adds what it leaves to its user: an end
that only the connection shows, interim responses, limits, and bytes after an end. A whole response
whose head is that of the last one is read without it, for a fifth of the time.
"""

from __future__ import annotations

from enum import IntEnum

import httptools
from multidict import CIMultiDict

from utils.known_head import KnownHead

# So much may come that is neither the end of a head nor part of a body.
_LARGEST_HEAD = 64 * 1024
# The longest body that is ``brief``.
_BRIEF = 64 * 1024
_OK = 200


class Progress(IntEnum):
    """How far a response has come."""

    HEAD = 0
    BODY = 1
    ENDED = 2
    BROKEN = 3


class ResponseParser:
    """Reads one response at a time; ``begin`` comes before each.

    ``status`` and ``headers`` are those of the response, once its head is complete. ``length`` is
    the length of its body, None if that is not known before the end. A ``brief`` body has a known,
    small length, and is no stream. If ``reusable``, its end leaves the connection ready for
    another. ``error`` says why it is ``BROKEN``.
    """

    __slots__ = (
        "_barren",
        "_fields",
        "_fresh",
        "_last",
        "_parser",
        "_pieces",
        "brief",
        "error",
        "headers",
        "length",
        "on_body",
        "progress",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        # httptools calls it with each piece of a body.
        self.on_body = self._pieces.append
        parser = httptools.HttpResponseParser(self)
        # As lenient as aiohttp is: engines are trusted, and some write heads by hand.
        parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._parser: httptools.HttpResponseParser | None = parser
        self._fields: list[tuple[str, str]] = []
        # The head of the last whole response that came in one piece, its status and its headers.
        self._last: tuple[KnownHead, int, CIMultiDict[str]] | None = None
        self.progress = Progress.ENDED
        self.begin()

    def begin(self) -> None:
        """Expect the head of the next response."""
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.length: int | None = None
        self.brief = False
        self.progress = Progress.HEAD
        self.reusable = False
        self.error = ""
        self._barren = 0
        # Nothing of the response has come.
        self._fresh = True

    def feed(self, data: bytes) -> bytes:
        """Return the part of the body in ``data``; b"" if it has none.

        What cannot be parsed makes the response ``BROKEN``; after its end, it only makes the
        connection not ``reusable``.
        """
        if fresh := self._fresh:
            self._fresh = False
            if (whole := self._like_the_last(data)) is not None:
                return whole
        parser, pieces = self._parser, self._pieces
        if parser is None:
            return b""
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.reusable = False
            if self.progress < Progress.ENDED:
                self._break(f"the engine's answer is not valid HTTP: {error}")
        except httptools.HttpParserUpgrade:
            self._break("the engine's answer switches to another protocol")
        if not pieces:
            self._barren += len(data)
            if self._barren > _LARGEST_HEAD and self.progress < Progress.ENDED:
                self._break("the engine's answer has a head or a chunk size without an end")
            return b""
        self._barren = 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if fresh and self.reusable and (known := KnownHead.of(data)) is not None:
            self._last = known, self.status, self.headers
        return body

    def _like_the_last(self, data: bytes) -> bytes | None:
        """Return the body if ``data`` is a whole response with the head of the last one."""
        if self._last is None or self._parser is None:
            return None
        known, status, headers = self._last
        body = known.body_of(data)
        if body is None:
            return None
        self.status, self.length = status, len(body)
        self.headers = CIMultiDict(headers)
        self.headers["Content-Length"] = str(len(body))
        self.progress, self.reusable = Progress.ENDED, True
        return body

    def end(self) -> None:
        """Note that the connection has ended: the response is ``ENDED`` with it, or ``BROKEN``."""
        self.reusable = False
        if self.progress is Progress.BODY and self._ends_with_connection():
            self.progress = Progress.ENDED
        elif self.progress < Progress.ENDED:
            self._break("Server disconnected")

    def close(self) -> None:
        """Read no more; the parser's references to this object are gone."""
        self._parser = None

    def _ends_with_connection(self) -> bool:
        coding = self.headers.get("Transfer-Encoding")
        return self.length is None and (coding is None or not coding.lower().endswith("chunked"))

    def _break(self, error: str) -> None:
        self.progress, self.error, self.reusable = Progress.BROKEN, error, False

    # -- what httptools calls ----------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a response; ValueError if nobody waits for one."""
        if self.progress is not Progress.HEAD:
            raise ValueError("a response that was not asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what follows a body is dropped."""
        if self.progress is Progress.HEAD:
            self._fields.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """End the head; those of interim responses are dropped."""
        parser, fields = self._parser, self._fields
        if parser is None:
            return
        status = parser.get_status_code()
        if status >= _OK:
            self.status, self.headers = status, CIMultiDict(fields)
            length = self.headers.get("Content-Length")
            self.length = None if length is None else int(length)
            if self.length is not None and self.length <= _BRIEF:
                kind = self.headers.get("Content-Type", "")
                self.brief = not kind.startswith("text/event-stream")
            self.progress = Progress.BODY
            self._barren = 0
        fields.clear()

    def on_message_complete(self) -> None:
        """End the response; interim ones do not count."""
        if self.progress is Progress.BODY and self._parser is not None:
            self.progress = Progress.ENDED
            self.reusable = self._parser.should_keep_alive()
