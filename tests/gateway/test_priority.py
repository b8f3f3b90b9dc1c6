"""``X-Priority``: which request is served first where the server allows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import CHAT, chat_body
from raw_client import RawClient, post

if TYPE_CHECKING:
    from fake_engine import Journal
    from gateway import Gateway

WORK = "/upstream/m/v1/jobs"


async def queued(gw: Gateway, path: str, text: str, priority: str) -> RawClient:
    """Send a request that waits behind those in the queue."""
    client = await gw.connect()
    body = chat_body(text) if path == CHAT else {"content": text}
    await client.send(post(path, json.dumps(body).encode(), f"X-Priority: {priority}"))
    return client


async def order_of(journal: Journal, path: str, *, allowed: bool) -> list[int]:
    """Send a low, a normal and a high request in this order; return the engine's order."""
    variant = fake_variant(journal, stall_at=1, times=1)
    async with running_gateway(journal, fake_model(variant), priority_header=allowed) as gw:
        first = await (await gw.stream("first")).head()
        await first.data()
        clients = []
        for number, priority in enumerate(("low", "normal", "high")):
            # Told apart by their length.
            clients.append(await queued(gw, path, "x" * 10 * (number + 1), priority))
            await gw.until_waiting(number + 1)
        first.leave()
        for client in clients:
            assert (await client.head()).status == 200
        engine_path = path.removeprefix("/upstream/m")
        asked = [e for e in gw.engine_requests(engine_path) if e["method"] == "POST"]
        assert not [e for e in asked if "x-priority" in {name.lower() for name in e["headers"]}]
        sizes = [event["bytes"] for event in asked][-3:]
        return [sorted(sizes).index(size) for size in sizes]


@pytest.mark.parametrize("path", [CHAT, WORK])
async def test_the_urgent_go_first_where_that_is_allowed(journal: Journal, path: str) -> None:
    assert await order_of(journal, path, allowed=True) == [2, 1, 0]


@pytest.mark.parametrize("path", [CHAT, WORK])
async def test_nobody_is_more_urgent_where_it_is_not(journal: Journal, path: str) -> None:
    assert await order_of(journal, path, allowed=False) == [0, 1, 2]


@pytest.mark.parametrize("path", [CHAT, WORK, "/upstream/m/erase"])
async def test_another_word_is_refused(journal: Journal, path: str) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, priority_header=True) as gw:
        answer = await gw.post(chat_body(), path, headers={"X-Priority": "urgent"})
        error = answer.error(400, "invalid_request")
        assert error["param"] == "X-Priority"
        assert '"low", "normal" or "high"' in error["message"]
        assert not gw.starts()
