"""The progress of a load is told by the duration of the last one."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from builders import TYPES
from gateway import fake_model, fake_variant, running_gateway

from engine.resources.learnt_store import LoadTimes

if TYPE_CHECKING:
    from fake_engine import Journal

    from models.spec import VariantSpec

# A load that goes on for as long as a test may take, and what is known of it.
ENDLESS, KNOWN = 600, 400.0
SOON = 0.02


def known_before(journal: Journal, *variants: VariantSpec) -> None:
    """An earlier gateway has seen each of them load."""
    loads = LoadTimes(journal.path.parent / "state", os.environ, TYPES)
    for variant in variants:
        loads.learn(variant, KNOWN)


async def test_a_client_refused_by_a_full_queue_comes_back_when_the_engine_is_loaded(
    journal: Journal,
) -> None:
    variant = fake_variant(journal, load_seconds=ENDLESS)
    known_before(journal, variant)
    async with running_gateway(journal, fake_model(variant), max_queue=1) as gw:
        await gw.stream("first")
        await gw.until_waiting(1)
        for stream in (False, True):
            answer = await gw.chat("second", stream=stream)
            assert "1 requests are waiting already" in answer.error(429, "queue_full")["message"]
            # The longest that is ever advised.
            assert answer.headers["Retry-After"] == "60"


async def test_what_is_left_of_a_load_counts(journal: Journal) -> None:
    variant = fake_variant(journal, load_seconds=ENDLESS)
    loads = LoadTimes(journal.path.parent / "state", os.environ, TYPES)
    loads.learn(variant, 40.0)
    async with running_gateway(journal, fake_model(variant), max_queue=1) as gw:
        await gw.stream("first")
        await gw.until_waiting(1)
        answer = await gw.chat("second")
        # 40 s less what has passed, and a second for who waits: more than nothing known gives.
        assert 1 < int(answer.headers["Retry-After"]) <= 41


async def test_nothing_known_is_not_made_up(journal: Journal) -> None:
    variant = fake_variant(journal, load_seconds=ENDLESS)
    known_before(journal, fake_variant(journal, 512, load_seconds=ENDLESS))
    model = fake_model(variant)
    async with running_gateway(journal, model, max_queue=1, keepalive_interval=SOON) as gw:
        client = await (await gw.stream("first")).head()
        await client.comment()
        assert await client.event() == ": keep-alive, loading m@256"
        assert (await gw.chat("second")).headers["Retry-After"] == "1"


async def test_a_load_that_is_still_to_come_counts_in_full(journal: Journal) -> None:
    busy = fake_variant(journal, stall_at=1, model="busy")
    wanted = fake_variant(journal, load_seconds=ENDLESS)
    loads = LoadTimes(journal.path.parent / "state", os.environ, TYPES)
    loads.learn(wanted, 20.0)
    models = fake_model(busy), fake_model(wanted)
    async with running_gateway(journal, *models, max_queue=1) as gw:
        first = await (await gw.stream("first", model="busy")).head()
        await first.data()
        await gw.stream("second", model="m")
        await gw.until_waiting(1)
        assert (await gw.chat("third", model="m")).headers["Retry-After"] == "21"


async def test_progress_is_measured_by_the_last_load(journal: Journal) -> None:
    variant = fake_variant(journal, load_seconds=ENDLESS)
    known_before(journal, variant)
    async with running_gateway(journal, fake_model(variant), keepalive_interval=SOON) as gw:
        (shown,) = (await gw.request("GET", "/v1/models")).json["data"]
        assert shown["load_seconds"] == {"256": KNOWN}
        client = await (await gw.stream("alpha")).head()
        await client.comment()
        comment = await client.event()
        found = re.fullmatch(r": keep-alive, loading m@256, (\d+) %, (\d+) s left", comment or "")
        assert found is not None
        assert 0 <= int(found[1]) < 30
        assert KNOWN / 2 < int(found[2]) <= KNOWN
