"""models/discovery/scan.py: from the stores of a machine to its models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from model_stores import hub, put

from models import head_cache
from models.discovery.inventory import MANUAL, Entry
from models.discovery.scan import scan, stores_here
from models.discovery.stores import FOLDER, HUB, USUAL, Store
from models.head_cache import FILE, HeadCache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose user has this home, and no variables that say otherwise."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LLAMA_CACHE", "XDG_DATA_HOME", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def names(entries: Sequence[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def test_the_stores_of_the_user_are_found(home: Path) -> None:
    hub(home / ".cache/huggingface/hub", "org/a", "a-Q4_0.gguf")
    big = home / "big"
    put(big / "pub" / "b" / "b-Q8_0.gguf")
    put(home / ".lmstudio/settings.json", json.dumps({"downloadsFolder": str(big)}).encode())
    put(home / "own" / "c.gguf")
    found = scan(stores_here([str(home / "own")]), HeadCache())
    assert names(found.entries) == ["c", "org/a:Q4_0", "pub/b:Q8_0"]
    assert all(entry.facts and entry.ready for entry in found.entries)


def test_without_settings_of_lm_studio_its_usual_folders_count(home: Path) -> None:
    kinds = {store.path: store.kind for store in stores_here()}
    assert kinds[str(home / ".lmstudio/models")] == "lmstudio"
    assert set(kinds.values()) == set(USUAL)


def test_heads_are_kept_for_the_next_scan(home: Path) -> None:
    put(home / "own" / "c.gguf")
    store = Store(FOLDER, str(home / "own"))
    scan([store], HeadCache(home / "state"))
    assert (home / "state" / FILE).stat().st_size > 100


def test_a_file_that_cannot_be_read_says_why(home: Path) -> None:
    hub(home, "org/a", "a.gguf", content=b"<html>" + bytes(100))
    (entry,) = scan([Store(HUB, str(home))], HeadCache()).entries
    assert "web page" in entry.problem


def test_a_renamed_file_is_another_name_of_a_head_that_is_known(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, heads = put(home / "own" / "c.gguf"), HeadCache()
    store = Store(FOLDER, str(home / "own"))
    before = scan([store], heads).entries
    file.rename(home / "own" / "d-Q8_0.gguf")
    monkeypatch.delattr(head_cache, "head_of")
    (entry,) = scan([store], heads, before=before).entries
    assert (entry.name, entry.ready, entry.facts) == ("d-Q8_0", True, before[0].facts)


def test_imported_models_are_looked_for_where_they_were(home: Path) -> None:
    file = put(home / "usb" / "m.gguf")
    store = Store(FOLDER, str(home / "usb"))
    (entry,) = scan([store], HeadCache()).entries
    before = [Entry(**{n: getattr(entry, n) for n in Entry.__slots__} | {"state": MANUAL})]
    # Another file in the folder was not imported.
    put(home / "usb" / "other.gguf")
    assert names(scan([], HeadCache(), before=before).entries) == ["m"]
    # It is the same model under another name.
    file = file.rename(home / "usb" / "better.gguf")
    (renamed,) = scan([], HeadCache(), before=before).entries
    assert (renamed.name, renamed.state, renamed.ready) == ("better", MANUAL, True)
    file = file.rename(home / "usb" / "m.gguf")
    file.unlink()
    (gone,) = scan([], HeadCache(), before=before).entries
    assert (gone.name, gone.problem) == ("m", "the file is missing")
    file.parent.rename(home / "away")
    (away,) = scan([], HeadCache(), before=before).entries
    assert away.problem == f"{home}/usb: no such file or directory"
