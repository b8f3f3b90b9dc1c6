"""A response that is cancelled while a slow client reads leaves nothing behind."""

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


class Stuck:
    """Replace a method of aiohttp's response by one that waits for the test."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def __call__(self, *_args: object) -> None:
        self.reached.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("act", "method"),
    [
        ("relay", "prepare"),
        ("relay", "drained"),
        ("relay", "write_eof"),
        ("fail", "write"),
        ("comment", "prepare"),
        ("comment", "write"),
    ],
)
async def test_downstream_waiting_for_a_slow_client(
    monkeypatch: pytest.MonkeyPatch, act: str, method: str
) -> None:
    """Check that block and comments have ended, and that nothing is written any more."""
    clock = ShiftedClock()
    stuck = Stuck()

    async def free(*_args: object) -> None:
        return

    for name in ("prepare", "write", "write_eof"):
        monkeypatch.setattr(web.StreamResponse, name, stuck if name == method else free)
        monkeypatch.setattr(web.Response, name, stuck if name == method else free)
    monkeypatch.setattr(AiohttpReply, "put", lambda *_: method != "drained")
    monkeypatch.setattr(AiohttpReply, "drained", stuck)

    async def respond() -> None:
        async with ClientResponse(
            AiohttpRequest.of(make_mocked_request("POST", CHAT)), clock
        ) as down:
            down.keep_alive(10)
            if act == "comment":
                clock.skip(11)
                await stuck.reached.wait()
            elif act == "fail":
                await down.begin(200, {"Content-Type": "text/event-stream"})
                await down.fail(GatewayError("it broke"))
            else:
                await down.begin(200, {"Content-Type": "text/event-stream"})
                await down.write(b"data: 1\n\n")
            await down.end()
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    task = asyncio.create_task(respond())
    await stuck.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asyncio.all_tasks() == before
    stuck.reached.clear()
    clock.skip(100)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert not stuck.reached.is_set()
