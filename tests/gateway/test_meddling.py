"""Clients, operators and faults at the same time: nothing is leaked or lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from gateway import PATIENT, Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT, chat_body
from raw_client import PATIENCE

from models.catalog import Catalog

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from fake_engine import Journal

    from models.spec import ModelSpec

STEPS = 60
OUT_OF_MEMORY = 503
# What may become of a request here. A fault of the gateway would be 500.
TOLD = {200, 204, 404, 502, 503}


class Crowd:
    """Takes one random action after the other at a gateway."""

    def __init__(
        self, gw: Gateway, chance: random.Random, ours: list[ModelSpec], other: ModelSpec
    ) -> None:
        self._gw = gw
        self._chance = chance
        self._ours = ours
        self._other = other
        self.seen: set[int] = set()

    def step(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """One action."""
        often = [self.talk, self.leave, self.cancel]
        seldom = [self.replay, self.stop, self.socket, self.unload, self.reload, self.kill]
        return self._chance.choice([*often, *often, *seldom, self.listen])

    async def talk(self) -> None:
        await self._ask("POST", CHAT, json=self._body(), headers=self._header())

    async def leave(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(0.005, 0.3)):
                await self.talk()

    async def replay(self) -> None:
        await self._ask("GET", f"/v1/stream?conv_id={self._name()}")

    async def stop(self) -> None:
        await self._ask("DELETE", f"/v1/stream?conv_id={self._name()}")

    async def socket(self) -> None:
        url = f"{self._gw.url}/upstream/{self._model()}/ws"
        with contextlib.suppress(aiohttp.WSServerHandshakeError, TimeoutError):
            async with (
                asyncio.timeout(self._chance.uniform(0.05, 0.3)),
                self._gw.session.ws_connect(url) as socket,
            ):
                await socket.send_str("hello")
                async for _ in socket:
                    pass

    async def cancel(self) -> None:
        running = (await self._gw.request("GET", "/running")).json
        if running["requests"]:
            request = self._chance.choice(running["requests"])["id"]
            await self._ask("DELETE", f"/admin/requests/{request}")

    async def unload(self) -> None:
        order = {"model": self._model(), "force": self._chance.random() < 0.5}
        await self._ask("POST", "/admin/unload", json=order)

    async def reload(self) -> None:
        self._gw.following.catalog = Catalog([self._chance.choice(self._ours), self._other])
        await self._ask("POST", "/admin/config/reload")

    async def kill(self) -> None:
        running = (await self._gw.request("GET", "/running")).json
        for pid in [engine["pid"] for engine in running["engines"] if engine["pid"]][:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def listen(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(0.01, 0.2)):
                await self._gw.request("GET", self._chance.choice(["/events", "/logs/stream"]))

    async def _ask(self, method: str, path: str, **more: Any) -> None:
        # A stream that had begun is cut after the event that tells its failure.
        with contextlib.suppress(aiohttp.ClientPayloadError):
            # Who stops the stream of another takes its proper end from it.
            answer = await self._gw.request(method, path, check=False, **more)
            self.seen.add(answer.status)

    def _model(self) -> str:
        return self._chance.choice(["m", "n"])

    def _name(self) -> str:
        return self._chance.choice(["c1", "c2", "c3"])

    def _header(self) -> dict[str, str]:
        return {"X-Conversation-Id": self._name()} if self._chance.random() < 0.6 else {}

    def _body(self) -> dict[str, Any]:
        tokens = self._chance.choice([2, 20, 300])
        stream = self._chance.random() < 0.8
        return chat_body(model=self._model(), max_tokens=tokens, stream=stream)


async def seen(gw: Gateway) -> tuple[list[Any], list[Any]]:
    """Return the requests in flight and the queue, as an operator sees them."""
    running = (await gw.request("GET", "/running")).json
    return running["requests"], running["queue"]


@pytest.mark.parametrize("world", range(3))
@pytest.mark.usefixtures("world")
async def test_nothing_is_left(
    journal: Journal, caplog: pytest.LogCaptureFixture, dice: random.Random
) -> None:
    caplog.set_level(logging.WARNING)
    knobs: dict[str, Any] = {"resumable": True, "token_delay": 0.01, "timeouts": PATIENT}
    small, large = (fake_variant(journal, size, **knobs) for size in (256, 512))
    other = fake_model(fake_variant(journal, model="n", parallel=2, **knobs))
    redefined = fake_variant(journal, args=("--verbose",), **knobs)
    ours = [fake_model(small), fake_model(small, large), fake_model(redefined, large)]
    async with running_gateway(
        journal, ours[1], other, max_loaded_models=2, keepalive_interval=0.05
    ) as gw:
        crowd = Crowd(gw, dice, ours, other)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(STEPS):
                tasks.create_task(crowd.step()())
                await asyncio.sleep(dice.uniform(0, 0.05))
        await gw.request("POST", "/admin/reload", json={"force": True})
        # A stream of a conversation goes on without its client, also to the next engine.
        async with asyncio.timeout(PATIENCE):
            while (running := await seen(gw)) != ([], []):
                await asyncio.sleep(0.01)
        assert running == ([], [])
        await until(lambda: not any(record.active for record in gw.manager.records()))
        # Who was killed while it loaded is not tried again at once.
        while (answer := await gw.chat(model="m")).status == OUT_OF_MEMORY:
            await asyncio.sleep(0.1)
        assert answer.status == 200
        assert crowd.seen <= TOLD
    faults = [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]
    assert not faults
