"""engine/process/connection.py: engines that the gateway did not start."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from builders import TIMEOUTS, variant
from gateway import until
from raw_client import PATIENCE

from engine.process.connection import EngineConnection
from engine.process.health import HealthChecks
from engine.remote.type import Remote
from engine.scheduling import events as ev
from utils.clock import LoopClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from models.spec import VariantSpec

pytestmark = pytest.mark.timeout(PATIENCE)
OFTEN = HealthChecks(interval=0.01, failures=2)


@dataclass
class Server:
    """A server whose health path answers ``status``."""

    status: int = 200
    url: str = ""
    asked: int = 0

    async def health(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status)


@asynccontextmanager
async def running_server(status: int = 200) -> AsyncIterator[Server]:
    server = Server(status)
    app = web.Application()
    app.router.add_get("/ready", server.health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def at(url: str, patience: float = 5.0, health_path: str | None = "/ready") -> VariantSpec:
    timeouts = replace(TIMEOUTS, health_check=patience)
    return variant(None, "far", name="x", url=url, health_path=health_path, timeouts=timeouts)


@dataclass
class Watched:
    connection: EngineConnection
    task: asyncio.Task[None]
    reports: list[ev.Event] = field(default_factory=list)

    @property
    def kinds(self) -> list[type[ev.Event]]:
        return [type(event) for event in self.reports]


@asynccontextmanager
async def connected(spec: VariantSpec, checks: HealthChecks = OFTEN) -> AsyncIterator[Watched]:
    reports: list[ev.Event] = []
    client = Remote().client(spec, spec.url)
    connection = EngineConnection(7, spec, client, reports.append, LoopClock(), checks)
    watched = Watched(connection, asyncio.create_task(connection.run()), reports)
    try:
        yield watched
    finally:
        connection.kill()
        await watched.task
    last = reports[-1]
    assert isinstance(last, ev.EngineExited)
    assert watched.kinds.count(ev.EngineExited) == 1
    assert await connection.gone(None)


async def test_it_is_ready_when_the_server_says_so_and_ends_when_it_is_told() -> None:
    async with running_server() as server, connected(at(server.url)) as run:
        await until(lambda: run.reports)
        assert run.connection.pid is None
        assert run.connection.ready_at is not None
        run.connection.stop(save=True)
        await run.task
        assert run.kinds == [ev.EngineReady, ev.EngineExited]
        assert run.connection.ended == "it was closed"


async def test_a_server_that_comes_late_is_waited_for() -> None:
    async with running_server(503) as server, connected(at(server.url)) as run:
        await until(lambda: server.asked > 1)
        assert run.reports == []
        server.status = 200
        await until(lambda: run.kinds == [ev.EngineReady])


async def test_a_server_that_is_not_there_fails_the_start_soon() -> None:
    async with connected(at("http://127.0.0.1:9", patience=0.05)) as run:
        await run.task
        [event] = run.reports
        assert isinstance(event, ev.EngineExited)
        assert "http://127.0.0.1:9 did not say within health_check_timeout (0.05 s)" in event.reason


async def test_a_server_that_sleeps_is_woken(tmp_path: Path) -> None:
    called = tmp_path / "called"
    wake = ("/bin/sh", "-c", 'echo "$LLM_GATEWAY_EVENT" >> "$0"', str(called))
    async with running_server(503) as server:
        # Waking may take longer than a health check.
        spec = replace(at(server.url, patience=0.05), wake=wake)
        async with connected(spec) as run:
            # The shell makes the file before it writes.
            await until(lambda: called.exists() and called.read_text() == "wake\n")
            server.status = 200
            await until(lambda: run.kinds == [ev.EngineReady])
        # A busy machine may take longer than such a check, too.
        async with connected(replace(at(server.url), wake=wake)) as run:
            await until(lambda: run.kinds == [ev.EngineReady])
        assert called.read_text() == "wake\n"


async def test_a_stop_while_it_is_waited_for() -> None:
    async with running_server(503) as server, connected(at(server.url)) as run:
        await until(lambda: server.asked)
        run.connection.stop()
        await run.task
        assert run.kinds == [ev.EngineExited]


async def test_a_server_that_falls_silent_is_given_up() -> None:
    async with running_server() as server, connected(at(server.url)) as run:
        await until(lambda: run.reports)
        server.status = 500
        await until(lambda: ev.EngineUnhealthy in run.kinds)
        assert not run.task.done(), "who decides is told first"
        run.connection.stop()
        await run.task
        assert run.connection.ended == "it failed its last 2 health checks"
        assert run.kinds == [ev.EngineReady, ev.EngineUnhealthy, ev.EngineExited]


async def test_without_a_health_path_nothing_is_asked() -> None:
    async with running_server() as server, connected(at(server.url, health_path=None)) as run:
        await until(lambda: run.reports)
        assert server.asked == 0
        assert run.kinds == [ev.EngineReady]


async def test_its_end_is_told_when_its_task_is_cancelled() -> None:
    async with running_server() as server, connected(at(server.url)) as run:
        await until(lambda: run.reports)
        run.task.cancel()
        await asyncio.wait([run.task])
        assert run.kinds == [ev.EngineReady, ev.EngineExited]
        # Nothing is left to wait for.
        run.task = asyncio.create_task(asyncio.sleep(0))
