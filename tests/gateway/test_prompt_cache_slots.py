"""Engines with several slots: which slot answers, on fake engines that wait for a named one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway, until
from raw_client import PATIENCE

from engine.llamacpp.prompt_cache import engine_cache
from engine.llamacpp.prompt_cache.store import StateStore
from models.spec import TokenizationSpec
from tests.gateway.test_prompt_cache_faults import TALE, carrying

if TYPE_CHECKING:
    from fake_engine import Event, Journal
    from gateway import Gateway

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
# Takes its time: some ten seconds, if nobody ends it.
LONG: dict[str, Any] = {"stream": True, "max_tokens": 400}
ADAPTER: dict[str, Any] = {"lora": [{"id": 0, "scale": 0.5}]}
# What keeps a request from being placed: several answers, an adapter, no cache.
UNPLACED = [{"n": 2}, ADAPTER, {"cache_prompt": False}]


@pytest.fixture
def store(journal: Journal) -> StateStore:
    store = StateStore(journal.path.parent / "slots", 1_000_000)
    store.open()
    return store


def request(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


async def ask(gw: Gateway, text: str, path: str = CHAT, **fields: Any) -> Event:
    """Answer a request; return its slot."""
    fields = {"max_tokens": 2, **fields}
    answer = await gw.request("POST", path, json=request(text, **fields))
    assert answer.status == 200, answer.body
    return gw.journal.events("seated")[-1]


@pytest.mark.parametrize("fields", UNPLACED)
async def test_a_chat_is_answered_beside_a_request_that_is_not_placed(
    journal: Journal, store: StateStore, fields: dict[str, Any]
) -> None:
    model = carrying(journal, parallel=2, token_delay=0.02)
    async with running_gateway(journal, model, store=store) as gw:
        long = asyncio.ensure_future(
            gw.request("POST", CHAT, json=request("a long story", **LONG, **fields))
        )
        await journal.wait("seated")
        for text in ("one", "two", "three"):
            taken = await ask(gw, text)
            assert taken["asked"] is None
            assert taken["slot"] != journal.events("seated")[0]["slot"]
        assert not long.done()
        assert not journal.events("finished", id=journal.events("seated")[0]["id"])
        long.cancel()
        await journal.wait("aborted")
        # No request is unplaced any more.
        await until(lambda: not any(record.active for record in gw.manager.records()))
        assert (await ask(gw, "four"))["asked"] is not None


async def test_a_slot_chosen_before_an_unplaced_request_is_not_named(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, parallel=2, restore_seconds=0.5, token_delay=0.02)
    async with running_gateway(journal, model, store=store) as gw:
        await ask(gw, TALE)
        await gw.manager.unload("m")
        chat = asyncio.ensure_future(ask(gw, TALE))
        await journal.wait("restore")
        before = len(journal.events("seated"))
        long = asyncio.ensure_future(
            gw.request("POST", CHAT, json=request("a long story", **LONG, **ADAPTER))
        )
        await journal.wait("seated", before + 1)
        await chat
        assert not long.done()
        # It finds what was restored for it all the same.
        taken = journal.events("seated")[-1]
        assert taken["asked"] is None
        assert taken["cached"] >= 100
        long.cancel()


async def test_an_unplaced_request_waits_until_those_before_it_have_their_slots(
    journal: Journal, store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the engine takes longer until it is at work.
    monkeypatch.setattr(engine_cache, "_SEATED_WITHIN", PATIENCE)
    model = carrying(journal, parallel=2, seat_seconds=0.2, token_delay=0.02)
    async with running_gateway(journal, model, store=store) as gw:
        await ask(gw, "first")
        chat = asyncio.ensure_future(ask(gw, "second"))
        await journal.wait("request", 2, path="/v1/chat/completions")
        long = asyncio.ensure_future(
            gw.request("POST", CHAT, json=request("a long story", **LONG, **ADAPTER))
        )
        await chat
        await journal.wait("seated", 3)
        assert not long.done()
        places = [(event["asked"], event["slot"]) for event in journal.events("seated")]
        assert places == [(0, 0), (1, 1), (None, 0)]
        long.cancel()


async def test_messages_take_part_in_the_prompt_cache(journal: Journal, store: StateStore) -> None:
    model = carrying(journal, parallel=2)
    async with running_gateway(journal, model, store=store) as gw:
        for name in ("ann", "bob has more to say"):
            await ask(gw, f"{name} {TALE}", MESSAGES)
        assert [event["slot"] for event in journal.events("seated")] == [0, 1]
        await gw.manager.unload("m")
        assert len(journal.events("saved")) == 2
        for name in ("bob has more to say", "ann"):
            taken = await ask(gw, f"{name} {TALE}", MESSAGES)
            assert taken["cached"] >= 100
        assert len(journal.events("restored")) == 2


async def test_where_messages_were_answered_is_learnt(journal: Journal, store: StateStore) -> None:
    model = carrying(journal, parallel=2)
    bob = f"bob has more to say {TALE}"
    async with running_gateway(journal, model, store=store) as gw:
        await ask(gw, "short")
        await ask(gw, bob, MESSAGES)
        # The slot that nobody used for the longest time is the other one.
        await ask(gw, f"ann {TALE}")
        await ask(gw, bob, MESSAGES)
        assert [event["slot"] for event in journal.events("seated")] == [0, 1, 0, 1]
        await gw.manager.unload("m")
        assert {event["slot"] for event in journal.events("saved")} == {0, 1}
        assert (await ask(gw, f"ann {TALE}"))["cached"] >= 100
        assert (await ask(gw, bob, MESSAGES))["cached"] >= 100


async def test_what_an_unplaced_request_may_have_displaced_is_not_saved(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, parallel=2, hides_slots=True)
    async with running_gateway(journal, model, store=store) as gw:
        await ask(gw, TALE)
        await ask(gw, "another", **ADAPTER)
        await gw.manager.unload("m")
        assert not journal.events("save")


@pytest.mark.parametrize("carry", [True, False])
@pytest.mark.parametrize("more", [{}, {"max_tokens": 90}])
async def test_an_answer_keeps_to_its_part_of_a_shared_context(
    journal: Journal, store: StateStore, more: dict[str, int], *, carry: bool
) -> None:
    unified: dict[str, Any] = {"parallel": 2, "args": ("-kvu",), "default_tokens": 500}
    variant = replace(fake_variant(journal, 64, **unified), state_carry=carry)
    async with running_gateway(journal, fake_model(variant), store=store) as gw:
        answer = await gw.request("POST", "/v1/chat/completions", json=request("hello", **more))
        assert answer.json["usage"]["total_tokens"] == 64
        assert answer.json["choices"][0]["finish_reason"] == "length"


async def test_an_answer_that_fills_its_part_of_a_shared_context_goes_on(
    journal: Journal, store: StateStore
) -> None:
    unified: dict[str, Any] = {"parallel": 2, "args": ("-kvu",), "default_tokens": 500}
    variants = [fake_variant(journal, context, **unified) for context in (128, 256)]
    # Little room is kept for an answer, so that it begins in the smaller variant.
    reserve = TokenizationSpec(default_max_tokens=16)
    model = fake_model(*variants, tokenization=reserve, grow_answers=True)
    async with running_gateway(journal, model, store=store) as gw:
        answer = await gw.request("POST", "/v1/chat/completions", json=request("hello"))
        assert answer.json["usage"]["total_tokens"] == 256
        assert answer.json["choices"][0]["message"]["content"].endswith(" hello.250")
        assert len(gw.starts()) == 2
