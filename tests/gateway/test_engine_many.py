"""Several engines of a manager at once, each a process of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from builders import chat
from engines import running_manager
from gateway import fake_model, fake_variant, until
from ports import quiet_port

from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Limits, Policy
from utils.errors import EngineStartFailed

if TYPE_CHECKING:
    from fake_engine import Journal

    from models.spec import ModelSpec


def three(journal: Journal) -> list[ModelSpec]:
    return [fake_model(fake_variant(journal, model=name)) for name in "abc"]


async def test_two_engines_serve_and_count_side_by_side(journal: Journal) -> None:
    a, b, c = three(journal)
    async with running_manager(journal, a, b, c, limits=Limits(2)) as manager:
        async with manager.lease(a.largest) as one, manager.lease(b.largest) as other:
            assert one.engine is not other.engine
            assert one.client.url != other.client.url
            assert manager.running(a) is a.largest
            assert manager.running(b) is b.largest
            assert manager.running(c) is None
            assert await manager.count(a, chat("one two")) is not None
            assert await manager.count(b, chat("one two")) is not None
            assert await manager.count(c, chat("one two")) is None
        async with manager.lease(c.largest):
            assert manager.running(a) is None or manager.running(b) is None
        assert len(journal.events("start")) == 3


async def test_drain_lets_both_end(journal: Journal) -> None:
    a, b, c = three(journal)
    async with running_manager(journal, a, b, c, limits=Limits(2)) as manager:
        async with manager.lease(a.largest), manager.lease(b.largest):
            drain = asyncio.create_task(manager.drain(30.0))
            await until(lambda: [r.state for r in manager.records()][:2] == [State.DRAINING] * 2)
        await drain
        assert [r.state for r in manager.records()] == [State.STOPPED] * 3


async def test_requests_are_collected_on_the_engine_that_runs(journal: Journal) -> None:
    a, b, _ = three(journal)
    order: list[str] = []

    async def use(model: ModelSpec) -> None:
        async with manager.lease(model.largest):
            order.append(model.name)
            await asyncio.sleep(0.01)

    patient = Policy(max_switch_wait=30.0, min_residency=5.0)
    async with running_manager(journal, a, b, policy=patient) as manager:
        async with asyncio.TaskGroup() as group:
            for model in (a, b, a, b, a, b):
                group.create_task(use(model))
        assert order == ["a", "a", "a", "b", "b", "b"]
        assert len(journal.events("start")) == 2


async def test_engines_take_the_ports_of_their_range(journal: Journal) -> None:
    a, b, c = three(journal)
    first = quiet_port()
    ports = (first, first + 5)
    async with running_manager(journal, a, b, c, limits=Limits(3), port_range=ports) as manager:
        async with asyncio.TaskGroup() as group:
            # All at once: none listens yet when the next one's port is chosen.
            leases = [manager.lease(model.largest) for model in (a, b, c)]
            for lease in leases:
                group.create_task(lease.__aenter__())
        taken = [urlsplit(lease.client.url).port for lease in leases]
        assert len({*taken}) == 3
        assert all(port is not None and first <= port <= first + 5 for port in taken)
        for lease in leases:
            await lease.__aexit__()


async def test_a_range_that_is_used_up_is_a_failed_start(journal: Journal) -> None:
    a, b, _ = three(journal)
    port = quiet_port()
    one = (port, port)
    async with (
        running_manager(journal, a, b, limits=Limits(2), port_range=one) as manager,
        manager.lease(a.largest),
    ):
        with pytest.raises(EngineStartFailed, match=f"from {port} to {port} is in use"):
            await manager.lease(b.largest).__aenter__()
