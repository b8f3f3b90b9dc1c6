"""Faults while prompt caches are saved and restored harm no request."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from gateway import PATIENT, Gateway, fake_model, fake_variant, hang, running_gateway, until
from growth_models import LENGTH, growing
from raw_client import PATIENCE

from engine.llamacpp.prompt_cache.store import StateStore
from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from fake_engine import Journal

    from models.spec import ModelSpec

TALE = " ".join(f"word{number}" for number in range(100))
BUDGET = 1_000_000


@pytest.fixture
def store(journal: Journal) -> StateStore:
    store = StateStore(journal.path.parent / "slots", BUDGET)
    store.open()
    return store


def carrying(journal: Journal, **options: Any) -> ModelSpec:
    return fake_model(replace(fake_variant(journal, **options), state_carry=True))


async def said(gw: Gateway, text: str = TALE, **fields: Any) -> int:
    """Answer a turn; return how many tokens of its prompt came from the cache."""
    answer = await gw.chat(text, **fields)
    assert answer.status == 200, answer.body
    return int(gw.journal.events("seated")[-1]["cached"])


async def carry_of(gw: Gateway) -> str:
    (engine,) = (await gw.request("GET", "/running")).json["engines"]
    return str(engine["state_carry"])


def files(store: StateStore) -> list[str]:
    return sorted(path.suffix for path in store.folder.iterdir())


async def test_after_an_unload_nothing_is_read_twice(journal: Journal, store: StateStore) -> None:
    model = carrying(journal)
    async with running_gateway(journal, model, store=store) as gw:
        assert await said(gw) == 0
        assert await carry_of(gw) == "on"
        await gw.manager.unload("m")
        assert await said(gw) >= 100
    assert files(store) == [".json", ".state"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


async def test_nothing_of_what_was_said_is_noted(journal: Journal, store: StateStore) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw, f"confidential {TALE}")
        await gw.manager.unload("m")
    (known,) = store.folder.glob("*.json")
    text = known.read_text()
    assert not [word for word in ("confidential", *TALE.split(), "user") if word in text]


# -- saving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["fail", "hang", "die"])
async def test_a_save_that_fails_leaves_no_litter_and_the_prompt_is_read_anew(
    journal: Journal, store: StateStore, fault: str
) -> None:
    """The engine may have hung or died while it wrote the file."""
    model = carrying(journal, save=fault, times=1)
    limit = 2.0 if fault == "hang" else 60.0
    async with running_gateway(journal, model, store=store, state_timeout=limit) as gw:
        await said(gw)
        await gw.manager.unload("m")
        assert files(store) == []
        assert await said(gw) == 0
        await gw.manager.unload("m")
        assert await said(gw) >= 100


async def test_all_slots_are_saved_within_one_timeout(journal: Journal, store: StateStore) -> None:
    model = carrying(journal, parallel=4, save="hang")
    async with running_gateway(journal, model, store=store, state_timeout=0.3) as gw:
        for number in range(4):
            await said(gw, f"{number} {TALE}")
        await gw.manager.unload("m")
        assert len(journal.events("save")) == 1
    assert files(store) == []


async def test_an_engine_that_writes_too_late_leaves_no_litter(
    journal: Journal, store: StateStore
) -> None:
    # It takes its time to end: what it writes until then is late, not lost from sight.
    model = carrying(journal, save="fail", stop_seconds=1)
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw)
        begun = asyncio.create_task(gw.manager.unload("m"))
        [event] = await journal.wait("save")
        # What the gateway has given up is written after all.
        (store.folder / event["file"]).write_text("late")
        await begun
    assert files(store) == []


async def test_an_engine_that_has_lost_what_it_held_replaces_no_state(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        await gw.manager.unload("m")
        await said(gw, f"{TALE} more")
        # Whatever the usage says: one word is held from now on.
        port = gw.manager.process(2).client.url  # type: ignore[union-attr]  # it runs
        async with gw.session.post(f"{port}/completion", json={"prompt": "x"}) as answer:
            assert answer.status == 200
        await gw.manager.unload("m")
        assert len(journal.events("save")) == 2
        assert await said(gw) >= 100


async def test_a_disk_without_space_is_not_written_to(
    journal: Journal, store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_free", lambda: 0)
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        await gw.manager.unload("m")
        assert not journal.events("save")
        assert await said(gw) == 0


async def test_a_folder_that_is_gone_costs_no_answer(journal: Journal, store: StateStore) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        await gw.manager.unload("m")
        for path in store.folder.iterdir():
            path.unlink()
        store.folder.rmdir()
        assert await said(gw) == 0
        await gw.manager.unload("m")
        assert await said(gw) == 0


async def test_the_budget_holds(journal: Journal, store: StateStore) -> None:
    small = StateStore(store.folder, 1500)
    async with running_gateway(journal, carrying(journal), store=small) as gw:
        for number in range(4):
            await said(gw, f"{number} {TALE}")
            await gw.manager.unload("m")
        assert 0 < small.index.size <= 1500
        assert sum(path.stat().st_size for path in store.folder.glob("*.state")) <= 1500
        assert await said(gw, f"3 {TALE}") >= 100


async def test_a_crash_saves_nothing(journal: Journal, store: StateStore) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        [ready] = await journal.wait("ready")
        os.kill(ready["pid"], signal.SIGKILL)
        await until(lambda: gw.state() is not State.READY)
        assert await said(gw) == 0
        assert not journal.events("save")


async def test_an_engine_that_hangs_is_replaced_without_a_save(
    journal: Journal, store: StateStore
) -> None:
    brisk = replace(PATIENT, health_check=1.0, stop=0.2)
    checks: dict[str, Any] = {"health_check_interval": 0.05, "health_check_failures": 2}
    model = carrying(journal, timeouts=brisk)
    async with running_gateway(journal, model, store=store, state_timeout=600.0, **checks) as gw:
        await said(gw)
        [ready] = await journal.wait("ready")
        await hang(ready["pid"])
        await until(lambda: gw.state() is State.ABORTING)
        assert await said(gw) == 0
        assert not journal.events("save")


async def test_an_engine_that_is_killed_meanwhile_is_not_waited_for(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, save="hang")
    async with running_gateway(journal, model, store=store, state_timeout=600.0) as gw:
        await said(gw)
        unload = asyncio.create_task(gw.manager.unload("m"))
        await journal.wait("half")
        async with asyncio.timeout(PATIENCE):
            await gw.manager.halt()
            await unload
    assert files(store) == []


# -- restoring --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["fail", "hang", "die"])
async def test_a_restore_that_fails_costs_no_answer(
    journal: Journal, store: StateStore, fault: str
) -> None:
    model = carrying(journal, restore=fault, times=1)
    limit = 2.0 if fault == "hang" else 60.0
    async with running_gateway(journal, model, store=store, state_timeout=limit) as gw:
        await said(gw)
        await gw.manager.unload("m")
        assert await said(gw) == 0
        assert journal.events("fault", fault="restore")
        # Of a state that only took too long nothing is wrong; but it is not tried again.
        assert files(store) == ([".json", ".state"] if fault == "hang" else [])
        assert await said(gw, f"other {TALE}") < 10
        assert await said(gw) < 10 if fault == "hang" else True
        await gw.manager.unload("m")
        assert await said(gw) >= 100


@pytest.mark.parametrize("fault", ["removed", "damaged"])
async def test_where_the_best_state_is_of_no_use_the_next_best_is_restored(
    journal: Journal, store: StateStore, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        await gw.manager.unload("m")
        # Where it goes on in two ways, each is a state of its own.
        begun = [{"role": "user", "content": TALE}]
        more = [
            [
                *begun,
                {"role": "assistant", "content": f"{end} {end}"},
                {"role": "user", "content": end},
            ]
            for end in ("one", "two")
        ]
        for messages in more:
            await said(gw, messages=messages)
            await gw.manager.unload("m")
        best = max(store.index.states, key=lambda state: state.used_at)
        if fault == "removed":
            store.path(best).unlink()
        else:
            store.path(best).write_bytes(b"x" * best.size)
        assert await said(gw, messages=more[-1]) >= 100
        assert best not in store.index.states
    assert "damaged" in caplog.text or fault == "removed"


async def test_a_client_that_leaves_during_a_restore_keeps_no_slot_and_harms_no_state(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, restore="hang", times=1)
    async with running_gateway(journal, model, store=store, state_timeout=600.0) as gw:
        await said(gw)
        await gw.manager.unload("m")
        client = await gw.stream(TALE)
        await journal.wait("fault", fault="restore")
        client.leave()
        assert await said(gw) >= 100
        assert len(journal.events("restored")) == 1


async def test_a_client_that_leaves_while_another_conversation_is_saved_for_it(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, save_seconds=0.5)
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw)
        await gw.manager.unload("m")
        await said(gw, f"other {TALE}")
        client = await gw.stream(TALE)
        await journal.wait("save", 2)
        client.leave()
        assert await said(gw) >= 100
        assert len(store.index) == 2
    assert not list(store.folder.glob("*.part"))


async def test_what_an_engine_refuses_leaves_its_slot_as_it_was(
    journal: Journal, store: StateStore
) -> None:
    small, large = (fake_variant(journal, context) for context in (256, 512))
    small = replace(small, env={**small.env, "FAKE_REAL_CTX": "110"})
    model = fake_model(*(replace(each, state_carry=True) for each in (small, large)))
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw, "a " * 80)
        # It does not fit, as the engine alone knows.
        assert (await gw.chat("b " * 110)).status == 200
        assert gw.starts() == [256, 512]
        assert [event["tokens"] for event in journal.events("saved")] == [84]


@pytest.mark.parametrize("wish", [{}, {"id_slot": 7}])
async def test_what_a_client_did_not_wait_for_is_not_saved(
    journal: Journal, store: StateStore, wish: dict[str, int]
) -> None:
    model = carrying(journal, parallel=2, late_headers=1, prefill_seconds=60)
    async with running_gateway(journal, model, store=store) as gw:
        client = await gw.stream(TALE, **wish)
        await journal.wait("seated")
        client.leave()
        await journal.wait("aborted")
        await until(lambda: not any(record.active for record in gw.manager.records()))
        await gw.manager.unload("m")
        assert not journal.events("save")


async def test_nor_what_it_did_not_wait_for_of_an_answer_that_grows(
    journal: Journal, store: StateStore
) -> None:
    model = growing(journal, 128, 512, large={"late_headers": 1, "prefill_seconds": 60})
    prompt_cache = [replace(variant, state_carry=True) for variant in model.variants]
    async with running_gateway(
        journal, replace(model, variants=tuple(prompt_cache)), store=store
    ) as gw:
        client = await gw.stream("hello", max_tokens=LENGTH)
        await journal.wait("seated", 2)
        client.leave()
        await journal.wait("aborted")
        await until(lambda: not any(record.active for record in gw.manager.records()))
        await gw.manager.unload("m")
        # What the smaller engine held alone.
        assert len(journal.events("save")) == 1


# -- who takes part ---------------------------------------------------------------------------


async def test_an_engine_that_does_not_know_the_flag_is_not_given_it(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, no_slots=1)
    async with running_gateway(journal, model, store=store) as gw:
        assert (await gw.chat(TALE)).status == 200
        assert await carry_of(gw) == "off"
    [start] = journal.events("start")
    assert "--slot-save-path" not in start["argv"]


async def test_a_folder_of_the_users_own_is_left_alone(journal: Journal, store: StateStore) -> None:
    flag = "--slot-save-path"
    model = carrying(journal, args=(flag, str(journal.path.parent)))
    async with running_gateway(journal, model, store=store) as gw:
        assert (await gw.chat(TALE)).status == 200
        assert await carry_of(gw) == "off"
    [start] = journal.events("start")
    assert sum(flag in arg for arg in start["argv"]) == 1
    assert not journal.events("save")


async def test_a_variant_may_stay_out(journal: Journal, store: StateStore) -> None:
    model = fake_model(fake_variant(journal))
    assert not model.largest.state_carry
    async with running_gateway(journal, model, store=store) as gw:
        assert (await gw.chat(TALE)).status == 200
        assert await carry_of(gw) == "off"


async def test_without_a_gain_nothing_is_restored_and_it_is_logged(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, forgetful=1)
    async with running_gateway(journal, model, store=store) as gw:
        for _ in range(3):
            assert await said(gw) == 0
            await gw.manager.unload("m")
        saved = len(journal.events("save"))
        restored = len(journal.events("restore"))
        assert restored == 2
        assert await said(gw) == 0
        assert await carry_of(gw) == "useless"
        await gw.manager.unload("m")
        assert len(journal.events("save")) == saved
        assert len(journal.events("restore")) == restored
    # They would take the place of others' states.
    assert files(store) == []


SAID = [{"role": "user", "content": TALE}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": SAID, "max_tokens": 40}),
        ("/v1/completions", {"prompt": TALE, "max_tokens": 40}),
        ("/v1/messages", {"messages": SAID, "max_tokens": 40}),
        ("/v1/responses", {"input": TALE, "max_output_tokens": 40}),
    ],
)
async def test_every_form_of_answer_tells_whether_a_state_helped(
    journal: Journal, store: StateStore, path: str, body: dict[str, Any]
) -> None:
    """A stream and an answer in one piece tell it of one restore each, and two are enough."""
    model = carrying(journal, forgetful=1)
    async with running_gateway(journal, model, store=store) as gw:
        for stream, then in ((False, "on"), (True, "on"), (False, "useless")):
            asked = {"model": "m", "stream": stream} | body
            assert (await gw.request("POST", path, json=asked)).status == 200
            assert await carry_of(gw) == then
            await gw.manager.unload("m")


# -- several slots ----------------------------------------------------------------------------


async def test_each_conversation_has_its_slot_and_finds_its_state(
    journal: Journal, store: StateStore
) -> None:
    model = carrying(journal, parallel=2)
    async with running_gateway(journal, model, store=store) as gw:
        for name in ("ann", "bob"):
            await said(gw, f"{name} {TALE}")
        assert [event["asked"] for event in journal.events("seated")] == [0, 1]
        for name in ("bob", "ann"):
            assert await said(gw, f"{name} {TALE}") >= 100
        assert [event["slot"] for event in journal.events("seated")] == [0, 1, 1, 0]
        await gw.manager.unload("m")
        assert len(journal.events("saved")) == 2
        for name in ("bob", "ann"):
            assert await said(gw, f"{name} {TALE}") >= 100


async def test_two_at_once_are_restored_side_by_side(journal: Journal, store: StateStore) -> None:
    model = carrying(journal, parallel=2)
    async with running_gateway(journal, model, store=store) as gw:
        for name in ("ann", "bob"):
            await said(gw, f"{name} {TALE}")
        await gw.manager.unload("m")
        before = len(journal.events("seated"))
        await asyncio.gather(*(said(gw, f"{name} {TALE}") for name in ("ann", "bob")))
        seated = journal.events("seated")[before:]
        assert {event["asked"] for event in seated} == {0, 1}
        assert all(event["cached"] >= 100 for event in seated)


async def test_the_slot_that_a_client_names_is_the_one(journal: Journal, store: StateStore) -> None:
    model = carrying(journal, parallel=2)
    async with running_gateway(journal, model, store=store) as gw:
        await said(gw, f"ann {TALE}", id_slot=1)
        assert journal.events("seated")[-1]["slot"] == 1
        # The gateway knows that it is there.
        assert await said(gw, f"ann {TALE}") >= 100
        await said(gw, f"bob {TALE}", id_slot=7)
        assert journal.events("seated")[-1]["asked"] == 7
        # Where that one went shows afterwards.
        await gw.manager.unload("m")
        assert sorted(event["slot"] for event in journal.events("save")) == [0, 1]


async def test_an_engine_is_on_record_with_the_arguments_that_were_added(
    journal: Journal, store: StateStore
) -> None:
    async with running_gateway(journal, carrying(journal), store=store) as gw:
        await said(gw)
        [file] = (journal.path.parent / "state").glob("engines-*.json")
        [engine] = orjson.loads(file.read_bytes())["engines"]
        assert "--slot-save-path" in engine["argv"]
        assert engine["argv"] == journal.events("start")[0]["argv"]
