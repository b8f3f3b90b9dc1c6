"""The manager with several engines: turns, failures, idle engines."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import result_of
from engines import ShiftedClock, running_manager
from gateway import PATIENT, fake_model, fake_variant, running_gateway, until
from gateway_client import chat_body

from engine.observer import Changed, Observer
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Limits
from utils.errors import EngineStartFailed, EngineStartTimeout, EngineUnreachable, ShuttingDown

if TYPE_CHECKING:
    from fake_engine import Journal

    from engine.manager import EngineManager
    from models.spec import VariantSpec


async def use(manager: EngineManager, variant: VariantSpec) -> None:
    """Hold a lease and give it back."""
    async with manager.lease(variant):
        pass


class Noted(Observer):
    """An observer that records what it is told."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def changed(self, change: Changed) -> None:
        self.seen.append(change)

    def waiting(self, count: int) -> None:
        self.seen.append(count)


async def test_a_free_engine_is_held_without_a_wait_and_ends_in_time(journal: Journal) -> None:
    """No observer sees a change, the wake that was asked for stays, and the idle time counts."""
    clock, seen = ShiftedClock(stands=True), Noted()
    variant = fake_variant(journal, timeouts=replace(PATIENT, idle=50.0), parallel=2)
    async with running_manager(journal, fake_model(variant), clock=clock) as manager:
        await use(manager, variant)
        manager.observe(seen)
        clock.skip(30.0)
        leases = [manager.lease(variant) for _ in range(2)]
        for lease in leases:
            result_of(lease.enter())
            assert lease.client is leases[0].client
            assert (lease.queued, lease.loading) == (0.0, 0.0)
        waits = asyncio.create_task(use(manager, variant))
        await until(lambda: manager.waiting() == 1)
        assert seen.seen == [1]
        leases[0].leave()
        await waits
        leases[1].leave()
        leases[1].leave()
        assert seen.seen == [1, 0]
        clock.skip(30.0)
        assert manager.records()[0].state is State.READY, "it was in use 30 seconds ago"
        clock.skip(21.0)
        await until(lambda: not manager.records()[0].state.live)


async def test_a_failed_start_is_told_and_tried_again(journal: Journal) -> None:
    variant = fake_variant(journal, exit_code=1, exit_line="error: no such file", times=1)
    async with running_manager(journal, fake_model(variant)) as manager:
        with pytest.raises(EngineStartFailed, match="exit status 1: error: no such file"):
            await use(manager, variant)
        await use(manager, variant)
        assert len(journal.events("start")) == 2


async def test_repeated_failures_back_off_and_recover(journal: Journal) -> None:
    clock = ShiftedClock(stands=True)
    variant = fake_variant(journal, exit_code=1, times=7)
    async with running_manager(journal, fake_model(variant), clock=clock) as manager:
        # The second start costs nothing; then 1, 2 and 4 seconds; then a minute each time.
        for starts, pause in enumerate((0, 1, 2, 4, 60, 60, 60), start=1):
            with pytest.raises(EngineStartFailed):
                await use(manager, variant)
            assert len(journal.events("start")) == starts
            if pause:
                clock.skip(pause - 0.5)
                with pytest.raises(EngineStartFailed) as told:
                    await use(manager, variant)
                assert 0 < told.value.retry_after <= 0.5
                assert len(journal.events("start")) == starts, "it is not tried before its time"
                clock.skip(0.5)
            wanted = State.FAILED if starts >= 5 else State.BACKOFF
            assert manager.records()[0].state is wanted
        await use(manager, variant)
        assert manager.records()[0].state is State.READY
        assert manager.records()[0].failures == 0


async def test_a_start_over_its_limit_is_told_to_all_waiting_requests(journal: Journal) -> None:
    variant = fake_variant(journal, load_seconds=60, timeouts=replace(PATIENT, startup=0.4))
    async with running_manager(journal, fake_model(variant)) as manager:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(failure(manager, variant)) for _ in range(3)]
        assert {type(task.result()) for task in waiting} == {EngineStartTimeout}
        assert len(journal.events("start")) == 1
        await until(lambda: not manager.records()[0].state.live)


async def failure(manager: EngineManager, variant: VariantSpec) -> EngineStartFailed:
    with pytest.raises(EngineStartFailed) as told:
        await use(manager, variant)
    return told.value


async def test_the_next_engine_starts_only_after_the_last_ones_exit(journal: Journal) -> None:
    one = fake_variant(journal, stop_seconds=0.1)
    two = fake_variant(journal, 512, model="other")
    async with running_manager(journal, fake_model(one), fake_model(two)) as manager:
        for variant in (one, two, one):
            await use(manager, variant)
        starts, exits = journal.events("start"), journal.events("exit")
        for gone, following in zip(exits, starts[1:], strict=True):
            assert gone["t"] <= following["t"]
        assert [event["pid"] for event in exits] == [event["pid"] for event in starts[:2]]


async def test_a_grandchild_that_outlives_its_engine_is_ended_before_the_next(
    journal: Journal,
) -> None:
    one = fake_variant(journal, grandchild="deaf", timeouts=replace(PATIENT, stop=0.2))
    two = fake_variant(journal, 512)
    async with running_manager(journal, fake_model(one, two)) as manager:
        await use(manager, one)
        await use(manager, two)


async def test_a_crash_while_idle_and_a_fresh_start(journal: Journal) -> None:
    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        await use(manager, variant)
        os.kill(journal.events("start")[0]["pid"], signal.SIGKILL)
        await until(lambda: manager.records()[0].state is State.BACKOFF)
        assert "signal 9" in manager.records()[0].reason
        await use(manager, variant)
        assert manager.records()[0].state is State.READY
        assert len(journal.events("start")) == 2


async def test_idle_time_counts_from_the_end_of_the_last_request(journal: Journal) -> None:
    clock = ShiftedClock(stands=True)
    variant = fake_variant(journal, timeouts=replace(PATIENT, idle=100.0))
    async with running_manager(journal, fake_model(variant), clock=clock) as manager:
        async with manager.lease(variant):
            clock.skip(1000)
            assert manager.records()[0].state is State.READY, "not while it is at work"
        clock.skip(99)
        assert manager.records()[0].state is State.READY
        await use(manager, variant)
        clock.skip(99)
        assert manager.records()[0].state is State.READY
        clock.skip(2)
        assert manager.records()[0].state is State.STOPPING
        await until(lambda: manager.records()[0].state is State.STOPPED)


async def test_idle_time_counts_from_ready_when_nobody_stayed(journal: Journal) -> None:
    clock = ShiftedClock(stands=True)
    variant = fake_variant(journal, hold="load", timeouts=replace(PATIENT, idle=100.0))
    async with running_manager(journal, fake_model(variant), clock=clock) as manager:
        leaver = asyncio.create_task(use(manager, variant))
        await journal.wait("listening")
        leaver.cancel()
        await asyncio.wait([leaver])
        journal.let_go("load")
        await until(lambda: manager.records()[0].state is State.READY)
        clock.skip(101)
        await until(lambda: manager.records()[0].state is State.STOPPED)


async def test_a_request_that_meets_an_unloading_engine_gets_a_fresh_one(
    journal: Journal,
) -> None:
    clock = ShiftedClock(stands=True)
    variant = fake_variant(journal, stop_seconds=0.15, timeouts=replace(PATIENT, idle=100.0))
    async with running_manager(journal, fake_model(variant), clock=clock) as manager:
        await use(manager, variant)
        clock.skip(101)
        await journal.wait("sigterm")
        assert manager.records()[0].state is State.STOPPING
        async with manager.lease(variant) as lease:
            _, second = journal.events("start")
            assert lease.engine.pid == second["pid"]
            assert journal.events("exit")[0]["t"] <= second["t"]


async def test_requests_race_with_a_short_idle_time(journal: Journal) -> None:
    """Each request is answered, at whatever moment the engine dies."""
    timeouts = replace(PATIENT, idle=0.002)
    variant = fake_variant(journal, timeouts=timeouts)
    async with running_gateway(journal, fake_model(variant)) as gw:
        for pause in (0.0, 0.001, 0.002, 0.003, 0.004, 0.006):
            for _ in range(3):
                assert (await gw.post(chat_body())).status == 200
                stopped = asyncio.Event()
                asyncio.get_running_loop().call_later(pause, stopped.set)
                await stopped.wait()
        await gw.until_state(State.STOPPED)
        assert 1 < len(gw.starts()) <= 19


async def test_an_ended_engines_client_refuses_rather_than_hangs(journal: Journal) -> None:
    """A lease may still be held on an engine that has just gone."""
    variant = fake_variant(journal)
    async with (
        running_manager(journal, fake_model(variant)) as manager,
        manager.lease(variant) as lease,
    ):
        lease.engine.kill()
        await until(lambda: not manager.records()[0].state.live)
        with pytest.raises(EngineUnreachable):
            await lease.client.forward("/v1/chat/completions", {}, b"{}")
        assert await lease.client.healthy() is False


async def test_parallel_requests_share_an_engine(journal: Journal) -> None:
    variant = fake_variant(journal, parallel=2)
    async with running_manager(journal, fake_model(variant)) as manager:
        async with manager.lease(variant) as one, manager.lease(variant) as two:
            assert one.engine is two.engine
            third = asyncio.create_task(use(manager, variant))
            await until(lambda: manager.waiting() == 1)
        await third
        assert len(journal.events("start")) == 1


async def test_no_port_to_be_had_is_a_failed_start(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is as if the process had no file descriptors left."""

    def none(*_given: object) -> int:
        raise OSError(24, "Too many open files")

    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        with monkeypatch.context() as patch:
            patch.setattr("engine.process.ports.free_port", none)
            with pytest.raises(EngineStartFailed, match="Too many open files"):
                await use(manager, variant)
        await use(manager, variant)
        assert manager.records()[0].state is State.READY


# -- what the waiting cost --------------------------------------------------------------------


async def test_a_start_that_fails_was_waiting_for_a_load(journal: Journal) -> None:
    variant = fake_variant(journal, load_seconds=0.2, exit_code=1)
    async with running_manager(journal, fake_model(variant)) as manager:
        lease = manager.lease(variant)
        with pytest.raises(EngineStartFailed):
            await lease.__aenter__()
        assert lease.loading > 0.15
        assert lease.loading > lease.queued
        assert lease.waits_for() == ""


async def test_a_lease_that_leaves_knows_its_waiting_times(journal: Journal) -> None:
    clock = ShiftedClock(stands=True)
    slow = fake_variant(journal, model="slow", load_seconds=60)
    busy = fake_variant(journal, model="busy")
    two = Limits(2)
    models = fake_model(slow), fake_model(busy)
    async with running_manager(journal, *models, clock=clock, limits=two) as manager:
        loading = manager.lease(slow)
        async with manager.lease(busy):
            queued = manager.lease(busy)
            tasks = [asyncio.create_task(each.__aenter__()) for each in (loading, queued)]
            await until(lambda: manager.waiting() == 2)
            assert loading.waits_for() == "loading slow@256"
            assert queued.waits_for() == "queued"
            clock.skip(100.0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert loading.loading >= 100.0 > loading.queued
        assert queued.queued >= 100.0
        assert queued.loading == 0.0


async def test_nothing_was_ever_started_for_it(journal: Journal) -> None:
    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        await manager.drain(1.0)
        lease = manager.lease(variant)
        with pytest.raises(ShuttingDown):
            await lease.__aenter__()
        assert lease.loading == 0.0


async def test_an_auxiliary_lease_is_held_beside_a_full_engine(journal: Journal) -> None:
    small, large = fake_variant(journal), fake_variant(journal, 8192)
    async with running_manager(journal, fake_model(small, large)) as manager:
        async with manager.lease(large), manager.lease(small, auxiliary=True) as lease:
            assert lease.variant == large
            assert len(manager.records()[1].active) == 1
            await lease.again(small)
            assert lease.variant == large
        assert len(journal.events("start")) == 1
