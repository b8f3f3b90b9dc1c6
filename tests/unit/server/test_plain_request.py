"""server/plain_request.py: what is plain, and that nothing of it is lost in pieces."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_client import post

from server.plain_request import (
    LARGEST_BODY,
    NewestHead,
    NotPlain,
    PlainRequest,
    PlainRequestParser,
)

CHAT = "/v1/chat/completions"
BODY = b'{"messages": []}'
PLAIN = post(CHAT, BODY)


def parsed(data: bytes) -> PlainRequest | None:
    return PlainRequestParser().feed(data)


def fed(parser: PlainRequestParser, *pieces: bytes) -> None:
    for piece in pieces:
        assert parser.feed(piece) is None


def with_line(line: str, body: bytes = BODY) -> bytes:
    return post(CHAT, body, line)


def test_a_plain_request() -> None:
    request = parsed(with_line("X-Priority:  low "))
    assert request is not None
    assert (request.url.path, request.body, request.keeps) == (CHAT, BODY, True)
    assert dict(request.headers) == {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        "X-Priority": "low",
    }
    assert request.headers["content-length"] == str(len(BODY))


@pytest.mark.parametrize(
    ("line", "keeps"), [("Connection: keep-alive", True), ("connection: Close", False)]
)
def test_the_client_says_whether_it_keeps_the_connection(line: str, keeps: bool) -> None:
    request = parsed(with_line(line))
    assert request is not None
    assert request.keeps is keeps


def test_a_body_may_be_empty_or_as_large_as_is_allowed() -> None:
    for size in (0, LARGEST_BODY):
        request = parsed(post(CHAT, bytes(size)))
        assert request is not None
        assert request.body == bytes(size)


NOT_PLAIN = {
    "another method": PLAIN.replace(b"POST", b"PUT"),
    "another path": post("/v1/models", BODY),
    "a query": post(f"{CHAT}?a=b", BODY),
    "an encoded path": post("/v1/chat/completion%73", BODY),
    "an absolute target": post(f"http://localhost{CHAT}", BODY),
    "a form": post("/v1/audio/transcriptions", BODY),
    "HTTP/1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.2": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.2"),
    "HTTP/2.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "no HTTP": b"POST /nothing\r\n\r\n",
    "a leading line": b"\r\n" + PLAIN,
    "a leading blank": b" " + PLAIN,
    "two blanks": PLAIN.replace(b"POST /", b"POST  /"),
    "no host": PLAIN.replace(b"Host: localhost\r\n", b""),
    "two hosts": with_line("Host: localhost"),
    "no length": PLAIN.replace(b"Content-Length", b"X-Length"),
    "two lengths": with_line("Content-Length: 16"),
    "two different lengths": with_line("content-length: 3"),
    "a list of lengths": PLAIN.replace(b": 16", b": 16, 16"),
    "a signed length": PLAIN.replace(b": 16", b": +16"),
    "a negative length": PLAIN.replace(b": 16", b": -16"),
    "a hexadecimal length": PLAIN.replace(b": 16", b": 0x10"),
    "a length of letters": PLAIN.replace(b": 16", b": x"),
    "an empty length": PLAIN.replace(b": 16", b":"),
    "a huge length": PLAIN.replace(b": 16", b": 99999999999999999999"),
    "a large body": post(CHAT, bytes(LARGEST_BODY + 1)),
    "chunks": with_line("Transfer-Encoding: chunked"),
    "chunks in another case": with_line("tRANSFER-eNCODING: chunked"),
    "unknown chunks": with_line("Transfer-Encoding: xchunked"),
    "chunks without a length": PLAIN.replace(b"Content-Length: 16", b"Transfer-Encoding: chunked"),
    "an expectation": with_line("Expect: 100-continue"),
    "an upgrade": with_line("Upgrade: h2c"),
    "an upgrade that is asked for": post(CHAT, BODY, "Upgrade: h2c", "Connection: Upgrade"),
    "a coded body": with_line("Content-Encoding: gzip"),
    "trailers": with_line("TE: trailers"),
    "another connection": with_line("Connection: keep-alive, X-Priority"),
    "two connections": post(CHAT, BODY, "Connection: close", "Connection: keep-alive"),
    "any header twice": post(CHAT, BODY, "X-A: 1", "x-a: 2"),
    "a folded line": with_line("X-A: 1\r\n 2"),
    "a blank before the colon": with_line("X-A : 1"),
    "a blank before the length's colon": PLAIN.replace(b"Content-Length:", b"Content-Length :"),
    "a header without a name": with_line(": 1"),
    "a line without a colon": with_line("X-A"),
    "a bare line feed": with_line("X-A: 1\nX-B: 2"),
    "a bare line feed at the end of the head": PLAIN.replace(b"\r\n\r\n", b"\n\n"),
    "bare line feeds": PLAIN.replace(b"\r\n", b"\n"),
    "a bare carriage return": with_line("X-A: 1\rX-B: 2"),
    "a NUL": with_line("X-A: \0"),
    "a control character": with_line("X-A: \x08"),
    "a letter beyond ASCII": with_line("X-A: \u00e9"),
    "a second request": PLAIN + PLAIN,
    "a blank line after it": PLAIN + b"\r\n",
    "a long head": with_line("X-A: " + "a" * 9000),
    "many headers": post(CHAT, BODY, *[f"X-{number}: 1" for number in range(200)]),
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain(data: bytes) -> None:
    """It is refused whole, and in every two pieces at the latest when it has come."""
    parser, used = PlainRequestParser(), PlainRequestParser()
    assert used.feed(PLAIN) is not None
    for each in (parser, used):
        with pytest.raises(NotPlain):
            each.feed(data)
        assert each.taken() == [data]
    step = max(1, len(data) // 200)
    for cut in range(1, min(len(data), 20_000), step):
        if data.startswith(PLAIN) and cut == len(PLAIN):
            continue  # the first piece is a plain request
        parser = PlainRequestParser()
        with pytest.raises(NotPlain):
            fed(parser, data[:cut], data[cut:])
        assert data.startswith(b"".join(parser.taken()))


def test_a_head_without_end_is_given_up_at_its_limit() -> None:
    parser = PlainRequestParser()
    parser.feed(b"POST / HTTP/1.1\r\n")
    with pytest.raises(NotPlain):
        fed(parser, *[b"X-A: " + b"a" * 95] * 100)


@given(
    bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 600)),
)
def test_requests_in_any_pieces(bodies: list[bytes], cuts: list[int]) -> None:
    """One parser reads one request after the other."""
    parser = PlainRequestParser()
    for body in bodies:
        data = post(CHAT, body)
        ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
        pieces = [data[a:b] for a, b in zip([0, *ends], ends, strict=False) if b > a]
        found = [parser.feed(piece) for piece in pieces]
        assert found[:-1] == [None] * (len(pieces) - 1)
        assert found[-1] is not None
        assert found[-1].body == body
        assert not parser.begun
        assert parser.taken() == []


def test_a_request_with_the_head_of_the_last_one_but_another_length() -> None:
    parser, line = PlainRequestParser(), "X-Priority: low"
    for body in (BODY, BODY, b"", b"{}" * 80, BODY):
        data = post(CHAT, body, line)
        request, alone = parser.feed(data), parsed(data)
        assert request is not None
        assert alone is not None
        assert request._replace(prepared=alone.prepared) == alone
    larger = post(CHAT, bytes(LARGEST_BODY + 1), line)
    with pytest.raises(NotPlain):
        parser.feed(larger)
    assert parser.taken() == [larger]


def test_connections_share_the_newest_head_as_long_as_one_has_it() -> None:
    newest = NewestHead()
    first, second = PlainRequestParser(newest), PlainRequestParser(newest)
    asked = first.feed(PLAIN)
    again = second.feed(PLAIN)
    other = second.feed(post(CHAT, b"{}"))
    assert asked is not None
    assert again is not None
    assert other is not None
    assert again == asked
    # What was made of the headers once is known to all who send them.
    assert again.prepared is asked.prepared is other.prepared
    assert (other.body, other.headers["Content-Length"]) == (b"{}", "2")
    # Another head is not taken for it.
    third = PlainRequestParser(newest)
    different = third.feed(with_line("Authorization: Bearer secret"))
    assert different is not None
    assert different.headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in again.headers
    assert newest.now() is not None
    del third
    gc.collect()
    assert newest.now() is None


def test_a_request_that_has_begun_tells_its_path_once_its_head_is_here() -> None:
    parser = PlainRequestParser()
    assert (parser.begun, parser.path) == (False, None)
    head, _, body = PLAIN.partition(b"\r\n\r\n")
    parser.feed(head)
    assert (parser.begun, parser.path) == (True, None)
    parser.feed(b"\r\n\r\n")
    assert (parser.begun, parser.path) == (True, CHAT)
    assert parser.feed(body) is not None
    assert (parser.begun, parser.path) == (False, None)
