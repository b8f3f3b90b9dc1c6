"""Five hundred clients at once over six models, of which two may be loaded, on fake engines."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil
import pytest
from crowd import CROWD_PATIENCE, Asked, answers, crowd, most_engines, most_requests
from fake_engine import LLAMA_SERVER, Journal, faults
from gateway import until
from gateway_child import GatewayProcess, gateway_process, lua
from gateway_client import CHAT, chat_body
from ports import quiet_port

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator

CLIENTS = 500
MODELS = ("a", "b", "c", "d", "e", "f")
PARALLEL = 8
MOST_LOADED = 2
MOST_KILLS = 15
# What an allocator keeps between two equal rounds: 0 to 3 MB were seen. 16 KB for each request,
# about what the gateway holds while it answers one, would be more.
SLACK = 8 * 2**20

pytestmark = pytest.mark.timeout(2 * CROWD_PATIENCE)


def configuration(journal: Journal, port: int) -> str:
    server = {
        "listen_v4": f"127.0.0.1:{port}",
        "state_dir": str(journal.path.parent / "state"),
        "engine_stop_timeout": CROWD_PATIENCE,
        "engine_startup_timeout": CROWD_PATIENCE,
        "engine_idle_timeout": 1,
        "keepalive_interval": 2,
        "max_loaded_models": MOST_LOADED,
        "max_queue": 2 * CLIENTS,
        "max_switch_wait": 1.5,
        "min_residency": 0.1,
    }
    args = ["-m", "m.gguf", "-c", 256 * PARALLEL, "-np", PARALLEL]
    variant = {
        "context": 256,
        "binary": LLAMA_SERVER,
        "args": args,
        "parallel": PARALLEL,
        "env": faults(journal, token_delay=0.01, load_seconds=0.05),
    }
    models = [{"name": name, "variants": [variant]} for name in MODELS]
    return f"server = {lua(server)}\nmodels = {lua(models)}\n"


@contextlib.asynccontextmanager
async def started(journal: Journal) -> AsyncIterator[tuple[GatewayProcess, psutil.Process]]:
    """Run a gateway that has served one request, and has no engine."""
    port = quiet_port()
    async with gateway_process(journal, configuration(journal, port), port) as gateway:
        await served(gateway, crowd(0, 4 * len(MODELS), MODELS))
        yield gateway, psutil.Process(gateway.process.pid)
        assert "Traceback" not in gateway.said
        gateway.signal()
        assert await gateway.exit_status() == 0


async def childless(pid: int) -> None:
    """Wait until the process has no children. To look for them is dear."""
    process = psutil.Process(pid)
    async with asyncio.timeout(CROWD_PATIENCE):
        while process.children():
            await asyncio.sleep(0.1)


async def served(gateway: GatewayProcess, clients: list[Asked]) -> Counter[str]:
    """Check that each client got its answer or a clear error, and that nothing is left.

    How many were answered, were told of an error by its code, or left.
    """
    ends: Counter[str] = Counter()
    for asked, got in zip(clients, await answers(gateway.url, clients), strict=True):
        got.check(asked)
        ends[got.end] += 1
    await childless(gateway.process.pid)
    health = await gateway.health()
    assert (health["waiting"], sum(engine["active"] for engine in health["engines"])) == (0, 0)
    return ends


async def test_500_clients_get_their_own_answers(journal: Journal, dice: random.Random) -> None:
    async with started(journal) as (gateway, process):
        files, sizes = process.num_fds(), []
        for turn in (1, 2):
            before = len(journal.events())
            ends = await served(gateway, crowd(world(dice), CLIENTS, MODELS))
            assert ends == {"answered": CLIENTS}
            await journal.wait("finished", count=CLIENTS * turn)
            events = journal.events()[before:]
            asked = [each for each in events if each.get("path") == CHAT]
            assert len({each["sha256"] for each in asked}) == len(asked) == CLIENTS
            assert len([each for each in events if each["event"] == "finished"]) == CLIENTS
            assert most_engines(events, {}) == MOST_LOADED
            assert 1 < most_requests(events) <= PARALLEL
            await until(lambda: process.num_fds() <= files)
            sizes.append(process.memory_info().rss)
        assert sizes[1] - sizes[0] < SLACK


def world(dice: random.Random) -> int:
    """A crowd's seed."""
    return dice.randrange(1, 2**32)


async def kill_engines(
    gateway: GatewayProcess, killed: dict[int, float], dice: random.Random
) -> None:
    """Kill engines at random moments, for a bounded time, once some requests are answered.

    Each request is tried again only a few times. On a busy machine all engines of the bounded time
    may be killed while they load, and nobody has an answer.
    """
    process = psutil.Process(gateway.process.pid)
    enough = len(gateway.journal.events("finished")) + PARALLEL
    while len(gateway.journal.events("finished")) < enough:
        await asyncio.sleep(0.02)
    while len(killed) < MOST_KILLS:
        if engines := process.children():
            victim = dice.choice(engines)
            killed.setdefault(victim.pid, time.time())
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself
                victim.kill()
        await asyncio.sleep(dice.uniform(0.05, 0.4))


async def answered_at_last(gateway: GatewayProcess, model: str) -> None:
    """Ask until the model has answered; after a refusal, wait as long as the gateway says."""
    body, alone = chat_body(model=model), {"Connection": "close"}
    while (answer := await gateway.post(body, headers=alone)).status != 200:
        assert answer.status == 503
        await asyncio.sleep(float(answer.headers["Retry-After"]))


async def test_500_clients_many_leave_while_engines_are_killed(
    journal: Journal, dice: random.Random
) -> None:
    async with started(journal) as (gateway, process):
        files, before = process.num_fds(), len(journal.events())
        killed: dict[int, float] = {}
        killer = asyncio.create_task(kill_engines(gateway, killed, dice))
        clients = crowd(world(dice), CLIENTS, MODELS, leaving=0.4, within=6.0)
        ends = await served(gateway, clients)
        killer.cancel()
        await asyncio.wait([killer])
        assert killed
        assert ends["answered"] > 0
        assert ends["left"] <= len([each for each in clients if each.patience is not None])
        told = ends.keys() - {"answered", "left", "cut"}
        # A kill while loading is what a system does whose memory is gone.
        assert told <= {
            "engine_broke",
            "engine_unreachable",
            "engine_start_failed",
            "engine_out_of_memory",
        }
        assert most_engines(journal.events()[before:], killed) <= MOST_LOADED
        await until(lambda: process.num_fds() <= files)
        # Nothing of the chaos remains: clients that try again after Retry-After are served.
        await asyncio.gather(*(answered_at_last(gateway, model) for model in MODELS))
        assert await served(gateway, crowd(world(dice), 60, MODELS)) == {"answered": 60}
        await until(lambda: process.num_fds() <= files)
