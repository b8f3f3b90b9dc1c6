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
# The body was read whole and decoded; length and encoding are set anew. No compression is
# asked of the engine, so that chunks pass through as they come.
_NOT_UPSTREAM = _HOP_BY_HOP | {
    "host",
    "content-length",
    "content-encoding",
    "accept-encoding",
    "expect",
    # Which pages may ask is decided here; the engine is asked by the gateway.
    "origin",
}
_CORS = {
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
}
_NOT_DOWNSTREAM = _HOP_BY_HOP | _CORS | {"date", "server"}


def to_engine(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The client's headers that the engine gets."""
    return _without(headers, _NOT_UPSTREAM)


def to_client(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The engine's headers that the client gets."""
    return _without(headers, _NOT_DOWNSTREAM)


def _without(headers: Mapping[str, str], dropped: frozenset[str]) -> CIMultiDict[str]:
    kept = CIMultiDict(pair for pair in headers.items() if pair[0].lower() not in dropped)
    if "Connection" in headers:
        # What it names belongs to this connection too; the field may come more than once.
        for name, value in headers.items():
            if name.lower() == "connection":
                for named in value.split(","):
                    kept.popall(named.strip(), None)
    return kept
