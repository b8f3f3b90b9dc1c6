"""models/downloads/removal.py: the files of a model go, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gguf_files import llama
from model_stores import COMMIT, PROJECTOR, everything, hub, ollama, put

from models.discovery.inventory import MANUAL, Entry
from models.discovery.scan import scan
from models.discovery.stores import FOLDER, USUAL, Store
from models.downloads.removal import remove
from models.head_cache import HeadCache
from utils.errors import ModelInUse, StorageFull

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "f" * 40
CACHE = ".cache/huggingface/hub"


def removed(home: Path, name: str, *kinds: str) -> list[str]:
    entries = everything(home, *(kinds or USUAL)).entries
    (entry,) = (each for each in entries if each.name == name)
    return remove(entry, [each for each in entries if each is not entry])


def names(home: Path) -> list[str]:
    return [entry.name for entry in everything(home, *USUAL).entries]


def files(home: Path) -> list[str]:
    return sorted(p.relative_to(home).as_posix() for p in home.rglob("*") if not p.is_dir())


def test_a_model_goes_and_its_repository_stays_for_the_others(tmp_path: Path) -> None:
    one, other = hub(tmp_path / CACHE, "o/r", "m-Q8_0.gguf", "m-Q4_0.gguf")
    blob = one.resolve()
    assert set(removed(tmp_path, "o/r:Q8_0")) == {str(one), str(blob)}
    assert names(tmp_path) == ["o/r:Q4_0"]
    assert other.exists()
    assert not blob.exists()
    # With the last one all goes.
    put(tmp_path / CACHE / "models--o--r" / "blobs" / f"{'a' * 64}.incomplete")
    removed(tmp_path, "o/r:Q4_0")
    assert files(tmp_path) == []
    assert (tmp_path / CACHE).is_dir()
    assert not (tmp_path / CACHE / "models--o--r").exists()


def test_all_versions_and_all_parts_go(tmp_path: Path) -> None:
    for commit in (COMMIT, OTHER):
        parts = (f"m-Q8_0-0000{n}-of-00002.gguf" for n in (1, 2))
        hub(tmp_path / CACHE, "o/r", *parts, commit=commit)
    assert len(removed(tmp_path, "o/r:Q8_0")) == 8 + 1  # links, contents, the branch
    assert files(tmp_path) == []


def test_a_content_that_another_name_has_stays(tmp_path: Path) -> None:
    (one,) = hub(tmp_path / CACHE, "o/r", "m-Q8_0.gguf")
    other = one.with_name("copy-Q4_0.gguf")
    other.symlink_to(one.readlink())
    entry = Entry("m", str(one), (str(one),), 1, store="hub", root=str(tmp_path / CACHE))
    assert remove(entry, []) == [str(one)]
    assert other.exists()


def test_a_content_that_repositories_share_stays(tmp_path: Path) -> None:
    (link,) = hub(tmp_path / CACHE, "o/r", "m-Q8_0.gguf")
    blob = link.parent / link.readlink()
    shared = put(tmp_path / CACHE / "blobs" / "ab" / "abcdef", blob.read_bytes())
    blob.unlink()
    blob.symlink_to(shared)
    removed(tmp_path, "o/r:Q8_0")
    assert shared.exists()
    assert not blob.is_symlink()


def test_the_projector_goes_with_the_last_model_that_uses_it(tmp_path: Path) -> None:
    hub(tmp_path / CACHE, "o/r", "m-Q8_0.gguf", "m-Q4_0.gguf")
    hub(tmp_path / CACHE, "o/r", "mmproj-F16.gguf", content=PROJECTOR)
    removed(tmp_path, "o/r:Q8_0")
    assert any("mmproj" in name for name in files(tmp_path))
    removed(tmp_path, "o/r:Q4_0")
    assert files(tmp_path) == []


def test_files_of_other_programs_go_without_their_targets(tmp_path: Path) -> None:
    file = put(tmp_path / ".lmstudio/models/pub/r/m-Q8_0.gguf")
    target = put(tmp_path / "elsewhere" / "n.gguf", llama(3))
    link = tmp_path / ".lmstudio/models/pub/n/n-Q8_0.gguf"
    link.parent.mkdir()
    link.symlink_to(target)
    assert removed(tmp_path, "pub/r:Q8_0") == [str(file)]
    removed(tmp_path, "pub/n:Q8_0")
    assert files(tmp_path) == ["elsewhere/n.gguf"]


def test_a_folder_that_leads_out_of_the_store_is_left_alone(tmp_path: Path) -> None:
    target = put(tmp_path / "elsewhere" / "r" / "m-Q8_0.gguf")
    (tmp_path / ".lmstudio/models").mkdir(parents=True)
    (tmp_path / ".lmstudio/models/pub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelInUse, match="is outside of"):
        removed(tmp_path, "pub/r:Q8_0")
    assert target.exists()


def test_own_folders_and_the_store_of_ollama_are_left_alone(tmp_path: Path) -> None:
    file = put(tmp_path / "own" / "m.gguf")
    (entry,) = scan([Store(FOLDER, str(tmp_path / "own"))], HeadCache()).entries
    with pytest.raises(ModelInUse, match="Remove them yourself"):
        remove(entry, [])
    blob = ollama(tmp_path / ".ollama/models", "registry.ollama.ai/library/d/latest", llama(4))
    with pytest.raises(ModelInUse):
        removed(tmp_path, "d:latest", "ollama")
    imported = Entry("m", str(file), (str(file),), 1, store="hub", root="/", state=MANUAL)
    with pytest.raises(ModelInUse):
        remove(imported, [])
    assert file.exists()
    assert blob.exists()


def test_what_the_disk_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / ".lmstudio/models/pub/r/m-Q8_0.gguf")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "/the/file")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(StorageFull, match="/the/file cannot be written: read-only file system"):
        removed(tmp_path, "pub/r:Q8_0")
