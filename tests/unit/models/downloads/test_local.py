"""models/downloads/local.py: a model of the hub that is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_stores import COMMIT, hub, put

from models.downloads.local import local_model
from models.downloads.reference import wanted

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "f" * 40


def names(cache: Path, text: str, file: str = "", revision: str = "main") -> list[str] | None:
    found = local_model(cache, wanted(text, file, revision))
    if found is None:
        return None
    assert found.path == found.parts[0]
    return [path.name for path in (*found.parts, *filter(None, [found.projector]))]


def test_a_model_with_its_projector(tmp_path: Path) -> None:
    hub(tmp_path, "o/r", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-F16.gguf")
    assert names(tmp_path, "o/r") == ["m-Q4_K_M.gguf", "mmproj-F16.gguf"]
    assert names(tmp_path, "o/r:Q8_0") == ["m-Q8_0.gguf", "mmproj-F16.gguf"]
    assert names(tmp_path, "o/r", "m-Q8_0.gguf") == ["m-Q8_0.gguf", "mmproj-F16.gguf"]
    assert names(tmp_path, "o/r:Q2_K") is None
    assert names(tmp_path, "o/nothing") is None


def test_a_model_that_is_not_whole_is_not_there(tmp_path: Path) -> None:
    parts = hub(tmp_path, "o/r", *(f"m-Q8_0-0000{n}-of-00002.gguf" for n in (1, 2)))
    assert names(tmp_path, "o/r") == [part.name for part in parts]
    parts[1].resolve().unlink()
    assert names(tmp_path, "o/r") is None
    put(tmp_path / "models--o--r" / "blobs" / f"{'a' * 64}.incomplete")
    assert names(tmp_path, "o/r") is None


def test_the_commit_of_the_branch_counts_first(tmp_path: Path) -> None:
    hub(tmp_path, "o/r", "old-Q8_0.gguf", commit=OTHER)
    hub(tmp_path, "o/r", "new-Q8_0.gguf")
    assert names(tmp_path, "o/r") == ["new-Q8_0.gguf"]
    assert names(tmp_path, "o/r", revision=OTHER) == ["old-Q8_0.gguf"]
    # What is only in another version is there all the same.
    assert names(tmp_path, "o/r", "old-Q8_0.gguf") == ["old-Q8_0.gguf"]
    found = local_model(tmp_path, wanted("o/r"))
    assert found is not None
    assert found.commit == COMMIT
    # A branch that names a commit that is away hides nothing.
    put(tmp_path / "models--o--r" / "refs" / "main", b"e" * 40)
    assert names(tmp_path, "o/r") is not None
