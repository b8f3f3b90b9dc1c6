"""Unfinished bodies have a common memory limit."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from gateway import fake_model, fake_variant, running_gateway
from gateway_client import CHAT, chat_body
from raw_client import post

if TYPE_CHECKING:
    from fake_engine import Journal

LIMIT = 256 * 1024
LARGE = json.dumps(chat_body("x" * 200_000)).encode()


async def test_what_does_not_fit_is_told_to_come_again(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, context=400_000))
    async with running_gateway(
        journal, model, max_request_bytes=LIMIT, max_body_memory=LIMIT
    ) as gw:
        clients = [await gw.connect() for _ in range(2)]
        for client in clients:
            await client.send(post(CHAT, LARGE)[:-1])
        # There is room for one of them.
        heads = [asyncio.create_task(client.head()) for client in clients]
        done, [waiting] = await asyncio.wait(heads, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        [told] = [each.result() for each in done]
        assert told.status == 503
        assert int(told.headers["retry-after"]) > 0
        assert json.loads(await told.body())["error"]["code"] == "bodies_too_large"
        assert (await gw.post(LARGE)).status == 503
        # Small requests need no room.
        assert (await gw.chat("small")).status == 200
        for client in clients:
            client.leave()
        while (answer := await gw.post(LARGE)).status == 503:
            pass
        assert answer.status == 200
