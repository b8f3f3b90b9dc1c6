"""server/client_response.py: nothing follows the end of a response."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from engines import ShiftedClock
from gateway_client import CHAT

from server.client_response import ClientResponse
from server.exchange import AiohttpReply, AiohttpRequest
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


async def test_no_comment_begins_while_the_head_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ShiftedClock()
    client = SlowClient(monkeypatch, "prepare")
    async with ClientResponse(AiohttpRequest.of(make_mocked_request("POST", CHAT)), clock) as down:
        down.keep_alive(10)
        beginning = asyncio.ensure_future(down.begin(200, STREAM))
        await client.reached.wait()
        for expected in (["prepare"], ["prepare", b": keep-alive\n\n"]):
            clock.skip(11)
            for _ in range(5):
                await asyncio.sleep(0)
            assert client.written == expected
            client.let_go.set()
            await beginning


class PutClient(SlowClient):
    """Takes the place of aiohttp's writing also where nothing waits. ``room`` is what ``put`` says;
    with an error the client has left.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch, "")
        self.room = True
        self.error: Exception | None = None

        def put(_response: AiohttpReply, data: bytes) -> bool:
            if self.error is not None:
                raise self.error
            self.written.append(data)
            return self.room

        async def drained(_response: AiohttpReply) -> None:
            await self.let_go.wait()

        monkeypatch.setattr(AiohttpReply, "put", put)
        monkeypatch.setattr(AiohttpReply, "drained", drained)


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\r\r"])
async def test_comments_stand_between_events(monkeypatch: pytest.MonkeyPatch, blank: bytes) -> None:
    clock = ShiftedClock()
    client = PutClient(monkeypatch)
    async with ClientResponse(AiohttpRequest.of(make_mocked_request("POST", CHAT)), clock) as down:
        down.keep_alive(10)
        await down.begin(200, STREAM)
        for chunk, comments in ((b"data: 1", 0), (b"data: 1" + blank, 1)):
            await down.write(chunk)
            clock.skip(11)
            for _ in range(5):
                await asyncio.sleep(0)
            assert client.written.count(b": keep-alive\n\n") == comments


async def test_what_is_put_stands_between_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ShiftedClock()
    client = PutClient(monkeypatch)
    async with ClientResponse(AiohttpRequest.of(make_mocked_request("POST", CHAT)), clock) as down:
        down.keep_alive(10)
        await down.begin(200, STREAM)
        outlet = down.outlet()
        assert outlet is not None
        for chunk, comments in ((b"data: 1", 0), (b"\n\n", 0), (b"data: 2\n\n", 1)):
            assert outlet.put(chunk)
            clock.skip(11 if comments or chunk == b"data: 1" else 9)
            for _ in range(5):
                await asyncio.sleep(0)
            assert client.written.count(b": keep-alive\n\n") == comments


async def test_who_does_not_read_what_is_put_is_cut_off_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ShiftedClock()
    client = PutClient(monkeypatch)
    request = make_mocked_request("POST", CHAT)
    aborts: list[None] = []
    monkeypatch.setattr(request.transport, "abort", lambda: aborts.append(None))

    async def pass_(seconds: float) -> None:
        clock.skip(seconds)
        for _ in range(5):
            await asyncio.sleep(0)

    async with ClientResponse(AiohttpRequest.of(request), clock, patience=10) as down:
        await down.begin(200, STREAM)
        assert down.put(b"data: 1\n\n")
        # Where there is room, time does no harm.
        await pass_(100)
        client.room = False
        assert not down.put(b"data: 2\n\n")
        await pass_(9)
        client.let_go.set()
        await down.drained()
        await pass_(100)
        assert not aborts
        assert not down.put(b"data: 3\n\n")
        await pass_(9)
        assert not aborts
        await pass_(12)
        assert aborts


async def test_what_is_put_for_a_client_that_has_left_is_an_error_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = PutClient(monkeypatch)
    request = make_mocked_request("POST", CHAT)
    async with ClientResponse(AiohttpRequest.of(request), ShiftedClock()) as down:
        await down.begin(200, STREAM)
        client.error = ConnectionResetError("left")
        assert not down.put(b"data: 1\n\n")
        with pytest.raises(ConnectionResetError, match="left"):
            await down.drained()
