"""When memory runs out: another try, a smaller variant, or a clear error."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway

from engine.scheduling.lifecycle import State
from models.spec import TokenizationSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fake_engine import Journal

    from engine.scheduling.scheduler import EngineRecord
    from models.spec import VariantSpec

OOM = "ggml_cuda: allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory"


def starved(journal: Journal, context: int, **more: Any) -> VariantSpec:
    return fake_variant(journal, context, exit_code=1, exit_line=OOM, **more)


async def test_the_second_try_goes_unnoticed(journal: Journal) -> None:
    beside = fake_model(fake_variant(journal, model="other"))
    models = (beside, fake_model(starved(journal, 256, times=1)))
    async with running_gateway(journal, *models, max_loaded_models=2) as gw:
        assert (await gw.chat(model="other")).status == 200
        answer = await gw.chat(model="m")
        assert answer.status == 200
        assert "X-Gateway-Fallback" not in answer.headers
        assert len(journal.events("fault")) == 1
        assert gw.starts() == [256, 256, 256]
        # The idle one made room for the second try.
        assert gw.state(model="other") is State.STOPPED


async def test_a_smaller_variant_takes_over_where_the_room_was_a_reserve(
    journal: Journal,
) -> None:
    model = fake_model(
        fake_variant(journal, 256),
        starved(journal, 1024),
        tokenization=TokenizationSpec(default_max_tokens=600),
    )
    async with running_gateway(journal, model) as gw:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        answer = await gw.post(body)
        assert answer.status == 200
        assert answer.headers["X-Gateway-Variant"] == "m@256"
        assert answer.headers["X-Gateway-Fallback"] == "m@1024; reason=out-of-memory"
        assert gw.starts() == [1024, 1024, 256]


async def test_a_stream_is_told_as_well(journal: Journal) -> None:
    model = fake_model(
        fake_variant(journal, 256),
        starved(journal, 1024, load_seconds=0.2),
        tokenization=TokenizationSpec(default_max_tokens=600),
    )
    async with running_gateway(journal, model, keepalive_interval=0.05) as gw:
        body = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
        answer = await gw.post(body)
        assert b": X-Gateway-Fallback: m@1024; reason=out-of-memory" in answer.body
        assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_length_that_the_client_named_is_kept_and_the_lack_is_told(
    journal: Journal,
) -> None:
    model = fake_model(fake_variant(journal, 256), starved(journal, 1024))
    async with running_gateway(journal, model) as gw:
        error = (await gw.chat(max_tokens=600)).error(503, "engine_out_of_memory")
        for part in ("m@1024", "gpu0", "cudaMalloc failed", "-c", "-ngl"):
            assert part in error["message"]
        assert gw.starts() == [1024, 1024]
        # What the smaller one can do, it does.
        assert (await gw.chat(max_tokens=4)).status == 200


async def test_a_client_that_leaves_between_the_tries_leaves_nothing(journal: Journal) -> None:
    model = fake_model(starved(journal, 256, load_seconds=0.1))
    async with running_gateway(journal, model) as gw:
        client = await gw.stream()
        await journal.wait("start", count=2)
        client.leave()
        await gw.until_waiting(0)
        await journal.wait("exit", count=2)
        await gw.until_state(State.BACKOFF)
        assert len(journal.events("start")) == 2


@pytest.mark.parametrize("after", [1, 2])
async def test_a_gateway_that_stops_between_the_tries_leaves_nothing(
    journal: Journal, after: int
) -> None:
    model = fake_model(starved(journal, 256, load_seconds=0.05))
    async with running_gateway(journal, model) as gw:
        asked = asyncio.ensure_future(gw.chat())
        await journal.wait("start", count=after)
        await gw.manager.drain(5.0)
        assert (await asked).status == 503
        started = len(journal.events("start"))
        assert started <= 2
    assert len(journal.events("start")) == started


async def test_an_engine_that_dies_after_a_fallback_is_tried_again_in_that_size(
    journal: Journal,
) -> None:
    model = fake_model(
        fake_variant(journal, 256, die_at="request", times=1),
        starved(journal, 1024),
        tokenization=TokenizationSpec(default_max_tokens=600),
    )
    async with running_gateway(journal, model) as gw:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        answer = await gw.post(body)
        assert answer.status == 200
        assert answer.headers["X-Gateway-Variant"] == "m@256"
        assert gw.starts() == [1024, 1024, 256, 256]


async def test_a_prompt_that_the_smaller_one_refuses_is_told_of_the_lack(journal: Journal) -> None:
    model = fake_model(
        fake_variant(journal, 64),
        starved(journal, 4096),
        tokenization=TokenizationSpec(default_max_tokens=2000),
    )
    async with running_gateway(journal, model) as gw:
        body = {"messages": [{"role": "user", "content": "word " * 100}]}
        error = (await gw.post(body)).error(503, "engine_out_of_memory")
        assert "m@4096" in error["message"]
        assert gw.starts()[:3] == [4096, 4096, 64]
        assert len(gw.starts()) <= 4


async def test_what_was_measured_is_kept_in_state_dir(journal: Journal) -> None:
    variant = fake_variant(journal)
    resources = {"ram": 1 << 40}
    async with running_gateway(journal, fake_model(variant), resources=resources) as gw:
        await gw.chat()
        await asyncio.wait_for(_measured(gw.manager.records), 30.0)
        held = gw.manager.records()[0].memory["ram"]
        assert held > 5_000_000
        assert gw.manager.records()[0].takes == {"ram": held}
    kept = json.loads((journal.path.parent / "state" / "needs.json").read_bytes())["variants"]
    assert list(kept.values()) == [{"ram": held}]
    declared = replace(variant, needs={"ram": 7})
    for wanted, takes in ((variant, held), (declared, 7)):
        async with running_gateway(journal, fake_model(wanted), resources=resources) as gw:
            assert gw.manager.records()[0].takes == {"ram": takes}


async def _measured(records: Callable[[], Sequence[EngineRecord]]) -> None:
    while not records()[0].memory:
        await asyncio.sleep(0.005)
