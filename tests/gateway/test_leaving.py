"""A client that leaves frees its slot at once; what others wait for goes on."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from gateway import (
    Gateway,
    fake_model,
    fake_tokenizer,
    fake_variant,
    is_running,
    running_gateway,
    until,
)
from gateway_client import chat_body
from raw_client import RawClient, text_of

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from fake_engine import Journal

both = pytest.mark.parametrize("stream", [False, True])


async def served(gw: Gateway, text: str = "next") -> None:
    """Check that a request is answered, so the slot is free."""
    assert (await gw.chat(text)).text == f"{text}.0 {text}.1 {text}.2 {text}.3"


async def occupied(gw: Gateway) -> RawClient:
    """Open a stream of a client that stays; the engine stalls after a token."""
    client = await (await gw.stream("first")).head()
    await client.data()
    return client


def asked(gw: Gateway, text: str, *, stream: bool) -> bool:
    """Return whether an engine got this request of `Gateway.stream`."""
    body = json.dumps(chat_body(text, stream=stream)).encode()
    digest = hashlib.sha256(body).hexdigest()
    return bool([event for event in gw.engine_requests() if event["sha256"] == digest])


@both
async def test_while_queued(journal: Journal, *, stream: bool) -> None:
    model = fake_model(fake_variant(journal, stall_at=1, times=1))
    async with running_gateway(journal, model) as gw:
        first = await occupied(gw)
        second = await gw.stream("second", stream=stream)
        await gw.until_waiting(1)
        third = await gw.stream("third")
        await gw.until_waiting(2)
        second.leave()
        await gw.until_waiting(1)
        first.leave()
        *events, _ = await (await third.head()).rest()
        assert text_of(events) == "third.0 third.1 third.2 third.3"
        assert asked(gw, "third", stream=True)
        assert not asked(gw, "second", stream=stream)
        assert gw.starts() == [256]


async def test_while_queued_after_comments(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=1, times=1))
    async with running_gateway(journal, model, keepalive_interval=0.03) as gw:
        first = await occupied(gw)
        second = await (await gw.stream("second")).head()
        await second.comment()
        second.leave()
        await gw.until_waiting(0)
        first.leave()
        await served(gw)
        assert not asked(gw, "second", stream=True)


@both
async def test_while_loading_alone(journal: Journal, *, stream: bool) -> None:
    """The start goes on, and the next request finds a warm engine."""
    model = fake_model(fake_variant(journal, hold="load"))
    async with running_gateway(journal, model) as gw:
        client = await gw.stream("gone", stream=stream)
        await gw.until_state(State.STARTING)
        client.leave()
        await gw.until_waiting(0)
        assert gw.state() is State.STARTING
        journal.let_go("load")
        await gw.until_state(State.READY)
        await served(gw)
        assert gw.starts() == [256]
        assert not asked(gw, "gone", stream=stream)


@both
async def test_while_loading_with_others(journal: Journal, *, stream: bool) -> None:
    model = fake_model(fake_variant(journal, hold="load"))
    async with running_gateway(journal, model) as gw:
        leaver = await gw.stream("gone", stream=stream)
        await gw.until_waiting(1)
        stayer = await gw.stream("stays")
        await gw.until_waiting(2)
        leaver.leave()
        await gw.until_waiting(1)
        journal.let_go("load")
        *events, _ = await (await stayer.head()).rest()
        assert text_of(events) == "stays.0 stays.1 stays.2 stays.3"
        assert gw.starts() == [256]


async def test_while_loading_and_another_model_is_wanted(journal: Journal) -> None:
    """No request waits for the start any more, so another model may replace it."""
    slow = fake_model(fake_variant(journal, load_seconds=60))
    other = fake_model(fake_variant(journal, 512, model="other"))
    async with running_gateway(journal, slow, other) as gw:
        leaver = await gw.stream("gone", model="m")
        await journal.wait("listening")
        task = asyncio.create_task(gw.chat(model="other"))
        await gw.until_waiting(2)
        leaver.leave()
        assert (await task).status == 200
        assert gw.starts() == [256, 512]


@both
@pytest.mark.parametrize("moment", ["request", "headers"])
async def test_before_the_first_token(journal: Journal, moment: str, *, stream: bool) -> None:
    # An answer in one piece has no headers of its own; it stalls before its only part.
    variant = fake_variant(journal, stall_at=moment if stream else "request", times=1)
    async with running_gateway(journal, fake_model(variant)) as gw:
        client = await gw.stream("gone", stream=stream)
        await journal.wait("fault", fault="stall")
        client.leave()
        await journal.wait("aborted", tokens=0)
        await served(gw)
        assert gw.starts() == [256]


@both
async def test_while_the_prompt_is_read(journal: Journal, *, stream: bool) -> None:
    """There is no fault here, only a long prefill after comments."""
    variant = fake_variant(journal, prefill_seconds=60)
    async with running_gateway(journal, fake_model(variant), keepalive_interval=0.03) as gw:
        client = await gw.stream("gone", stream=stream)
        if stream:
            await (await client.head()).comment()
        await journal.wait("request", path="/v1/chat/completions")
        client.leave()
        await journal.wait("aborted", tokens=0)
        await until(lambda: not (gw.manager.records()[0].active))


async def test_in_the_middle(journal: Journal) -> None:
    variant = fake_variant(journal, token_delay=0.02)
    async with running_gateway(journal, fake_model(variant)) as gw:
        client = await (await gw.stream("gone", max_tokens=200)).head()
        assert text_of([await client.data() for _ in range(3)]) == "gone.0 gone.1"
        client.leave()
        # It was far from the end of its answer.
        [aborted] = await journal.wait("aborted")
        assert aborted["tokens"] < 200
        await served(gw)
        assert gw.starts() == [256]


async def test_in_the_middle_of_a_silence(journal: Journal) -> None:
    variant = fake_variant(journal, stall_at=2, times=1)
    async with running_gateway(journal, fake_model(variant)) as gw:
        client = await (await gw.stream("gone")).head()
        for _ in range(3):
            await client.data()
        waiting = await gw.stream("waits")
        await gw.until_waiting(1)
        client.leave()
        await journal.wait("aborted", tokens=2)
        *events, _ = await (await waiting.head()).rest()
        assert text_of(events) == "waits.0 waits.1 waits.2 waits.3"


async def test_while_its_prompt_is_counted_by_the_tokenizer(journal: Journal) -> None:
    tokenization = fake_tokenizer(journal, tokenize_seconds=60)
    variants = (fake_variant(journal, context) for context in (256, 4096))
    async with running_gateway(journal, fake_model(*variants, tokenization=tokenization)) as gw:
        client = await gw.stream("word " * 100)
        [run] = await journal.wait("start", who="llama-tokenize")
        client.leave()
        await until(lambda: not is_running(run["pid"]))
        assert not gw.starts()
        await served(gw)


async def test_while_its_prompt_is_counted_by_the_engine(journal: Journal) -> None:
    variants = (fake_variant(journal, context, count_seconds=60) for context in (256, 4096))
    async with running_gateway(journal, fake_model(*variants)) as gw:
        await served(gw)
        client = await gw.stream("word " * 100)
        await journal.wait("request", path="/v1/chat/completions/input_tokens")
        client.leave()
        await served(gw)
        assert gw.starts() == [256]


async def test_while_a_larger_variant_starts_for_its_refused_prompt(journal: Journal) -> None:
    lying = fake_variant(journal, 256, real_ctx=32)
    slow = fake_variant(journal, 1024, hold="load")
    async with running_gateway(journal, fake_model(lying, slow)) as gw:
        client = await gw.stream("w " * 40)
        await gw.until_state(State.STARTING, 1024)
        client.leave()
        await gw.until_waiting(0)
        journal.let_go("load")
        await gw.until_state(State.READY, 1024)
        await served(gw)
        assert gw.starts() == [256, 1024]


async def test_while_a_crashed_engine_starts_again(journal: Journal) -> None:
    variant = fake_variant(journal, hold="load request", die_at="request", times=1)
    journal.let_go("load")
    async with running_gateway(journal, fake_model(variant)) as gw:
        client = await gw.stream("gone")
        await journal.wait("ready")
        journal.hold("load")
        journal.let_go("request")
        await until(lambda: len(gw.starts()) == 2)
        client.leave()
        await gw.until_waiting(0)
        journal.let_go("load")
        await gw.until_state(State.READY)
        await served(gw)
        assert gw.starts() == [256, 256]


async def test_many_at_once(journal: Journal) -> None:
    """Of twenty requests those with even numbers leave; the others are served in order."""
    variant = fake_variant(journal, stall_at=1, times=1)
    async with running_gateway(journal, fake_model(variant)) as gw:
        first = await occupied(gw)
        clients = []
        for number in range(20):
            clients.append(await gw.stream(f"n{number}"))
            await gw.until_waiting(number + 1)
        for client in clients[::2]:
            client.leave()
        await gw.until_waiting(10)
        first.leave()
        for number, client in enumerate(clients):
            if number % 2:
                *events, _ = await (await client.head()).rest()
                assert text_of(events).startswith(f"n{number}.0 ")
        served_ids = [event["id"] for event in journal.events("ending")]
        assert served_ids == sorted(served_ids)
        assert len(served_ids) == 10
