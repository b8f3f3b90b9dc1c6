"""Requests that are changed on their way to the engine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from gateway import fake_model, fake_variant, running_gateway
from gateway_client import CHAT, chat_body

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
