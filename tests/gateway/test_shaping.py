"""Requests that are changed on their way to the engine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from engines import ShiftedClock
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import CHAT, chat_body

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from fake_engine import Journal


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


async def test_parameters_of_model_and_alias(journal: Journal) -> None:
    spec = fake_model(
        fake_variant(journal),
        aliases=("m:short",),
        strip_params=("seed",),
        set_params={"temperature": 0.5},
        alias_params={"m:short": {"max_tokens": 1}},
    )
    async with running_gateway(journal, spec) as gateway:
        answer = await gateway.post(chat_body(model="m:short", seed=3))
        assert answer.text == "hello.0"
        (asked,) = gateway.engine_requests(CHAT)
        sent = {**chat_body(max_tokens=1), "model": "m:short", "temperature": 0.5}
        assert asked["sha256"] == digest(compact(sent))
        longer = await gateway.post(chat_body(model="m"))
        assert len(longer.text.split()) == 4


async def test_set_output_decides_the_variant(journal: Journal) -> None:
    variants = (fake_variant(journal, 256), fake_variant(journal, 512))
    spec = fake_model(*variants, set_params={"max_tokens": 300})
    async with running_gateway(journal, spec) as gateway:
        await gateway.chat()
        assert gateway.starts() == [512]


async def test_a_body_that_needs_no_change_is_passed_as_it_came(journal: Journal) -> None:
    spec = fake_model(fake_variant(journal), set_params={"max_tokens": 4}, strip_params=("seed",))
    body = b'{ "messages": [{"role": "user", "content": "\\u00e9"}],\n "max_tokens": 4 }'
    async with running_gateway(journal, spec) as gateway:
        await gateway.post(body)
        assert gateway.engine_requests(CHAT)[0]["sha256"] == digest(body)


async def test_keep_alive_is_the_gateway_s_business(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        assert (await gateway.chat(keep_alive="5m")).status == 200
        assert gateway.engine_requests(CHAT)[0]["sha256"] == digest(compact(chat_body()))
        refused = await gateway.chat(keep_alive="soon")
        assert refused.error(400, "invalid_request")["param"] == "keep_alive"


async def test_the_engine_is_told_another_name(journal: Journal) -> None:
    spec = fake_model(fake_variant(journal), upstream_model="org/M")
    async with running_gateway(journal, spec) as gateway:
        await gateway.chat(model="m")
        sent = compact(chat_body(model="org/M"))
        assert gateway.engine_requests(CHAT)[0]["sha256"] == digest(sent)


async def test_keep_alive_decides_how_long_a_model_stays_loaded(journal: Journal) -> None:
    clock = ShiftedClock(stands=True)
    async with running_gateway(journal, fake_model(fake_variant(journal)), clock=clock) as gateway:
        await gateway.chat(keep_alive="1h30m")
        clock.skip(5390)
        assert gateway.state() is State.READY
        await gateway.chat()
        clock.skip(5390)
        assert gateway.state() is State.READY, "who says nothing changes nothing"
        await gateway.chat(keep_alive=-1)
        clock.skip(1e6)
        assert gateway.state() is State.READY
        await gateway.chat(keep_alive=0)
        await gateway.until_state(State.STOPPED)
        await gateway.chat()
        clock.skip(890)
        assert gateway.state() is State.READY, "loaded anew it has its own idle time again"
        clock.skip(20)
        await gateway.until_state(State.STOPPED)


async def test_the_operator_has_the_last_word_on_keep_alive(journal: Journal) -> None:
    deaf = fake_model(fake_variant(journal), strip_params=("keep_alive",))
    brief = fake_model(fake_variant(journal, model="brief"), set_params={"keep_alive": 0})
    async with running_gateway(journal, deaf, brief) as gateway:
        assert (await gateway.chat(model="m", keep_alive="soon")).status == 200
        assert (await gateway.chat(model="m", keep_alive=0)).status == 200
        assert gateway.state() is State.READY
        assert (await gateway.chat(model="brief", keep_alive=-1)).status == 200
        await gateway.until_state(State.STOPPED, model="brief")
        sent = {event["sha256"] for event in gateway.engine_requests(CHAT)}
        assert digest(compact(chat_body(model="brief"))) in sent
