"""server/headers.py: which headers cross the gateway."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from engine.scheduling.queue import Priority
from server.headers import (
    add,
    client_of,
    conversation_of,
    is_upgrade,
    patience_of,
    priority_of,
    protocols_of,
    to_client,
    to_engine,
    to_look,
    to_websocket,
)
from utils.errors import BadRequest

HOP_BY_HOP = (
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
TO_ENGINE_TOO = (
    "Host",
    "Content-Length",
    "Content-Encoding",
    "Accept-Encoding",
    "Expect",
    "Authorization",
    "X-Api-Key",
    "Cookie",
    "X-Admin-Token",
    "Origin",
    "X-Priority",
)
CORS = ("Origin", "Credentials", "Methods", "Headers")
TO_CLIENT_TOO = ("Date", "Server", "Set-Cookie", *(f"Access-Control-Allow-{name}" for name in CORS))
JSON = ("Content-Type", "application/json")


def headers(*pairs: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(pairs)


@pytest.mark.parametrize("name", [*HOP_BY_HOP, *TO_ENGINE_TOO])
def test_what_the_engine_never_gets(name: str) -> None:
    sent = headers((name, "x"), (name.upper(), "y"), (name.lower(), "z"))
    assert to_engine(sent) == headers(JSON)


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "X-Api-Key", "Cookie", "Proxy-Authorization"),
        *("Api-Key", "X-Goog-Api-Key", "Sec-WebSocket-Protocol"),
    ],
)
def test_no_engine_gets_the_clients_credentials(name: str) -> None:
    sent = headers((name, "secret"), (name.upper(), "secret"), ("X-A", "1"))
    for crossing in (to_engine, to_look, to_websocket):
        assert name not in crossing(sent)


def test_a_key_among_the_protocols_of_a_websocket_stays_here() -> None:
    offered = "realtime, openai-insecure-api-key.k,, other"
    assert protocols_of(headers(("sec-websocket-protocol", offered))) == ["realtime", "other"]
    assert protocols_of(headers()) == []


def test_an_engine_that_wants_the_clients_key_gets_that_alone() -> None:
    sent = headers(("Authorization", "Bearer k"), ("X-Api-Key", "k"), ("Cookie", "c"))
    assert to_engine(sent, key=True) == headers(JSON, ("Authorization", "Bearer k"))


def test_a_conversation_has_a_name_of_bounded_length() -> None:
    assert conversation_of(headers()) is None
    assert conversation_of(headers(("x-conversation-id", ""))) is None
    assert conversation_of(headers(("x-conversation-id", "c" * 512))) == "c" * 512
    with pytest.raises(BadRequest, match="512"):
        conversation_of(headers(("x-conversation-id", "c" * 513)))


def test_patience_is_a_number_of_seconds_up_to_a_day() -> None:
    assert patience_of(headers()) is None
    assert patience_of(headers(("x-conversation-patience", "0.5"))) == 0.5
    for wrong in ("soon", "-1", "nan", "86401"):
        with pytest.raises(BadRequest, match="from 0 to 86400"):
            patience_of(headers(("x-conversation-patience", wrong)))
    assert to_engine(headers(("X-Conversation-Patience", "9"))) == headers(JSON)


def test_the_engine_gets_json_whatever_the_client_called_it() -> None:
    sent = headers(("content-type", "application/x-www-form-urlencoded"), ("Content-Type", "x"))
    assert to_engine(sent) == headers(JSON)


def test_a_body_that_nobody_read_keeps_its_type() -> None:
    sent = headers(("content-type", "text/x"), ("Host", "h"), ("X-A", "1"))
    assert to_engine(sent, None) == headers(("X-A", "1"), ("Content-Type", "text/x"))
    assert to_engine(headers(("X-A", "1")), None) == headers(("X-A", "1"))


@pytest.mark.parametrize("name", [*HOP_BY_HOP, *TO_CLIENT_TOO])
def test_what_the_client_never_gets(name: str) -> None:
    assert not to_client(headers((name, "x"), (name.upper(), "y"), (name.lower(), "z")))


@pytest.mark.parametrize("name", TO_ENGINE_TOO[1:3])
def test_the_client_learns_how_the_body_is_written(name: str) -> None:
    assert to_client(headers((name, "x"))) == headers((name, "x"))


def test_everything_else_crosses_in_order_and_as_often_as_it_came() -> None:
    sent = headers(("User-Agent", "x"), ("X-A", "1"), ("x-a", "2"), ("Accept", "*/*"))
    assert list(to_engine(sent).items()) == [*sent.items(), JSON]
    assert list(to_client(sent).items()) == list(sent.items())


@pytest.mark.parametrize(
    "connection",
    [
        [("Connection", "close, X-Hop")],
        [("connection", " x-hop ,,")],
        [("Connection", "close"), ("Connection", "X-HOP")],
        [("Connection", "")],
    ],
)
def test_what_connection_names_belongs_to_one_connection(connection: list[tuple[str, str]]) -> None:
    sent = headers(("X-Hop", "1"), ("X-Kept", "2"), *connection)
    named = any("hop" in value.lower() for _, value in connection)
    expected = ["X-Kept"] if named else ["X-Hop", "X-Kept"]
    assert list(to_engine(sent)) == [*expected, "Content-Type"]
    assert list(to_client(sent)) == expected


names = st.sampled_from([*HOP_BY_HOP, *TO_ENGINE_TOO, *TO_CLIENT_TOO, "X-One", "Accept"])


@given(st.lists(st.tuples(names, st.text("ab,", max_size=4))))
def test_nothing_is_invented_and_a_second_pass_drops_no_more(pairs: list[tuple[str, str]]) -> None:
    for crossing in (to_engine, to_client):
        once = crossing(headers(*pairs))
        assert set(once.items()) <= {*pairs, JSON}
        assert crossing(once) == once
        assert once.getall("X-One", []) == [value for name, value in pairs if name == "X-One"]


@pytest.mark.parametrize(
    ("method", "connection", "upgrade", "asked"),
    [
        ("GET", "Upgrade", "websocket", True),
        ("GET", "keep-alive, Upgrade", "WebSocket", True),
        ("POST", "Upgrade", "websocket", False),
        ("GET", "Upgrade", "h2c", False),
        ("GET", "keep-alive", "websocket", False),
        ("GET", "upgrades", "websocket", False),
    ],
)
def test_an_upgrade_to_a_websocket(
    method: str, connection: str, upgrade: str, *, asked: bool
) -> None:
    sent = headers(("Connection", connection), ("Upgrade", upgrade))
    assert is_upgrade(method, sent) is asked
    assert not is_upgrade(method, headers())


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "x-api-key"])
def test_a_key_is_a_client_wherever_it_asks_from(header: str) -> None:
    one = client_of(CIMultiDict({header: "Bearer one"}), "127.0.0.1")
    assert one == client_of(CIMultiDict({header: "Bearer one"}), "127.0.0.2")
    assert one != client_of(CIMultiDict({header: "Bearer two"}), "127.0.0.1")
    assert "one" not in one


def test_without_a_key_the_address_is_the_client() -> None:
    assert client_of(CIMultiDict(), "127.0.0.1") == "127.0.0.1"
    assert client_of(CIMultiDict({"Authorization": ""}), "::1") == "::1"
    assert client_of(CIMultiDict(), None) == ""


@pytest.mark.parametrize(
    ("word", "priority"),
    [
        ("low", Priority.LOW),
        ("normal", Priority.NORMAL),
        ("high", Priority.HIGH),
        (" High ", Priority.HIGH),
    ],
)
def test_a_priority_counts_where_it_is_allowed(word: str, priority: Priority) -> None:
    headers = CIMultiDict({"x-priority": word})
    assert priority_of(headers, allowed=True) is priority
    assert priority_of(headers, allowed=False) is Priority.NORMAL
    assert priority_of(CIMultiDict(), allowed=True) is Priority.NORMAL


@pytest.mark.parametrize("word", ["", "urgent", "2", "HIGH, low", "\u0131"])
def test_another_word_is_refused_where_it_would_count(word: str) -> None:
    headers = CIMultiDict({"X-Priority": word})
    with pytest.raises(BadRequest, match='"low", "normal" or "high"') as refused:
        priority_of(headers, allowed=True)
    assert refused.value.param == "X-Priority"
    assert priority_of(headers, allowed=False) is Priority.NORMAL


def test_what_varies_already_still_does() -> None:
    headers = CIMultiDict({"Vary": "Accept", "X": "1"})
    add(headers, {"Vary": "Origin", "X": "2"})
    assert list(headers.items()) == [("Vary", "Accept"), ("X", "2"), ("Vary", "Origin")]
