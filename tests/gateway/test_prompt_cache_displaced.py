"""A prompt that another one displaces from its slot is kept, on fake engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gateway import running_gateway, until

from engine.llamacpp.prompt_cache import engine_cache as prompt_cache
from engine.llamacpp.prompt_cache.store import StateStore
from tests.gateway.test_prompt_cache_faults import TALE, carrying, files, said

if TYPE_CHECKING:
    from fake_engine import Journal
    from gateway import Gateway

OTHER = f"other {TALE}"
# What any two prompts share is the beginning of the template.
LITTLE = 5
# Enough tokens for what they take to be measured.
LONG = " ".join([TALE] * 4)


@pytest.fixture
def store(journal: Journal) -> StateStore:
    store = StateStore(journal.path.parent / "slots", 1_000_000)
    store.open()
    return store


class Talk:
    """Return a conversation whose answers are one word each."""

    def __init__(self, gw: Gateway, first: str) -> None:
        self._gw = gw
        self._messages = [{"role": "user", "content": first}]

    async def turn(self, text: str = "") -> int:
        """Return how many tokens of its prompt came from the cache."""
        if text:
            self._messages.append({"role": "user", "content": text})
        fields: dict[str, Any] = {"messages": self._messages, "max_tokens": 1}
        cached = await said(self._gw, **fields)
        self._messages.append({"role": "assistant", "content": "so"})
        return cached


async def test_what_was_displaced_comes_back_in_the_same_run(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        assert await said(gw) < LITTLE
        await said(gw, OTHER)
        for text in (TALE, OTHER, TALE):
            assert await said(gw, text) >= 100
    # Once each: what is on disk already is not written again.
    assert len(journal.events("saved")) == 2
    assert len(journal.events("restored")) == 3


async def test_what_was_displaced_outlives_the_engine(journal: Journal, store: StateStore) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        # Too short to be worth anything itself.
        await said(gw, "give this a title")
        await gw.manager.unload("m")
        assert await said(gw) >= 100
    assert files(store) == [".json", ".state"]


async def test_what_grows_little_by_little_is_not_written_every_time(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        talk = Talk(gw, TALE)
        await talk.turn()
        for number in range(10):
            await said(gw, f"title {number}")
            assert await talk.turn("and what happened then") >= 100
        grown = journal.events("seated")[-1]["cached"]
    written = sum(event["tokens"] for event in journal.events("saved"))
    assert grown > 150
    assert len(journal.events("saved")) <= 6
    assert written <= 8 * grown


async def test_a_row_of_prompts_that_never_come_back_is_soon_left_alone(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        for number in range(9):
            await said(gw, f"{number} {TALE}")
        assert len(journal.events("saved")) == 4
        await gw.manager.unload("m")
        assert len(journal.events("saved")) == 5


@pytest.mark.parametrize(("prompt_ms", "saves"), [(1, 1), (1e9, 3)])
async def test_saving_that_takes_longer_than_reading_is_tried_once(
    journal: Journal, store: StateStore, prompt_ms: float, saves: int
) -> None:
    model = carrying(journal, context=1024, save_seconds=0.2, prompt_ms=prompt_ms)
    async with running_gateway(journal, model, store=store) as gw:
        for number in range(4):
            await said(gw, f"{number} {LONG}")
        assert len(journal.events("saved")) == saves


# -- an engine that keeps them by itself ------------------------------------------------------


async def test_what_an_engine_has_kept_itself_is_not_restored(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal, cache_ram="works"), store=store) as gw:
        one, two = Talk(gw, TALE), Talk(gw, OTHER)
        for talk in (one, two):
            await talk.turn()
        for _ in range(3):
            for talk in (one, two):
                assert await talk.turn("and then") >= 100
        assert not journal.events("restore")
        await gw.manager.unload("m")
        # Of both there is something on disk.
        for talk in (one, two):
            assert await talk.turn("and then") >= 100
        assert len(journal.events("restored")) == 2


async def test_an_engine_that_forgets_what_it_kept_is_not_counted_on(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal, cache_ram="forgets"), store=store) as gw:
        await said(gw)
        await said(gw, OTHER)
        assert await said(gw) < LITTLE
        for text in (OTHER, TALE, OTHER):
            assert await said(gw, text) >= 100


async def test_where_its_cache_is_turned_off_states_are_restored(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, cache_ram="forgets", args=("--cache-ram", "0"))
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw)
        await said(gw, OTHER)
        assert await said(gw) >= 100


# -- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["fail", "hang", "die"])
async def test_a_save_that_fails_costs_the_other_prompt_no_answer(
    journal: Journal, store: StateStore, fault: str
) -> None:
    model = carrying(journal, save=fault, times=1)
    limit = 2.0 if fault == "hang" else 60.0
    async with running_gateway(journal, model, store=store, state_timeout=limit) as gw:
        await said(gw)
        assert await said(gw, OTHER) < LITTLE
        assert journal.events("fault", fault="save")
        assert await said(gw) < LITTLE
        # Nobody waits for the next attempt: it is made when the engine stops.
        assert len(journal.events("save")) == 1
        await gw.manager.unload("m")
        assert len(journal.events("saved")) == 1
        assert await said(gw) >= 100
        await said(gw, OTHER)
    assert not list(store.folder.glob("*.part"))


async def test_after_a_save_that_hangs_nothing_is_restored_for_the_same_request(
    journal: Journal, store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fault does not make it another engine.
    monkeypatch.setattr(prompt_cache, "fingerprint", lambda *_: "f")
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        await gw.manager.unload("m")
    model = carrying(journal, save="hang", times=1)
    async with running_gateway(journal, model, store=store, state_timeout=2.0) as gw:
        await said(gw, OTHER)
        assert await said(gw) < LITTLE
        assert not journal.events("restore")
        # The state is as good as it was.
        await said(gw, "x")
        assert await said(gw) >= 100


async def test_a_client_that_leaves_during_the_save_leaves_the_slot_as_it_was(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, save_seconds=0.5)
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw)
        client = await gw.stream(OTHER)
        await journal.wait("save")
        client.leave()
        assert await said(gw) >= 100
        assert len(journal.events("seated")) == 2
    assert not list(store.folder.glob("*.part"))


async def test_what_an_engine_wrote_for_a_client_that_left_lies_about_no_longer_than_the_next_save(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, save_seconds=0.3)
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw)
        client = await gw.stream(OTHER)
        [event] = await journal.wait("save")
        client.leave()
        await until(lambda: not any(record.active for record in gw.manager.records()))
        # As an engine does that was busy with other slots before.
        (store.folder / event["file"]).write_text("late")
        await said(gw)
        await said(gw, OTHER)
        assert files(store) == [".json", ".state"]


async def test_a_full_disk_holds_nobody_up(
    journal: Journal, store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_free", lambda: 0)
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        await said(gw, OTHER)
        assert await said(gw) < LITTLE
        assert not journal.events("save")


# -- several slots ----------------------------------------------------------------------------


async def test_of_several_slots_the_one_that_is_taken_is_saved(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, parallel=2)
    async with running_gateway(journal, model, store=store) as gw:
        for name in ("ann", "bob"):
            await said(gw, f"{name} {TALE}")
        assert not journal.events("save")
        await said(gw, f"cid {TALE}")
        assert [event["slot"] for event in journal.events("saved")] == [0]
        # Bob's, who was not asked for the longest time, makes room.
        assert await said(gw, f"ann {TALE}") >= 100
        assert [event["slot"] for event in journal.events("saved")] == [0, 1]
