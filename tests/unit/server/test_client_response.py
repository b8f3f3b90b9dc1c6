"""server/client_response.py: nothing follows the end of a response."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from engines import ShiftedClock
from gateway_client import CHAT

from server.client_response import ClientResponse
from server.exchange import AiohttpRequest
from utils.errors import GatewayError

STREAM = {"Content-Type": "text/event-stream"}


class SlowClient:
    """Takes the place of aiohttp's writing: each write is noted, and ends when let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
        self.written: list[bytes | str] = []
        self.reached = asyncio.Event()
        self.let_go = asyncio.Event()

        def noted(name: str) -> object:
            async def act(_response: web.StreamResponse, data: object = name) -> None:
                self.written.append(data if isinstance(data, bytes) else name)
                if name == slow:
                    self.reached.set()
                    await self.let_go.wait()

            return act

        for name in ("prepare", "write", "write_eof"):
            monkeypatch.setattr(web.StreamResponse, name, noted(name))


@pytest.mark.parametrize("fails", [False, True])
async def test_no_comment_follows_the_last_chunk_of_a_slow_reader(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    clock = ShiftedClock()
    client = SlowClient(monkeypatch, "write" if fails else "write_eof")
    async with ClientResponse(AiohttpRequest.of(make_mocked_request("POST", CHAT)), clock) as down:
        down.keep_alive(10)
        await down.begin(200, STREAM)
        last = down.fail(GatewayError("broken")) if fails else down.end()
        ending = asyncio.ensure_future(last)
        await client.reached.wait()
        before = list(client.written)
        clock.skip(11)
        for _ in range(5):
            await asyncio.sleep(0)
        assert client.written == before
        client.let_go.set()
        await ending


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\r\r"])
async def test_comments_stand_between_events(monkeypatch: pytest.MonkeyPatch, blank: bytes) -> None:
    clock = ShiftedClock()
    client = SlowClient(monkeypatch, "")
    async with ClientResponse(AiohttpRequest.of(make_mocked_request("POST", CHAT)), clock) as down:
        down.keep_alive(10)
        await down.begin(200, STREAM)
        for chunk, comments in ((b"data: 1", 0), (b"data: 1" + blank, 1)):
            await down.write(chunk)
            clock.skip(11)
            for _ in range(5):
                await asyncio.sleep(0)
            assert client.written.count(b": keep-alive\n\n") == comments
