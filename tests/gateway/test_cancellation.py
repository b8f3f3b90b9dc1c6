"""A request that is cancelled leaves consistent state: one test for each await.

A cancellation is what a client that leaves becomes. Each docstring says what must hold then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from calls import Collected, call_of
from engines import running_manager
from gateway import fake_model, fake_tokenizer, fake_variant, until
from gateway_client import chat_body

from engine.llamacpp.type import LlamaCpp
from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from inference.run import Inference
from models.requests import endpoints
from models.requests.reader import RequestFacts, parse
from models.selection import ModelSelector
from models.sizing import Sizer
from utils.clock import LoopClock

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from fake_engine import Journal

    from engine.manager import EngineManager
    from models.spec import ModelSpec, VariantSpec


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait for its end."""
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def start(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(coroutine)


async def use(manager: EngineManager, variant: VariantSpec) -> None:
    async with manager.lease(variant):
        pass


async def hold(manager: EngineManager, variant: VariantSpec) -> None:
    async with manager.lease(variant):
        await asyncio.Event().wait()


def facts_of(text: str = "hello", **fields: Any) -> RequestFacts:
    return parse(endpoints.CHAT, orjson.dumps(chat_body(text, **fields)))


# -- manager.lease ----------------------------------------------------------------------------


async def test_lease_waiting_in_the_queue(journal: Journal) -> None:
    """The queue has forgotten it, and the next request gets its turn."""
    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        async with manager.lease(variant):
            waiter = start(use(manager, variant))
            await until(lambda: manager.waiting() == 1)
            following = start(use(manager, variant))
            await until(lambda: manager.waiting() == 2)
            await cancelled(waiter)
            assert manager.waiting() == 1
        await following


async def test_lease_waiting_for_the_start(journal: Journal) -> None:
    """The start goes on; the engine is ready for the next request."""
    variant = fake_variant(journal, hold="load")
    async with running_manager(journal, fake_model(variant)) as manager:
        waiter = start(use(manager, variant))
        await journal.wait("listening")
        await cancelled(waiter)
        assert manager.waiting() == 0
        assert manager.records()[0].state is State.STARTING
        journal.let_go("load")
        await use(manager, variant)
        assert len(journal.events("start")) == 1


async def test_lease_granted_in_the_turn_of_its_cancellation(journal: Journal) -> None:
    """The slot that was just granted to it is given back."""
    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        holder = manager.lease(variant)
        await holder.__aenter__()
        waiter = start(use(manager, variant))
        await until(lambda: manager.waiting() == 1)
        await holder.__aexit__()
        assert manager.records()[0].active, "granted already"
        await cancelled(waiter)
        assert not manager.records()[0].active
        await use(manager, variant)


async def test_lease_refused_in_the_turn_of_its_cancellation(journal: Journal) -> None:
    """The manager goes on, although no request reads the error."""
    variant = fake_variant(journal, load_seconds=60)
    async with running_manager(journal, fake_model(variant)) as manager:
        waiter = start(use(manager, variant))
        await journal.wait("listening")
        draining = start(manager.drain(0))
        await until(lambda: manager.waiting() == 0)
        waiter.cancel()
        await asyncio.wait([waiter])
        await draining


async def test_lease_held(journal: Journal) -> None:
    """The slot is free."""
    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        holder = start(hold(manager, variant))
        await until(lambda: manager.records()[0].active)
        await cancelled(holder)
        assert not manager.records()[0].active
        await use(manager, variant)


async def test_lease_cancelled_in_each_turn_of_the_loop(journal: Journal) -> None:
    """Nothing waits and nothing is held, at whatever moment it was cancelled."""
    variant = fake_variant(journal)
    async with running_manager(journal, fake_model(variant)) as manager:
        await use(manager, variant)
        for turns in range(12):
            holders = [start(hold(manager, variant)) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for holder in holders:
                holder.cancel()
            await asyncio.wait(holders)
            assert manager.waiting() == 0
            assert not manager.records()[0].active


# -- lease.again ------------------------------------------------------------------------------


@pytest.mark.parametrize("health", ["ok,hang", "ok,500"])
async def test_again_waiting_for_the_failed_engines_exit(journal: Journal, health: str) -> None:
    """The old slot is free, while the engine is probed and while its exit is awaited."""
    variant = fake_variant(journal, health=health)
    async with running_manager(journal, fake_model(variant)) as manager:
        held: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def twice() -> None:
            async with manager.lease(variant) as lease:
                # A slow machine may have been asked while it was loading, too.
                held.set_result(len(journal.events("request", path="/health")))
                await lease.again(variant)

        task = start(twice())
        await journal.wait("request", await held + 1, path="/health")
        assert manager.records()[0].active
        await cancelled(task)
        assert not manager.records()[0].active
        await use(manager, variant)


async def test_again_waiting_for_a_larger_variant(journal: Journal) -> None:
    """It holds neither the old engine nor the new one, and the start goes on."""
    small, large = fake_variant(journal), fake_variant(journal, 512, hold="load")
    async with running_manager(journal, fake_model(small, large)) as manager:

        async def grow() -> None:
            async with manager.lease(small) as lease:
                await lease.again(large)

        task = start(grow())
        await until(lambda: manager.records()[1].state is State.STARTING)
        await cancelled(task)
        assert manager.waiting() == 0
        journal.let_go("load")
        await use(manager, large)
        assert len(journal.events("start")) == 2


async def test_again_granted_in_the_turn_of_its_cancellation(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new slot is given back."""
    small, large = fake_variant(journal), fake_variant(journal, 512)
    async with running_manager(journal, fake_model(small, large)) as manager:
        perform = manager._perform
        granted: list[int] = []

        def cancelling(effect: ev.Effect) -> None:
            perform(effect)
            if isinstance(effect, ev.Grant):
                granted.append(effect.engine)
                if len(granted) == 2:
                    task.cancel()

        async def grow() -> None:
            async with manager.lease(small) as lease:
                await lease.again(large)

        with monkeypatch.context() as patch:
            patch.setattr(manager, "_perform", cancelling)
            task = start(grow())
            await asyncio.wait([task])
        assert task.cancelled()
        assert granted == [1, 2]
        assert not [record for record in manager.records() if record.active]
        await use(manager, large)


# -- manager.drain ----------------------------------------------------------------------------


async def test_drain_waiting_for_the_last_request(journal: Journal) -> None:
    """``halt`` stops the remaining engines at once."""
    variant = fake_variant(journal, deaf=1)
    async with running_manager(journal, fake_model(variant)) as manager:
        holder = start(hold(manager, variant))
        await until(lambda: manager.records()[0].active)
        draining = start(manager.drain(600))
        await until(lambda: manager.records()[0].state is State.DRAINING)
        await cancelled(draining)
        await manager.halt()
        assert not manager.records()[0].state.live
        await cancelled(holder)


# -- sizing -----------------------------------------------------------------------------------


def sizes(manager: EngineManager) -> ModelSelector:
    return ModelSelector(Sizer(manager, LlamaCpp()), manager)


def unclear(journal: Journal, **knobs: Any) -> ModelSpec:
    """Return a model whose variants cannot be told apart by the bytes of a long text."""
    return fake_model(
        fake_variant(journal, 256, **knobs),
        fake_variant(journal, 4096, **knobs),
        tokenization=fake_tokenizer(journal),
    )


async def test_selection_waiting_for_the_engines_count(journal: Journal) -> None:
    """The engine's connections still work, and its next count is right."""
    model = unclear(journal, hold="count")
    async with running_manager(journal, model) as manager:
        await use(manager, model.variants[0])
        selector = sizes(manager)
        for _ in range(3):
            asked = len(journal.events("request"))
            task = start(selector.select(model, facts_of("word " * 100)))
            await journal.wait("request", asked + 1)
            await cancelled(task)
        journal.let_go("count")
        size = (await selector.select(model, facts_of("word " * 100))).size
        assert (size.tokens, size.source.value) == (104, "engine")


async def test_selection_waiting_for_the_tokenizer(journal: Journal) -> None:
    """No incomplete count is remembered, so the next count is right."""
    model = unclear(journal)
    async with running_manager(journal, model) as manager:
        selector = sizes(manager)
        for turns in range(0, 30, 2):
            task = start(selector.select(model, facts_of("word " * 100)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        size = (await selector.select(model, facts_of("word " * 100))).size
        assert (size.tokens, size.source.value) == (172, "tokenizer")


# -- the upstream call -----------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["request", "headers"])
async def test_exchange_waiting_for_the_engines_answer(journal: Journal, moment: str) -> None:
    """The engine stops working on it, and is free for the next request."""
    model = fake_model(fake_variant(journal, stall_at=moment, times=1))
    async with running_manager(journal, model) as manager:
        task = start(ask(manager, model))
        await journal.wait("fault", fault="stall")
        await cancelled(task)
        await journal.wait("aborted", tokens=0)
        assert not manager.records()[0].active
        await ask(manager, model)
        assert len(journal.events("start")) == 1


async def test_exchange_waiting_for_a_crashed_engines_successor(journal: Journal) -> None:
    """The successor starts nevertheless, and no request holds it."""
    model = fake_model(fake_variant(journal, hold="load request", die_at="request", times=1))
    journal.let_go("load")
    async with running_manager(journal, model) as manager:
        task = start(ask(manager, model))
        await journal.wait("ready")
        journal.hold("load")
        journal.let_go("request")
        await journal.wait("start", 2)
        await cancelled(task)
        assert manager.waiting() == 0
        journal.let_go("load")
        await until(lambda: manager.records()[0].state is State.READY)
        await ask(manager, model)
        assert len(journal.events("start")) == 2


async def test_exchange_waiting_for_a_larger_variant(journal: Journal) -> None:
    """Neither the engine that refused it nor the larger one is held."""
    lying = fake_variant(journal, 256, real_ctx=4)
    model = fake_model(lying, fake_variant(journal, 512, hold="load"))
    async with running_manager(journal, model) as manager:
        task = start(ask(manager, model))
        await journal.wait("start", 2)
        await cancelled(task)
        journal.let_go("load")
        await until(lambda: manager.records()[1].state is State.READY)
        assert not [record for record in manager.records() if record.active]
        await ask(manager, model)


async def ask(manager: EngineManager, model: ModelSpec) -> None:
    call = call_of(model, facts_of(stream=True))
    sink = Collected()
    await Inference(sizes(manager), manager, LoopClock()).run(call, sink)
    assert sink.body
