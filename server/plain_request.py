"""Which requests the fast lane answers: plain ones, and nothing else. Pure.

A plain request is a ``POST`` of HTTP/1.1 to an inference path with one ``Host``, one
``Content-Length`` of at most 1 MiB, and no header that changes how the message or its connection
is to be read. httptools parses it. Every other request is for aiohttp, with all its bytes; so no
unusual HTTP is interpreted here, and none is interpreted twice.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from models.requests.endpoints import BY_PATH
from server.exchange import Prepared
from utils.known_head import KnownHead

if TYPE_CHECKING:
    from collections.abc import Callable

# Sizes in bytes. aiohttp refuses a line or a header above 8190.
LARGEST_HEAD = 8 * 1024
LARGEST_BODY = 1024 * 1024
_MOST_HEADERS = 100
_LONGEST_LENGTH = 7
_TARGETS = {
    path.encode(): URL(path, encoded=True) for path, record in BY_PATH.items() if not record.form
}
_BEGINNING = b"POST /"
_END_OF_HEAD = b"\r\n\r\n"
_NEEDED = frozenset({b"host", b"content-length"})
# A request with one of these is not plain.
_UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"http2-settings",
        b"proxy-connection",
        b"sec-websocket-key1",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_CONNECTION = {None: True, "keep-alive": True, "close": False}


class NotPlain(Exception):
    """The bytes are not those of one plain request."""


class PlainRequest(NamedTuple):
    """A whole plain request. ``keeps``: the client wants to keep the connection.

    Requests that differ in their bodies alone share what is ``prepared``.
    """

    url: URL
    headers: CIMultiDictProxy[str]
    body: bytes
    keeps: bool
    prepared: Prepared


class _Known:
    """A plain request that came in one piece: its head, itself, the length of its body."""

    __slots__ = ("__weakref__", "head", "length", "request")

    def __init__(self, head: KnownHead, request: PlainRequest, length: int) -> None:
        self.head = head
        self.request = request
        self.length = length


class NewestHead:
    """The head that was parsed last, of all connections; known while a connection has it.

    Clients open several connections at a time, and send the same head on each. ``now`` returns
    the head, unless no connection has it any more.
    """

    def __init__(self) -> None:
        self.now: Callable[[], _Known | None] = lambda: None

    def is_now(self, known: _Known) -> None:
        """Note the head that a connection has."""
        self.now = ref(known)


class PlainRequestParser:
    """Parses the plain requests of one connection, each fed until it is whole.

    Clients mostly send one head again and again; httptools parses the first. ``newest`` is that of
    all connections.
    """

    def __init__(self, newest: NewestHead | None = None) -> None:
        self._newest = newest or NewestHead()
        self._raw: dict[bytes, bytes] = {}
        # httptools calls it with each name and value.
        self.on_header = self._raw.__setitem__
        self._pieces: list[bytes] = []
        self._size = 0
        self._target = b""
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._url: URL | None = None
        self._length = 0
        self._keeps = True
        self._whole = False
        # The last plain request that came in one piece.
        self._last: _Known | None = None

    @cached_property
    def _parser(self) -> HttpRequestParser:
        # Most connections never need it.
        return HttpRequestParser(self)

    @property
    def path(self) -> str | None:
        """The path of a request whose head is complete and whose body is not."""
        return None if self._url is None else self._url.path

    @property
    def begun(self) -> bool:
        """Whether a request has begun, and is not whole."""
        return self._size > 0

    def taken(self) -> list[bytes]:
        """Return all bytes of the request that has begun, in the pieces in which they came."""
        return self._pieces

    def feed(self, data: bytes) -> PlainRequest | None:
        """Return the request if ``data`` completes it; None if more must come.

        Raises NotPlain; then ``taken`` has all bytes, and the parser is used no more.
        """
        data = bytes(data)
        first = not self._size
        if first and (request := self._like_the_last(data)) is not None:
            return request
        self._pieces.append(data)
        self._size += len(data)
        if first and not data.startswith(_BEGINNING) and not _BEGINNING.startswith(data):
            raise NotPlain
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise NotPlain from None
        if self._whole:
            return self._complete()
        if self._url is None and self._size > LARGEST_HEAD:
            raise NotPlain
        return None

    def _like_the_last(self, data: bytes) -> PlainRequest | None:
        """Return the request if ``data`` is all of it, and its head that of the last one."""
        known = self._last or self._newest.now()
        if known is None:
            return None
        body = known.head.body_of(data)
        if body is None or len(body) > LARGEST_BODY:
            return None
        self._last, last = known, known.request
        headers = last.headers
        if len(body) != known.length:
            changed = CIMultiDict(headers)
            changed["Content-Length"] = str(len(body))
            headers = CIMultiDictProxy(changed)
        return PlainRequest(last.url, headers, body, last.keeps, last.prepared)

    def _complete(self) -> PlainRequest:
        whole = len(self._pieces) == 1
        data = self._pieces[0] if whole else b"".join(self._pieces)
        end = data.index(_END_OF_HEAD) + len(_END_OF_HEAD)
        if self._url is None or end > LARGEST_HEAD or not data.startswith(_BEGINNING):
            raise NotPlain
        # Beside the headers there are the request line and the blank line. More lines: a header
        # occurs twice. More bytes: something follows the request.
        if data.count(b"\n", 0, end) != len(self._raw) + 2 or len(data) != end + self._length:
            raise NotPlain
        headers = CIMultiDictProxy(self._headers)
        request = PlainRequest(self._url, headers, data[end:], self._keeps, Prepared())
        if whole and (known := KnownHead.of(data)) is not None:
            self._last = _Known(known, request._replace(body=b""), self._length)
            self._newest.is_now(self._last)
        self._raw.clear()
        self._pieces, self._size = [], 0
        self._target, self._url, self._whole = b"", None, False
        return request

    # -- what httptools calls; an exception here is a HttpParserError in ``feed`` ------------

    def on_url(self, url: bytes) -> None:
        """Note a piece of the request's target."""
        self._target += url

    def on_headers_complete(self) -> None:
        """Raise NotPlain unless this is the head of a plain request."""
        parser, raw = self._parser, self._raw
        url = _TARGETS.get(self._target)
        if url is None or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            raise NotPlain
        names = {name.lower() for name in raw}
        if len(names) != len(raw) or len(names) > _MOST_HEADERS:
            raise NotPlain  # a header occurs twice
        if not (names >= _NEEDED and _UNUSUAL.isdisjoint(names)):
            raise NotPlain
        told = self._headers = CIMultiDict(
            [(n.decode("ascii"), v.decode("ascii").strip(" \t")) for n, v in raw.items()]
        )
        length, connection = told["Content-Length"], told.get("Connection")
        keeps = _CONNECTION.get(connection and connection.lower())
        if keeps is None or not length.isdigit() or len(length) > _LONGEST_LENGTH:
            raise NotPlain
        self._keeps, self._length = keeps, int(length)
        if self._length > LARGEST_BODY:
            raise NotPlain
        self._url = url

    def on_message_complete(self) -> None:
        """Note that the body has come."""
        self._whole = True
