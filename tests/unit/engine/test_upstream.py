"""upstream.py: where an engine's answer begins."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from engine.upstream import AiohttpAnswer, UpstreamResponse, uncommented
from utils.errors import EngineBroke


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (b"data: x\n\n", b"data: x\n\n"),
        (b":\n\ndata: x\n\n", b"data: x\n\n"),
        (b": ping\r\n\r\n: ping\r\n\r\ndata: x", b"data: x"),
        (b":\ndata: x\n\n", b"data: x\n\n"),
        (b":\n\n", b""),
        (b":\n", b""),
        (b":\r\n\r", b""),
        (b"\ndata: x", b"data: x"),
        (b": pi", b": pi"),
        (b":\n\n: pi", b": pi"),
        (b"", b""),
    ],
)
def test_what_follows_the_comments(data: bytes, rest: bytes) -> None:
    assert uncommented(data) == rest


async def begun(*pieces: bytes) -> bytes:
    """Return the first bytes of an answer that comes in these pieces, one a read."""
    wanted = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await wanted.wait()
            wanted.clear()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{port}/")
        upstream = UpstreamResponse(AiohttpAnswer(response), lambda _: None, lambda _: wanted.set())
        async with upstream:
            await upstream.begin()
            wanted.set()
            return upstream.first


@pytest.mark.parametrize(
    "pieces",
    [
        (b": pi", b"ng\n\ndata: x"),
        (b":", b"\n", b"\n", b"data: x"),
        (b":\n\n:\n\n", b":\r", b"\n\r", b"\n", b"data: x"),
    ],
)
async def test_comments_that_are_cut_do_not_begin_an_answer(pieces: tuple[bytes, ...]) -> None:
    assert await begun(*pieces) == b"data: x"


async def test_an_answer_of_comments_alone_is_empty() -> None:
    assert await begun(b":\n\n", b": pi") == b""


async def body_of(head: bytes, *, alive: bool) -> tuple[bytes, int]:
    """Read a whole body of an engine that is ``alive`` after it; how often that was asked."""
    asked = 0

    async def is_alive() -> bool:
        nonlocal asked
        asked += 1
        return alive

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\nabc")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{port}/")
        upstream = UpstreamResponse(
            AiohttpAnswer(response), lambda _: None, lambda _: None, is_alive
        )
        async with upstream:
            await upstream.begin()
            body = upstream.first
            while more := await upstream.read():
                body += more
            assert await upstream.read() == b""
            return body, asked


async def test_a_body_that_ends_with_the_connection_ends_well_if_the_engine_is_alive() -> None:
    assert await body_of(b"HTTP/1.0 200 OK", alive=True) == (b"abc", 1)


async def test_a_body_that_ends_with_the_engine_is_broken_off() -> None:
    with pytest.raises(EngineBroke, match="in the middle of its response"):
        await body_of(b"HTTP/1.0 200 OK", alive=False)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 3", b"HTTP/1.0 500 Broken"])
async def test_nobody_asks_after_a_body_of_known_length_or_an_error(head: bytes) -> None:
    assert await body_of(head, alive=False) == (b"abc", 0)
