"""Which headers cross the gateway, in either direction. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

# RFC 9110, 7.6.1: these belong to one connection.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The body was read whole, decoded and found to be JSON, whatever curl called it; what speaks of
# it is set anew. No compression is asked of the engine, so that chunks pass as they come.
_NOT_UPSTREAM = _HOP_BY_HOP | {
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "expect",
    # What a client shows to the gateway; an engine that wants a key gets its own.
    "authorization",
    "x-api-key",
    "cookie",
    "x-admin-token",
    # Which pages may ask is decided here; the engine is asked by the gateway.
    "origin",
    # Spoken to the gateway's queue.
    "x-priority",
}
# llama-server allows every website; who may read the gateway's answers is not its to say.
_CORS = {
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
}
_NOT_DOWNSTREAM = _HOP_BY_HOP | _CORS | {"date", "server"}


def to_engine(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The client's headers that the engine gets, with the type that its body has."""
    kept = _without(headers, _NOT_UPSTREAM)
    kept["Content-Type"] = "application/json"
    return kept


def to_engine_unread(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The same for a body of any kind, whose type is the client's word."""
    kept = _without(headers, _NOT_UPSTREAM)
    if (kind := headers.get("Content-Type")) is not None:
        kept["Content-Type"] = kind
    return kept


def to_look(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The same for a look at the engine, whose pages may come compressed, and some only so."""
    kept = to_engine_unread(headers)
    kept["Accept-Encoding"] = headers.get("Accept-Encoding", "identity")
    return kept


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether a body with these headers is a stream of events."""
    return headers.get("Content-Type", "").startswith("text/event-stream")


def to_websocket(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The same for an upgrade; the handshake itself is made anew."""
    kept = _without(headers, _NOT_UPSTREAM)
    for name in [name for name in kept if name.lower().startswith("sec-websocket-")]:
        kept.popall(name, None)
    return kept


def to_client(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The engine's headers that the client gets."""
    return _without(headers, _NOT_DOWNSTREAM)


def _without(headers: Mapping[str, str], dropped: frozenset[str]) -> CIMultiDict[str]:
    kept = CIMultiDict([pair for pair in headers.items() if pair[0].lower() not in dropped])
    if "Connection" in headers:
        # What it names belongs to this connection too; the field may come more than once.
        for name, value in headers.items():
            if name.lower() == "connection":
                for named in value.split(","):
                    kept.popall(named.strip(), None)
    return kept
