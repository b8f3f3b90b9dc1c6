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
from gateway_child import gateway_process, lua, quiet_port
from gateway_client import CHAT, chat_body, client_session
from postgres import Postgres, postgres
from sqlalchemy import select

from accounts.money import to_nano
from accounts.tables import HOLDS, USAGE

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway_child import GatewayProcess

KILLS = 10
CLIENTS = 40
TRIES, ENOUGH = 1200, 500

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("accounts")]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The ``database_url`` of a new database."""
    del tmp_path
    if request.param == "sqlite":
        return None
    return fresh(request.getfixturevalue("server"))


def fresh(server: Postgres) -> str:
    """Return the address of an empty database."""
    name = f"test{quiet_port()}"
    import psycopg  # noqa: PLC0415 - only where there is a PostgreSQL

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url.removesuffix("postgres") + name


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
            journal = Journal(tmp_path / f"journal{number}")
            async with gateway_process(journal, text, port, f"gateway{number}") as gateway:
                crowd.up.set()
                await crowd.until_finished(dice.randrange(1, 100))
                if number < KILLS:
                    gateway.signal(signal.SIGKILL)
                    await gateway.exit_status()
                    continue
                for client in clients:
                    client.cancel()
                gateway.signal()
                assert await gateway.exit_status() == 0
    right(at, crowd.finished)


def right(at: Books, finished: dict[str, int]) -> None:
    """Assert that each of these requests was charged once, by what its client was told."""
    with at.engine.connect() as connection:
        check_books(connection)
        rows = connection.execute(select(USAGE.c.request_id, USAGE.c.cost, USAGE.c.ended))
        charged = {request: cost for request, cost, ended in rows if ended == "complete"}
        assert not connection.execute(select(HOLDS)).all()
    assert finished.items() <= charged.items()


async def test_four_gateways_spend_no_more_than_there_is(tmp_path: Path, server: Postgres) -> None:
    """There is money for 500 of 1200 requests: exactly so many are answered."""
    url = fresh(server)
    at = books(tmp_path, url)
    key = at.add(money=ENOUGH * UNIT)
    prices = {"input_per_1k": "0", "output_per_1k": "0", "per_request": "1"}
    async with contextlib.AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(engine())
        session = await stack.enter_async_context(client_session())

        async def begun(number: int) -> GatewayProcess:
            state, port = tmp_path / f"state{number}", quiet_port()
            text = configuration(state, port, elsewhere, url, prices)
            journal = Journal(tmp_path / f"journal{number}")
            running = gateway_process(journal, text, port, f"gateway{number}")
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
            gateway.signal()
            assert await gateway.exit_status() == 0
    assert at.balance() == 0
    at.check()


async def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Who pays is told so, others go on, and what was answered meanwhile is booked afterwards."""
    with postgres() as own:
        at = books(tmp_path, own.url)
        payer, friend = at.add(), at.add("sub")
        state, port = tmp_path / "state", quiet_port()
        async with engine() as elsewhere:
            text = configuration(state, port, elsewhere, own.url, {})
            text = text.replace("accounts = {", "accounts = { hold_wait = 0.5, ")
            async with gateway_process(Journal(tmp_path / "journal"), text, port) as gateway:

                async def status(key: str) -> int:
                    answer = await gateway.post(chat_body(model="m", stream=True), **bearer(key))
                    return answer.status

                async def told() -> str:
                    return str((await gateway.health())["accounts"]["status"])

                assert await status(payer) == await status(friend) == 200
                own.stop()
                for _ in range(3):
                    assert await status(payer) == 503
                    assert await status(friend) == 200
                assert await told() == "failing"
                own.start()
                while await status(payer) != 200 or await told() != "ok":
                    pass
                gateway.signal()
                assert await gateway.exit_status() == 0
        rows = at.usage()
        assert sum(row["account_id"] == 2 for row in rows) == 4
        at.check()
