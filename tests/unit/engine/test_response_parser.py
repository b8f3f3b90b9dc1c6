"""engine/response_parser.py: one response after another, however the bytes are cut."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.response_parser import Progress, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
Read = tuple[int, bytes, Progress, bool]


def read(*pieces: bytes, closes: bool = False) -> Read:
    """Return status, body, progress and reusability after these pieces."""
    parser = ResponseParser()
    body = b"".join(map(parser.feed, pieces))
    if closes:
        parser.end()
    return parser.status, body, parser.progress, parser.reusable


COMPLETE: dict[str, tuple[bytes, Read]] = {
    "length": (OK + b"Content-Length: 3\r\n\r\nabc", (200, b"abc", Progress.ENDED, True)),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", (200, b"", Progress.ENDED, True)),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", Progress.ENDED, True)),
    "304": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
        (304, b"", Progress.ENDED, True),
    ),
    "chunks": (
        CHUNKED + b'1\r\na\r\n2;name="x"\r\nbc\r\n0\r\nTrailer: x\r\n\r\n',
        (200, b"abc", Progress.ENDED, True),
    ),
    "interim": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        + OK
        + b"Content-Length: 1\r\n\r\na",
        (200, b"a", Progress.ENDED, True),
    ),
    "close": (
        OK + b"Connection: close\r\nContent-Length: 1\r\n\r\na",
        (200, b"a", Progress.ENDED, False),
    ),
    "1.0": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        (200, b"a", Progress.ENDED, False),
    ),
    "1.0, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
        (200, b"a", Progress.ENDED, True),
    ),
    "by hand": (b"HTTP/1.1 200 OK\nContent-Length: 1\n\na", (200, b"a", Progress.ENDED, True)),
}
UNTIL_CLOSED = {
    "1.1": OK + b"\r\nabc",
    "1.0": b"HTTP/1.0 200 OK\r\n\r\nabc",
    "no chunks": OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
}


@pytest.mark.parametrize("name", COMPLETE)
def test_a_response_is_the_same_wherever_it_is_cut(name: str) -> None:
    data, expected = COMPLETE[name]
    assert read(data) == expected
    for at in range(1, len(data)):
        assert read(data[:at], data[at:]) == expected
    assert read(*(data[at : at + 1] for at in range(len(data)))) == expected


@pytest.mark.parametrize("name", COMPLETE)
def test_a_connection_that_ends_before_breaks_the_response(name: str) -> None:
    data, expected = COMPLETE[name]
    for at in range(len(data)):
        *_, progress, reusable = read(data[:at], closes=True)
        assert (progress, reusable) == (Progress.BROKEN, False)
    assert read(data, closes=True) == (*expected[:3], False)


@pytest.mark.parametrize("name", UNTIL_CLOSED)
def test_a_body_may_end_with_its_connection(name: str) -> None:
    data = UNTIL_CLOSED[name]
    for at in range(1, len(data)):
        assert read(data[:at], data[at:]) == (200, b"abc", Progress.BODY, False)
        assert read(data[:at], data[at:], closes=True) == (200, b"abc", Progress.ENDED, False)


@pytest.mark.parametrize("more", [b"x", b"\0", COMPLETE["length"][0], b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("name", COMPLETE)
def test_bytes_after_the_end_spoil_the_connection_only(name: str, more: bytes) -> None:
    data, expected = COMPLETE[name]
    unusable = (*expected[:3], False)
    assert read(data + more) == unusable
    assert read(data, more) == unusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        OK + b"Content-Length: 3, 4\r\n\r\nabc",
        OK + b"Content-Length: -3\r\n\r\nabc",
        OK + b"Content-Length: 99999999999999999999\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        CHUNKED + b"z\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"10000000000000000\r\n",
        CHUNKED + b"1\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
        OK + b"X: " + b"x" * 70_000,
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3000,
        CHUNKED + b"1;" + b"x" * 70_000,
        CHUNKED + b"0\r\nX: " + b"x" * 70_000,
    ],
    ids=lambda data: data[:70].decode(),
)
def test_what_no_engine_may_send_is_refused(data: bytes) -> None:
    for pieces in ([data], [data[at : at + 4096] for at in range(0, len(data), 4096)]):
        parser = ResponseParser()
        for piece in pieces:
            parser.feed(piece)
        assert (parser.progress, parser.reusable) == (Progress.BROKEN, False)
        why = parser.error
        assert why
        # What else comes changes nothing.
        parser.feed(OK)
        parser.end()
        assert (parser.progress, parser.error) == (Progress.BROKEN, why)


def test_what_came_before_the_fault_is_not_lost() -> None:
    assert read(CHUNKED + b"1\r\na\r\nz\r\n") == (200, b"a", Progress.BROKEN, False)


def test_responses_follow_each_other_on_a_connection() -> None:
    parser = ResponseParser()
    for name, (data, (status, body, _, reusable)) in COMPLETE.items():
        if reusable:
            parser.begin()
            assert (parser.feed(data), parser.status, parser.reusable) == (body, status, True), name


@given(
    st.lists(
        st.tuples(
            st.sampled_from([200, 201, 204, 304, 400]),
            st.sampled_from([[], [("Server", "x")], [("Connection", "close")]]),
            st.sampled_from([b"", b"a", b"abc", b"a" * 10]),
            st.sampled_from([0, 0, 0, 5]),
        ),
        max_size=8,
    )
)
def test_a_response_is_read_alike_whatever_came_before(
    responses: list[tuple[int, list[tuple[str, str]], bytes, int]],
) -> None:
    """Also those whose heads are known: each is read as by a parser of its own."""
    parser = ResponseParser()
    for status, headers, body, cut in responses:
        data = written(status, headers, [body], "length")
        alone = ResponseParser()
        for each in (parser, alone):
            each.begin()
            found = b"".join(each.feed(piece) for piece in (data[:cut], data[cut:]) if piece)
            assert each.progress is Progress.ENDED
            assert found == (b"" if status in (204, 304) else body)
        assert (parser.status, parser.length) == (alone.status, alone.length)
        assert (parser.headers, parser.reusable) == (alone.headers, alone.reusable)
        if not parser.reusable:
            parser = ResponseParser()


def test_headers_keep_their_bytes() -> None:
    parser = ResponseParser()
    parser.feed(OK + b"X-A: caf\xc3\xa9\r\nx-b: \xff\r\nX-A: 2\r\nContent-Length: 12\r\n\r\n")
    assert parser.headers.getall("x-a") == ["café", "2"]
    assert parser.headers["X-B"].encode("utf-8", "surrogateescape") == b"\xff"
    assert parser.length == 12


# -- beside another reader -------------------------------------------------------------------

_framing = st.sampled_from(["length", "chunked", "close"])
_names = st.text("abcXYZ-09", min_size=1, max_size=9).map(lambda name: f"X-{name}")
_values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


def written(status: int, headers: list[tuple[str, str]], chunks: list[bytes], how: str) -> bytes:
    """Return the bytes of a response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status} Some\r\n{lines}".encode()
    if how == "chunked":
        parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk]
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts) + b"0\r\n\r\n"
    body = b"".join(chunks)
    length = b"" if how == "close" else b"Content-Length: %d\r\n" % len(body)
    return head + length + b"\r\n" + body


def read_by_h11(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body as another reader finds them."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    body, status, headers = b"", 0, []
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.EndOfMessage)
            return status, headers, body


@given(
    st.integers(200, 599),
    st.lists(st.tuples(_names, _values), max_size=4),
    st.lists(st.binary(max_size=40), max_size=4),
    _framing,
    st.lists(st.integers(1, 60), max_size=20),
)
def test_it_reads_what_another_reads(
    status: int,
    headers: list[tuple[str, str]],
    chunks: list[bytes],
    how: str,
    cuts: list[int],
) -> None:
    data = written(status, headers, chunks, how)
    parser, body, rest = ResponseParser(), b"", data
    for cut in (*cuts, len(data)):
        body += parser.feed(rest[:cut])
        rest = rest[cut:]
    parser.end()
    assert parser.progress is Progress.ENDED
    other_status, other_headers, other_body = read_by_h11(data)
    assert (parser.status, body) == (other_status, other_body)
    found = [(n.lower().encode(), value.encode()) for n, value in parser.headers.items()]
    assert found == other_headers
