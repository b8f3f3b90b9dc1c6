"""The base of the codecs: what an API's codec does to a request, and to the answer. Pure.

A codec turns a client's request into one that engines understand. Its encoder turns what the engine
answers, read as deltas, into an answer in the client's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.codecs.deltas import Delta
    from utils.errors import GatewayError


class Encoder(Protocol):
    """Writes one answer in the client's API: as a stream, or whole.

    A stream: ``begin``, ``feed`` any number of times, then ``end`` or ``fail``. A whole answer:
    ``feed``, then ``whole``.
    """

    # Of a stream; of server-sent events, comments may stand between what is written.
    content_type: str

    def begin(self) -> bytes:
        """Return what a stream begins with, before the engine has said anything."""
        ...

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        """Note what the engine says; return it for the stream, in whole events or lines."""
        ...

    def end(self) -> bytes:
        """Return the end of a stream whose engine has ended its answer."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """Return the end of a stream that ends by a fault, also before ``begin``."""
        ...

    def whole(self) -> bytes:
        """Return the body of a whole answer."""
        ...
