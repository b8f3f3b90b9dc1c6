"""A cancellation at any await leaves no child process and no connection to one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from engines import running_engine
from gateway import PATIENT, fake_model, fake_tokenizer, fake_variant, is_running, nothing_left
from gateway_client import CHAT, chat_body

from engine.llamacpp.tokenizer import LlamaTokenize
from engine.scheduling import events as ev

if TYPE_CHECKING:
    from fake_engine import Journal

    from engine.client import EngineClient

LONG = "word " * 50_000


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait for its end."""
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


# -- llama-tokenize ---------------------------------------------------------------------------


async def test_tokenizer_at_work(journal: Journal) -> None:
    """The process has ended and its place is free; more are cancelled than there are places."""
    model = fake_model(
        fake_variant(journal), tokenization=fake_tokenizer(journal, tokenize_seconds=60)
    )
    quick = replace(model, tokenization=fake_tokenizer(journal))
    async with nothing_left(journal):
        tokenizer = LlamaTokenize()
        for number in range(1, 4):
            task = asyncio.create_task(tokenizer.count_text(model, "one two"))
            [*_, run] = await journal.wait("start", number)
            await cancelled(task)
            assert not is_running(run["pid"])
        assert await tokenizer.count_text(quick, "one two three") == 3


async def test_tokenizer_that_does_not_read_its_input(journal: Journal) -> None:
    """The same happens while the text is being written into a full pipe."""
    knobs = {"tokenize_skip_stdin": 1, "tokenize_seconds": 60}
    model = fake_model(fake_variant(journal), tokenization=fake_tokenizer(journal, **knobs))
    async with nothing_left(journal):
        task = asyncio.create_task(LlamaTokenize().count_text(model, LONG))
        [run] = await journal.wait("start")
        await cancelled(task)
        assert not is_running(run["pid"])


async def test_tokenizer_waiting_for_a_place(journal: Journal) -> None:
    """Processes at work go on, and the next one in the queue gets the place."""
    model = fake_model(fake_variant(journal), tokenization=fake_tokenizer(journal, hold="tokenize"))
    async with nothing_left(journal):
        tokenizer = LlamaTokenize()
        tasks = [asyncio.create_task(tokenizer.count_text(model, "one two")) for _ in range(4)]
        await journal.wait("start", 2)
        await cancelled(tasks[2])
        journal.let_go("tokenize")
        assert [await task for task in (tasks[0], tasks[1], tasks[3])] == [2, 2, 2]
        assert len(journal.events("start")) == 3


async def test_tokenizer_in_each_turn_of_the_loop(journal: Journal) -> None:
    """No process, descriptor or place is kept, even between fork and exec or while it is reaped."""
    model = fake_model(fake_variant(journal), tokenization=fake_tokenizer(journal))
    async with nothing_left(journal):
        tokenizer = LlamaTokenize()
        for turns in range(25):
            task = asyncio.create_task(tokenizer.count_text(model, "one two"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert await tokenizer.count_text(model, "one two") == 2


# -- process.run ------------------------------------------------------------------------------


async def test_process_in_each_turn_of_its_start(journal: Journal) -> None:
    """No process and no record of it is left, and its exit is reported once."""
    # On a busy machine some turns last long enough for an engine to be ready.
    variant = fake_variant(journal, load_seconds=60)
    for turns in (1, 2, 3, 5, 8, 13, 21, 34):
        async with running_engine(journal, variant) as run:
            for _ in range(turns):
                await asyncio.sleep(0)
            run.task.cancel()
            await asyncio.wait([run.task])
            assert [type(event) for event in run.reports] == [ev.EngineExited]


async def test_process_loading(journal: Journal) -> None:
    """The engine is asked to end, and is reaped."""
    async with running_engine(journal, fake_variant(journal, load_seconds=60)) as run:
        await journal.wait("listening")
        run.task.cancel()
        await asyncio.wait([run.task])
        assert [type(event) for event in run.reports] == [ev.EngineExited]
        assert journal.events("sigterm")


async def test_process_ready(journal: Journal) -> None:
    """The engine is asked to end, and is reaped."""
    async with running_engine(journal, fake_variant(journal)) as run:
        await run.reported(ev.EngineReady)
        run.task.cancel()
        await asyncio.wait([run.task])
        # It may have been measured in between.
        told = [type(event) for event in run.reports if not isinstance(event, ev.EngineMeasured)]
        assert told == [ev.EngineReady, ev.EngineExited]
        assert journal.events("exit", code=0)


async def test_process_stopping_a_deaf_engine(journal: Journal) -> None:
    """A cancellation ends the wait, but the child is still reaped."""
    async with running_engine(journal, fake_variant(journal, deaf=1)) as run:
        await run.reported(ev.EngineReady)
        run.process.stop()
        await journal.wait("sigterm")
        run.task.cancel()
        await asyncio.wait([run.task])
        assert isinstance(run.reports[-1], ev.EngineExited)


async def test_process_cancelled_again_and_again(journal: Journal) -> None:
    """The child is stopped and reaped, however often the task is cancelled."""
    variant = fake_variant(journal, deaf=1, timeouts=replace(PATIENT, stop=0.2))
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        for _ in range(4):
            run.task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([run.task])
        assert isinstance(run.reports[-1], ev.EngineExited)


# -- client.forward ---------------------------------------------------------------------------


async def forward(client: EngineClient) -> None:
    body = orjson.dumps(chat_body(stream=True))
    async with await client.forward(CHAT, {"Content-Type": "application/json"}, body) as upstream:
        while await upstream.read():
            pass


@pytest.mark.parametrize("moment", ["request", "headers", "2"])
async def test_forward_waiting_for_the_engine(journal: Journal, moment: str) -> None:
    """The engine sees the end before the headers, before the first byte and between two bytes."""
    async with running_engine(journal, fake_variant(journal, stall_at=moment, times=1)) as run:
        await run.reported(ev.EngineReady)
        task = asyncio.create_task(forward(run.process.client))
        await journal.wait("fault", fault="stall")
        await cancelled(task)
        await journal.wait("aborted")
        await forward(run.process.client)
        await journal.wait("finished")


async def test_an_engine_that_is_stopped_under_a_reader(journal: Journal) -> None:
    """The reader gets the error at once and does not wait for bytes that cannot come."""
    async with running_engine(journal, fake_variant(journal, stall_at=2)) as run:
        await run.reported(ev.EngineReady)
        task = asyncio.create_task(forward(run.process.client))
        await journal.wait("fault", fault="stall")
        run.process.stop()
        await asyncio.wait([task])
        assert "EngineBroke" in repr(task.exception())
        await run.ended()


async def test_close_waiting_for_its_connections(journal: Journal) -> None:
    """The session is closed nevertheless, and refuses later requests."""
    async with running_engine(journal, fake_variant(journal)) as run:
        await run.reported(ev.EngineReady)
        task = asyncio.create_task(run.process.client.close())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await run.process.client.healthy() is False
