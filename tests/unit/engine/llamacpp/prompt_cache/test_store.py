"""engine/llamacpp/prompt_cache/store.py: what survives on disk, and what does not."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from engine.llamacpp.prompt_cache.store import StateStore
from tests.unit.engine.llamacpp.prompt_cache.test_index import marks

if TYPE_CHECKING:
    from pathlib import Path

    from engine.llamacpp.prompt_cache.index import SavedState

BUDGET = 10_000


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    store = StateStore(tmp_path / "slots", BUDGET)
    store.open()
    return store


def kept(store: StateStore, said: str, size: int = 1000) -> SavedState:
    part = store.part()
    (store.folder / part).write_bytes(b"s" * size)
    return store.keep(part, "m", "f", marks(said), 100)


def reopened(store: StateStore, budget: int = BUDGET) -> StateStore:
    again = StateStore(store.folder, budget)
    again.open()
    return again


def names(store: StateStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_a_state_is_found_again(store: StateStore) -> None:
    state = kept(store, "abc")
    assert reopened(store).index.states == (state,)
    assert store.is_whole(state)


def test_only_the_owner_can_read_what_is_stored(store: StateStore) -> None:
    kept(store, "abc")
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "damage",
    [
        lambda state, _known: state.write_bytes(b"half"),
        lambda state, _known: state.unlink(),
        lambda _state, known: known.write_bytes(b"{}"),
        lambda _state, known: known.write_bytes(b"\x00\xff"),
        lambda _state, known: known.write_bytes(known.read_bytes()[:-20]),
        lambda _state, known: known.write_bytes(known.read_bytes().replace(b":1,", b":99,", 1)),
        lambda _state, known: known.unlink(),
    ],
)
def test_what_is_damaged_is_removed_and_the_rest_stays(store: StateStore, damage: object) -> None:
    good, bad = kept(store, "abc"), kept(store, "xyz")
    damage(store.path(bad), store.folder / f"{bad.name}.json")  # type: ignore[operator]  # a parameter
    assert reopened(store).index.states == (good,)
    assert names(store) == sorted([f"{good.name}.json", f"{good.name}.state"])


def test_what_a_dead_gateway_was_writing_is_removed_and_what_a_live_one_is_stays(
    store: StateStore,
) -> None:
    # Pid 1 always runs; numbers beyond 4194304 are never given.
    for path in (store.folder / "1-abc.part", store.folder / "4999999-abc.part"):
        path.write_bytes(b"half")
    reopened(store)
    assert names(store) == ["1-abc.part"]


def test_foreign_files_are_left_alone(store: StateStore) -> None:
    (store.folder / "notes.txt").write_text("mine")
    reopened(store)
    assert names(store) == ["notes.txt"]
    assert store.forget() == (0, 0)


def test_the_budget_holds_and_the_least_recently_used_go(store: StateStore) -> None:
    old, middle = kept(store, "a", 4000), kept(store, "b", 4000)
    store.used(old)
    new = kept(store, "c", 4000)
    assert {state.name for state in store.index.states} == {old.name, new.name}
    assert not store.is_whole(middle)
    assert len(reopened(store, 5000).index) == 1


def test_room_is_made_before_it_is_needed(store: StateStore) -> None:
    kept(store, "a", 6000)
    kept(store, "b", 3000)
    assert store.has_room("f")
    assert [state.size for state in store.index.states] == [3000]
    assert store.has_room("unknown")
    assert len(store.index) == 1


def test_a_disk_without_space_gets_no_states(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(store, "a")
    monkeypatch.setattr(store, "_free", lambda: 0)
    assert not store.has_room("f")
    assert len(store.index) == 0


def test_a_conversation_that_went_on_takes_the_place_of_its_older_state(store: StateStore) -> None:
    kept(store, "ab")
    new = kept(store, "abc")
    assert names(store) == sorted([f"{new.name}.json", f"{new.name}.state"])


def test_a_state_that_was_never_written_cannot_be_kept(store: StateStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.keep(store.part(), "m", "f", marks("a"), 1)
    assert names(store) == []


def test_what_is_dropped_or_forgotten_is_gone(store: StateStore) -> None:
    state = kept(store, "a")
    store.drop(state)
    assert not store.is_whole(state)
    kept(store, "b")
    (store.folder / "7-x.part").write_bytes(b"")
    store.discard("7-x.part")
    store.discard("7-x.part")
    assert store.forget()[0] == 1
    assert names(store) == []
    assert len(store.index) == 0


def test_all_states_of_a_kind_go_and_no_others(store: StateStore) -> None:
    for said, kind in (("a", "f"), ("b", "g"), ("c", "f")):
        part = store.part()
        (store.folder / part).write_bytes(bytes(10))
        store.keep(part, "m", kind, marks(said), 100)
    store.drop_kind("f")
    assert [state.fingerprint for state in store.index.states] == ["g"]
    assert len(names(store)) == 2


def test_a_state_larger_than_the_budget_is_not_kept_and_takes_nobodys_place(
    store: StateStore,
) -> None:
    good = kept(store, "a")
    with pytest.raises(OSError, match="larger than state_budget"):
        kept(store, "b", BUDGET + 1)
    assert store.index.states == (good,)


def test_a_state_that_cannot_be_noted_is_not_left_behind(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_state: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(store, "_note", full)
    with pytest.raises(OSError, match="no space left"):
        kept(store, "a")
    assert [name for name in names(store) if not name.endswith(".part")] == []
    assert len(store.index) == 0


def test_a_state_that_somebody_removed_is_not_noted_again(store: StateStore) -> None:
    state = kept(store, "a")
    assert store.forget()[0] == 1
    store.used(state)
    assert names(store) == []
    assert len(store.index) == 0


def test_use_makes_nothing_else_superfluous(store: StateStore) -> None:
    long, short = kept(store, "abcd"), kept(store, "ab")
    store.used(long)
    assert {state.name for state in store.index.states} == {long.name, short.name}
    assert store.index.states[-1].name == long.name


def test_a_disk_short_of_space_loses_its_oldest_states_first(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(store, "a")
    kept(store, "b")
    frees = iter([0, 2**40, 2**40])
    monkeypatch.setattr(store, "_free", lambda: next(frees))
    assert store.has_room("f")
    assert len(store.index) == 1


def test_a_store_that_never_was_has_nothing_to_forget(tmp_path: Path) -> None:
    assert StateStore(tmp_path / "absent", 1).forget() == (0, 0)
