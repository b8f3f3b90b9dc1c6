"""Streams of which each piece goes to the client where it arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway import fake_model, fake_variant, running_gateway, until
from raw_client import text_of

from engine.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    import pytest
    from fake_engine import Journal

# Far more than the sockets' buffers hold: 8 MB.
_MANY = 30_000
_WORD = "late" * 10


async def test_a_client_that_reads_late_holds_the_engine_and_misses_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[UpstreamConnection] = []
    pause = UpstreamConnection._pause

    def noted(self: UpstreamConnection) -> None:
        held.append(self)
        pause(self)

    monkeypatch.setattr(UpstreamConnection, "_pause", noted)
    model = fake_model(fake_variant(journal, context=2 * _MANY))
    async with running_gateway(journal, model, keepalive_interval=0.05) as gw:
        client = await (await gw.stream(_WORD, max_tokens=_MANY)).head()
        client.checked = False  # other tests check streams; this one is large
        await until(lambda: held)
        # Nothing is kept for it meanwhile but what its socket holds.
        assert not held[0]._pieces
        *events, done = await client.rest()
        assert done == "[DONE]"
        assert text_of(events) == " ".join(f"{_WORD}.{number}" for number in range(_MANY))
        assert await journal.wait("finished")
        assert (await gw.chat(max_tokens=1)).status == 200


async def test_a_stopped_engine_ends_what_is_pumped_with_an_error(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=2, times=1))
    async with running_gateway(journal, model) as gw:
        client = await (await gw.stream("cut")).head()
        assert text_of([await client.data() for _ in range(3)]) == "cut.0 cut.1"
        halting = asyncio.create_task(gw.manager.halt())
        events = await client.rest()
        assert events[-1]["error"]["type"]
        assert client.cut
        await halting


async def test_pieces_of_pieces_come_without_comments_in_them(journal: Journal) -> None:
    variant = fake_variant(journal, token_delay=0.15)
    async with running_gateway(journal, fake_model(variant), keepalive_interval=0.05) as gw:
        client = await (await gw.stream("slow", max_tokens=4)).head()
        *events, done = await client.rest()
        assert (text_of(events), done) == ("slow.0 slow.1 slow.2 slow.3", "[DONE]")
        assert client.comments
