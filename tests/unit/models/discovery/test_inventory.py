"""models/discovery/inventory.py: what there is, what goes, and what stays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from gguf_files import gguf, llama
from model_stores import COMMIT, everything, hub, ollama, put, scan

from models.discovery.inventory import MANUAL, Entry, Inventory, Taken
from models.discovery.stores import FOLDER, HUB, JAN, LMSTUDIO, OLLAMA, Store

if TYPE_CHECKING:
    from pathlib import Path


def names(found: Inventory) -> list[str]:
    return [entry.name for entry in found.entries]


def test_every_store_of_a_user_is_found(tmp_path: Path) -> None:
    hub(tmp_path / ".cache/huggingface/hub", "org/a", "a-Q4_K_M.gguf")
    put(tmp_path / ".lmstudio/models/pub/b/b-Q8_0.gguf")
    put(tmp_path / ".local/share/Jan/data/llamacpp/models/c/model.gguf")
    ollama(tmp_path / ".ollama/models", "registry.ollama.ai/library/d/latest", llama(3))
    found = everything(tmp_path, HUB, LMSTUDIO, JAN, OLLAMA)
    assert names(found) == ["c", "d:latest", "org/a:Q4_K_M", "pub/b:Q8_0"]
    by_name = {entry.name: entry for entry in found.entries}
    assert by_name["org/a:Q4_K_M"].commit == COMMIT
    assert by_name["org/a:Q4_K_M"].repo == "org/a"
    assert {entry.state for entry in found.entries} == {"auto"}
    assert not found.problems


def test_a_file_at_two_places_is_listed_once(tmp_path: Path) -> None:
    hub(tmp_path / "hub", "org/a", "a-Q4_0.gguf")
    (link,) = (tmp_path / "hub").rglob("snapshots/*/a-Q4_0.gguf")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.gguf").symlink_to(link)
    stores = Store(HUB, str(tmp_path / "hub")), Store(FOLDER, str(tmp_path / "own"))
    for order in (stores, stores[::-1]):
        (entry,) = scan(*order).entries
        # The user's own folder counts first; the other name is an alias.
        assert entry.name == "mine"
        assert "org/a:Q4_0" in entry.aliases


def test_a_copy_in_another_program_is_the_same_model(tmp_path: Path) -> None:
    hub(tmp_path / "hub", "org/a", "a-Q4_0.gguf")
    put(tmp_path / "lm" / "org" / "a" / "a-Q4_0.gguf")
    put(tmp_path / "lm" / "org" / "a" / "a-Q8_0.gguf")
    found = scan(Store(LMSTUDIO, str(tmp_path / "lm")), Store(HUB, str(tmp_path / "hub")))
    assert names(found) == ["org/a:Q4_0", "org/a:Q8_0"]
    assert [entry.store for entry in found.entries] == ["hub", "lmstudio"]


def test_an_ollama_model_with_two_tags_has_both_names(tmp_path: Path) -> None:
    for tag in ("8b", "latest"):
        ollama(tmp_path, f"registry.ollama.ai/library/llama3/{tag}", llama(3))
    (entry,) = scan(Store(OLLAMA, str(tmp_path))).entries
    assert (entry.name, entry.aliases) == ("llama3:8b", ("llama3:latest",))


def test_ollamas_own_conversions_are_doubtful(tmp_path: Path) -> None:
    own = gguf({"general.architecture": "gemma4"}, {"v.patch_embd.weight": ((8, 8), 1)})
    ollama(tmp_path, "registry.ollama.ai/library/gemma4/latest", own)
    ollama(tmp_path, "registry.ollama.ai/library/llama3/latest", llama(3))
    found = scan(Store(OLLAMA, str(tmp_path)), heads=True)
    assert [(e.name, e.doubtful) for e in found.entries] == [
        ("gemma4:latest", True),
        ("llama3:latest", False),
    ]


def test_what_the_configuration_names_is_not_listed_again(tmp_path: Path) -> None:
    mine, other = put(tmp_path / "mine.gguf"), put(tmp_path / "chat.gguf")
    state = mine.stat()
    taken = Taken({(state.st_dev, state.st_ino)}, {"chat"})
    (entry,) = scan(Store(FOLDER, str(tmp_path)), taken=taken).entries
    # Its name is that of a configured model, so the folder tells them apart.
    assert (entry.name, entry.path) == (f"{tmp_path.name}/chat", str(other))


def test_a_found_model_goes_with_its_file(tmp_path: Path) -> None:
    file = put(tmp_path / "m.gguf")
    store = Store(FOLDER, str(tmp_path))
    before = scan(store).entries
    file.unlink()
    assert scan(store, before=before).entries == ()


def test_but_not_while_its_store_is_away(tmp_path: Path) -> None:
    share = tmp_path / "share"
    put(share / "m.gguf")
    store = Store(FOLDER, str(share))
    before = scan(store).entries
    share.rename(tmp_path / "away")
    found = scan(store, before=before)
    (entry,) = found.entries
    assert (entry.name, entry.ready) == ("m", False)
    assert entry.problem == f"{share}: no such file or directory"
    assert found.problems == {str(share): "no such file or directory"}
    (tmp_path / "away").rename(share)
    assert scan(store, before=found.entries).entries == before


def test_an_imported_model_stays_and_is_not_available(tmp_path: Path) -> None:
    file = put(tmp_path / "m.gguf")
    store = Store(FOLDER, str(tmp_path))
    before = imported(*scan(store).entries)
    assert scan(store, before=before).entries == before
    file.unlink()
    (entry,) = scan(store, before=before).entries
    assert (entry.state, entry.problem) == (MANUAL, "the file is missing")


def imported(*entries: Entry) -> tuple[Entry, ...]:
    return tuple(replace(entry, state=MANUAL) for entry in entries)


def test_an_imported_model_keeps_its_name_before_a_found_one(tmp_path: Path) -> None:
    put(tmp_path / "z" / "m.gguf")
    first, second = Store(FOLDER, str(tmp_path / "z")), Store(FOLDER, str(tmp_path / "a"))
    before = imported(*scan(first).entries)
    put(tmp_path / "a" / "m.gguf")
    found = scan(first, second, before=before)
    assert {(e.name, e.state) for e in found.entries} == {("m", "manual"), ("a/m", "auto")}


@pytest.mark.parametrize("taken", ["m", "m.gguf"])
def test_a_missing_model_leaves_its_names_to_the_configuration(tmp_path: Path, taken: str) -> None:
    file = put(tmp_path / "m.gguf")
    store = Store(FOLDER, str(tmp_path))
    before = imported(*scan(store).entries)
    file.unlink()
    (entry,) = scan(store, before=before, taken=Taken(names={taken})).entries
    assert taken not in {entry.name, *entry.aliases}


def test_a_folder_that_went_is_gone_for_other_programs(tmp_path: Path) -> None:
    hub(tmp_path / "hub", "org/a", "a.gguf")
    store = Store(HUB, str(tmp_path / "hub"))
    before = scan(store).entries
    shutil.rmtree(tmp_path / "hub")
    assert scan(store, before=before) == Inventory()
