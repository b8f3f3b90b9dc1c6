"""Choose the headers that pass the gateway, in both directions, and read its own. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from engine.scheduling.queue import Priority
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


CONVERSATION = "X-Conversation-Id"
PATIENCE = "X-Conversation-Patience"
_LONGEST = 512
# Seconds.
_MOST_PATIENCE = 86_400
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
# The gateway has read and decoded the body and found JSON, whatever type curl named; so it sets the
# headers of the body itself. Engines do not compress their answers, so chunks pass as they come.
_NOT_UPSTREAM = _HOP_BY_HOP | {
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "expect",
    # Keys for the gateway; an engine that needs a key gets its own.
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "sec-websocket-protocol",
    "x-admin-token",
    # The gateway has checked the website; for the engine, the gateway is the client.
    "origin",
    # For the gateway's queue, and for its detached streams.
    "x-priority",
    "x-conversation-patience",
    # For peers, which get it anew.
    "x-gateway-hops",
}
# An engine may allow every website; the gateway alone decides which ones read its answers.
_CORS = {
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
}
# The gateway sets the first two itself. A cookie would come back to the gateway, not to the engine.
_NOT_DOWNSTREAM = _HOP_BY_HOP | _CORS | {"date", "server", "set-cookie"}
# Clients of OpenAI's Realtime API in browsers put their key into the name of a protocol.
_KEY_IN_PROTOCOL = "openai-insecure-api-key."


def to_engine(
    headers: Mapping[str, str], content_type: str | None = "application/json", *, key: bool = False
) -> CIMultiDict[str]:
    """Return the client's headers that the engine gets.

    ``content_type`` is the type of the body; None means the client's header. With ``key`` the
    engine also gets the client's ``Authorization``.
    """
    kept = _without(headers, _NOT_UPSTREAM)
    for name, value in (
        ("Content-Type", content_type or headers.get("Content-Type")),
        ("Authorization", headers.get("Authorization") if key else None),
    ):
        if value is not None:
            kept[name] = value
    return kept


def conversation_of(headers: Mapping[str, str]) -> str | None:
    """Return the conversation in the headers, or None; raise BadRequest if its name is too long."""
    conversation = headers.get(CONVERSATION)
    if conversation and len(conversation) > _LONGEST:
        raise BadRequest(
            f"{CONVERSATION} is longer than {_LONGEST} characters.", param=CONVERSATION
        )
    return conversation or None


def patience_of(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds a stream goes on while nobody reads it; None: to its end.

    BadRequest if the header is not a number from 0 to a day.
    """
    told = headers.get(PATIENCE)
    if not told:
        return None
    try:
        seconds = float(told)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_PATIENCE:
        raise BadRequest(
            f"{PATIENCE} must be a number of seconds from 0 to {_MOST_PATIENCE}.", param=PATIENCE
        )
    return seconds


def to_look(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers for a page of the engine, which may compress its answer."""
    kept = to_engine(headers, None)
    kept["Accept-Encoding"] = headers.get("Accept-Encoding", "identity")
    return kept


def is_upgrade(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether the request is an upgrade to a websocket."""
    if method != "GET" or headers.get("Upgrade", "").lower() != "websocket":
        return False
    return "upgrade" in headers.get("Connection", "").lower().replace(" ", "").split(",")


def to_websocket(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers for an upgrade, without those of the handshake itself."""
    kept = _without(headers, _NOT_UPSTREAM)
    for name in [name for name in kept if name.lower().startswith("sec-websocket-")]:
        kept.popall(name, None)
    return kept


def protocols_of(headers: Mapping[str, str]) -> list[str]:
    """Return the protocols of a websocket that the client offers, without those that are a key."""
    names = [each.strip() for each in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return [name for name in names if name and not name.startswith(_KEY_IN_PROTOCOL)]


def to_client(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the engine's headers that the client gets."""
    return _without(headers, _NOT_DOWNSTREAM)


def _without(headers: Mapping[str, str], dropped: frozenset[str]) -> CIMultiDict[str]:
    kept = CIMultiDict([pair for pair in headers.items() if pair[0].lower() not in dropped])
    if "Connection" in headers:
        # The headers that it names belong to this connection too. It may occur more than once.
        for name, value in headers.items():
            if name.lower() == "connection":
                for named in value.split(","):
                    kept.popall(named.strip(), None)
    return kept


def client_of(headers: Mapping[str, str], address: str | None) -> str:
    """Return the same text for the same client; it is a digest of the key."""
    key = headers.get("Authorization") or headers.get("X-Api-Key")
    if not key:
        return address or ""
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def priority_of(headers: Mapping[str, str], *, allowed: bool) -> Priority:
    """Return the priority that ``X-Priority`` names, if allowed; BadRequest for other words."""
    word = headers.get("X-Priority") if allowed else None
    if word is None:
        return Priority.NORMAL
    try:
        return Priority[word.strip().upper()]
    except KeyError:
        raise BadRequest(
            'The X-Priority header must be "low", "normal" or "high".', param="X-Priority"
        ) from None


def add(headers: CIMultiDict[str], own: Mapping[str, str]) -> None:
    """Add the gateway's ``own`` to the headers of a response; ``Vary`` beside what it has."""
    if "Vary" not in own:
        headers.update(own)
        return
    for name, value in own.items():
        if name == "Vary":
            headers.add(name, value)
        else:
            headers[name] = value
