"""Accounts on real databases, with gateways that are killed, and several on one database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from account_gateway import UNIT, Books, bearer, books
from account_rows import check_books
from aiohttp import web
from fake_engine import Journal
from gateway import until
from gateway_child import GatewayProcess, gateway_process, lua
from gateway_client import CHAT, chat_body, client_session
from main_process import import_ahead
from ports import quiet_port
from postgres import Postgres, new_database, postgres
from small_disk import small_disk
from sqlalchemy import select

from accounts.money import to_nano
from accounts.tables import HOLDS, USAGE

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

KILLS = 6
CLIENTS = 40
TRIES, ENOUGH = 480, 200
# What a gateway with accounts and an engine elsewhere imports, which takes half of its start.
IMPORTS = (
    *("accounts.service", "server.account_pages", "server.people.people"),
    *("alembic.command", "engine.remote.type", "psycopg"),
)

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("accounts")]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The ``database_url`` of a new database."""
    del tmp_path
    if request.param == "sqlite":
        return None
    return new_database(request.getfixturevalue("postgres_server"))


@contextlib.asynccontextmanager
async def engine() -> AsyncIterator[str]:
    """An engine elsewhere, which streams four tokens at once; the URL of it."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    words = [{"role": "assistant", "content": ""}, *({"content": "word "} for _ in range(4))]
    events = [
        {**chunk, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in words
    ]
    events.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    events.append({**chunk, "choices": [], "usage": usage})

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        port = quiet_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def configuration(
    folder: Path, port: int, engine_url: str, url: str | None, pricing: dict[str, str]
) -> str:
    accounts: dict[str, Any] = {"tiers": {"payg": {"rpm": 10**6}}, "pricing": pricing}
    if url is not None:
        accounts["database_url"] = url
    server = {"listen_v4": f"127.0.0.1:{port}", "state_dir": str(folder), "log_level": "warning"}
    model = {"name": "m", "engine": "remote", "url": engine_url, "variants": [{"parallel": 64}]}
    text = f"server = {lua(server)}\naccounts = {lua(accounts)}\nmodels = {lua([model])}\n"
    return text.replace('"remote"', "presets.engines.remote").replace('"warning"', '"info"')


def started(
    folder: Path, text: str, port: int, name: str = "gateway"
) -> AbstractAsyncContextManager[GatewayProcess]:
    import_ahead(*IMPORTS)
    return gateway_process(Journal(folder / "journal"), text, port, name)


async def ended(gateway: GatewayProcess, number: signal.Signals = signal.SIGTERM) -> int:
    """Send a signal that ends the gateway; return its exit status."""
    gateway.signal(number)
    return await gateway.exit_status()


class Crowd:
    """Clients that ask again and again, and what the whole answers told them."""

    def __init__(self, port: int, key: str) -> None:
        self.up = asyncio.Event()
        self.finished: dict[str, int] = {}
        self._port, self._key = port, key

    async def until_finished(self, more: int) -> None:
        """Wait for so many more whole answers."""
        target = len(self.finished) + more
        await until(lambda: len(self.finished) >= target)

    async def ask(self, session: aiohttp.ClientSession) -> None:
        body = chat_body(stream=True, model="m") | {"stream_options": {"include_usage": True}}
        while True:
            await self.up.wait()
            try:
                url = f"http://127.0.0.1:{self._port}{CHAT}"
                async with session.post(url, json=body, **bearer(self._key)) as response:
                    text = await response.read()
            except aiohttp.ClientError:
                # The gateway was killed; the next one is waited for.
                self.up.clear()
                continue
            if response.status == 200 and text.endswith(b"data: [DONE]\n\n"):
                [cost] = re.findall(rb'"cost":([0-9.]+)', text)
                self.finished[response.headers["X-Request-Id"]] = to_nano(cost.decode())


async def test_every_answer_that_a_client_has_is_charged_once(
    tmp_path: Path, url: str | None, dice: random.Random
) -> None:
    """Gateways are killed at random moments under load; their successors find all books right."""
    state, port = tmp_path / "state", quiet_port()
    at = books(state, url)
    key = at.add(money=10**6 * UNIT)
    crowd = Crowd(port, key)
    async with engine() as elsewhere, client_session() as session, asyncio.TaskGroup() as tasks:
        text = configuration(state, port, elsewhere, url, {"output_per_1k": "1"})
        clients = [tasks.create_task(crowd.ask(session)) for _ in range(CLIENTS)]
        for number in range(KILLS + 1):
            name = f"gateway{number}"
            async with started(tmp_path, text, port, name) as gateway:
                crowd.up.set()
                await crowd.until_finished(dice.randrange(1, 60))
                if number < KILLS:
                    await ended(gateway, signal.SIGKILL)
                    continue
                for client in clients:
                    client.cancel()
                assert await ended(gateway) == 0
    right(at, crowd.finished)


def right(at: Books, finished: dict[str, int]) -> None:
    """Assert that each of these requests was charged once, by what its client was told."""
    with at.engine.connect() as connection:
        check_books(connection)
        rows = connection.execute(select(USAGE.c.request_id, USAGE.c.cost, USAGE.c.ended))
        charged = {request: cost for request, cost, ended in rows if ended == "complete"}
        assert not connection.execute(select(HOLDS)).all()
    assert finished.items() <= charged.items()


async def test_four_gateways_spend_no_more_than_there_is(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    """There is money for 200 of 480 requests: exactly so many are answered."""
    url = new_database(postgres_server)
    at = books(tmp_path, url)
    key = at.add(money=ENOUGH * UNIT)
    prices = {"input_per_1k": "0", "output_per_1k": "0", "per_request": "1"}
    async with contextlib.AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(engine())
        session = await stack.enter_async_context(client_session())

        async def begun(number: int) -> GatewayProcess:
            state, port = tmp_path / f"state{number}", quiet_port()
            text = configuration(state, port, elsewhere, url, prices)
            running = started(tmp_path, text, port, f"gateway{number}")
            return await stack.enter_async_context(running)

        gateways = [await begun(number) for number in range(4)]
        slots = asyncio.Semaphore(CLIENTS)

        async def ask(number: int) -> int:
            gateway = gateways[number % 4]
            async with (
                slots,
                session.post(
                    gateway.url + CHAT, json=chat_body(stream=True, model="m"), **bearer(key)
                ) as response,
            ):
                await response.read()
                return response.status

        statuses = await asyncio.gather(*(ask(number) for number in range(TRIES)))
        assert sorted(set(statuses)) == [200, 402]
        assert statuses.count(200) == ENOUGH
        for gateway in gateways:
            assert await ended(gateway) == 0
            assert "cannot be written" not in gateway.said, "they block each other"
    assert at.balance() == 0
    at.check()


class Kept:
    """A gateway whose database comes and goes, and who asks it."""

    def __init__(self, gateway: GatewayProcess, payer: str, friend: str) -> None:
        self.gateway, self._payer, self._friend = gateway, payer, friend

    async def pays(self) -> int:
        return await self._status(self._payer)

    async def is_free(self) -> int:
        return await self._status(self._friend)

    async def _status(self, key: str) -> int:
        answer = await self.gateway.post(chat_body(model="m", stream=True), **bearer(key))
        return answer.status

    async def told(self) -> str:
        return str((await self.gateway.health())["accounts"]["status"])

    async def heals(self) -> None:
        """Wait until who pays is answered again, and all is well."""
        while await self.pays() != 200 or await self.told() != "ok":
            await asyncio.sleep(0.1)


async def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Who pays is told so, others go on, and what was answered meanwhile is booked afterwards.

    That is also so where the gateway ends meanwhile, by SIGTERM or SIGKILL.
    """
    with postgres() as own:
        at = books(tmp_path, own.url)
        payer, friend = at.add(), at.add("sub")
        state, port = tmp_path / "state", quiet_port()
        async with engine() as elsewhere:
            text = configuration(state, port, elsewhere, own.url, {})
            text = text.replace("accounts = {", "accounts = { hold_wait = 0.5, ")
            for number, end in enumerate((None, signal.SIGTERM, signal.SIGKILL)):
                name = f"gateway{number}"
                async with started(tmp_path, text, port, name) as gateway:
                    kept = Kept(gateway, payer, friend)
                    # A disk may be slower than ``hold_wait`` for once.
                    await kept.heals()
                    assert await kept.is_free() == 200
                    own.stop()
                    for _ in range(3):
                        assert await kept.pays() == 503
                        assert await kept.is_free() == 200
                    assert await kept.told() == "failing"
                    if end is not None:
                        assert await ended(gateway, end) == (0 if end is signal.SIGTERM else -end)
                    own.start()
                    if end is None:
                        await kept.heals()
                        assert await ended(gateway) == 0
            assert await at_rest(tmp_path, text, port) == 0
        rows = at.usage()
        assert sum(row["account_id"] == 2 for row in rows) == 3 * 4
        at.check()


async def at_rest(folder: Path, text: str, port: int) -> int:
    """Start a gateway, which books what the last one has left, and end it."""
    async with started(folder, text, port, "last") as gateway:
        return await ended(gateway)


async def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Who pays is told so, others go on, and all is booked when there is room again."""
    state, port = tmp_path / "state", quiet_port()
    with small_disk(state) as disk:
        at = books(state)
        payer, friend = at.add(), at.add("sub")
        async with engine() as elsewhere:
            text = configuration(state, port, elsewhere, None, {})
            # Longer than a machine is busy with something else: nothing but the disk is late.
            text = text.replace("accounts = {", "accounts = { hold_wait = 2, ")
            async with started(tmp_path, text, port) as gateway:
                kept = Kept(gateway, payer, friend)
                await kept.heals()
                disk.fill(gateway.process.pid)
                free = 0
                while await kept.pays() == 200:
                    pass
                for _ in range(3):
                    assert await kept.pays() == 503
                    assert await kept.is_free() == 200
                    free += 1
                assert await kept.told() == "failing"
                disk.free(gateway.process.pid)
                await kept.heals()
                assert await ended(gateway) == 0
        assert sum(row["account_id"] == 2 for row in at.usage()) == free
        at.check()
        at.engine.dispose()
