"""models/discovery/found.py: shards, projectors, and what is no model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from gguf_files import gguf, llama, weights
from model_stores import PROJECTOR, hub, put, scan

from models.discovery.stores import FOLDER, HUB, Store

if TYPE_CHECKING:
    from pathlib import Path

    from models.discovery.inventory import Entry


def models(path: Path, kind: str = FOLDER, *, heads: bool = False) -> dict[str, Entry]:
    found = scan(Store(kind, str(path)), heads=heads)
    return {os.path.relpath(entry.path, path): entry for entry in found.entries}


def pairs(path: Path, kind: str = FOLDER, *, heads: bool = False) -> dict[str, str]:
    """The projector of each model, by the names of their files."""
    found = models(path, kind, heads=heads).values()
    return {name(entry.path): name(entry.projector) for entry in found}


def name(path: str) -> str:
    return path.rpartition("/")[2]


def test_shards_are_one_model(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(tmp_path / f"big-Q4_0-0000{number}-of-00003.gguf")
    (entry,) = models(tmp_path).values()
    assert (entry.name, len(entry.files), entry.ready) == ("big-Q4_0", 3, True)
    assert entry.size == 3 * len(llama())
    assert entry.path.endswith("-00001-of-00003.gguf")


def test_an_incomplete_set_is_not_ready(tmp_path: Path) -> None:
    for number in (1, 3):
        put(tmp_path / f"big-0000{number}-of-00003.gguf")
    put(tmp_path / "other-00001-of-00002.gguf")
    assert [e.problem for e in models(tmp_path).values()] == [
        "2 of 3 parts are there",
        "1 of 2 parts are there",
    ]


def test_sets_of_two_folders_are_not_mixed(tmp_path: Path) -> None:
    put(tmp_path / "a" / "m-00001-of-00002.gguf")
    put(tmp_path / "b" / "m-00002-of-00002.gguf")
    assert [e.ready for e in models(tmp_path).values()] == [False, False]


def test_files_beside_models_are_none(tmp_path: Path) -> None:
    for each in ("mmproj-f16", "m.imatrix", "eagle3-m", "mtp-m", "m"):
        put(tmp_path / f"{each}.gguf")
    assert [*models(tmp_path)] == ["m.gguf"]


def test_a_head_counts_before_a_name(tmp_path: Path) -> None:
    put(tmp_path / "vision.gguf", PROJECTOR)
    put(tmp_path / "lora.gguf", gguf({"general.type": "adapter"}))
    put(tmp_path / "my-mmproj-merge.gguf")
    put(tmp_path / "m.gguf")
    assert [*models(tmp_path, heads=True)] == ["m.gguf", "my-mmproj-merge.gguf"]


def test_what_is_no_model_says_why(tmp_path: Path) -> None:
    put(tmp_path / "page.gguf", b"<html>" + bytes(100))
    put(tmp_path / "cut.gguf", llama()[:-500])
    found = models(tmp_path, heads=True)
    assert "web page" in found["page.gguf"].problem
    assert found["cut.gguf"].problem == "the file is cut: 500 of its bytes are missing"


def test_a_shard_of_a_set_may_be_cut(tmp_path: Path) -> None:
    keys = {"general.architecture": "llama", "split.count": 2}
    put(tmp_path / "m-00001-of-00002.gguf", gguf(keys | {"split.no": 0}, weights(2)))
    second = gguf({"split.no": 1, "split.count": 2}, weights(1, 2, outside=False))
    put(tmp_path / "m-00002-of-00002.gguf", second[:-64])
    (entry,) = models(tmp_path, heads=True).values()
    assert entry.facts is not None
    assert len(entry.facts.bytes_by_layer) == 3
    assert "64 of its bytes" in entry.problem


@pytest.mark.parametrize(
    ("files", "paired"),
    [
        # A name that tells nothing does for one model in several quantisations.
        (["llava-7b-Q4_K_M", "llava-7b-Q8_0", "mmproj-model-f16"], "mmproj-model-f16"),
        (["llava-v1.6-mistral-7b-Q4_K_M", "mmproj"], "mmproj"),
        # The most precise one.
        (["m-Q4_0", "mmproj-F32", "mmproj-BF16", "mmproj-F16"], "mmproj-BF16"),
        (["m-Q4_0", "mmproj-m-Q8_0", "mmproj-m-F16"], "mmproj-m-F16"),
        # The base name may be shorter.
        (["gemma-3-4b-it-Q4_0", "mmproj-gemma-3-4b-f16"], "mmproj-gemma-3-4b-f16"),
        # Another model's.
        (["qwen-7b-Q4_0", "mmproj-gemma-f16"], ""),
    ],
)
def test_a_projector_is_paired_by_its_name(tmp_path: Path, files: list[str], paired: str) -> None:
    for each in files:
        put(tmp_path / f"{each}.gguf", PROJECTOR if "mmproj" in each else None)
    want = f"{paired}.gguf" if paired else ""
    assert set(pairs(tmp_path).values()) == {want}


def test_in_a_folder_of_many_models_the_name_must_fit(tmp_path: Path) -> None:
    for each in ("qwen-vl-7b-Q4_0", "llama-8b-Q4_0", "mmproj-qwen-vl-7b-f16", "mmproj-f16"):
        put(tmp_path / f"{each}.gguf")
    assert pairs(tmp_path) == {
        "qwen-vl-7b-Q4_0.gguf": "mmproj-qwen-vl-7b-f16.gguf",
        "llama-8b-Q4_0.gguf": "",
    }


def test_a_projector_of_another_folder_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path / "a" / "m.gguf")
    put(tmp_path / "b" / "mmproj.gguf")
    put(tmp_path / "mmproj.gguf")
    assert pairs(tmp_path) == {"m.gguf": ""}


def test_in_a_repository_it_may_lie_above(tmp_path: Path) -> None:
    hub(tmp_path, "org/vl", "Q4_0/m-Q4_0.gguf", "mmproj-F16.gguf")
    hub(tmp_path, "org/other", "n.gguf")
    assert pairs(tmp_path, HUB) == {"m-Q4_0.gguf": "mmproj-F16.gguf", "n.gguf": ""}
    hub(tmp_path, "org/vl", "Q4_0/mmproj-F32.gguf")
    assert pairs(tmp_path, HUB)["m-Q4_0.gguf"] == "mmproj-F32.gguf"


@pytest.mark.parametrize(("width", "fits"), [(64, True), (256, True), (80, False)])
def test_a_projector_that_cannot_fit_is_not_taken(tmp_path: Path, width: int, fits: bool) -> None:
    put(tmp_path / "m.gguf")
    said = {"general.architecture": "clip", "clip.vision.projection_dim": width}
    put(tmp_path / "mmproj.gguf", gguf(said))
    assert pairs(tmp_path, heads=True) == {"m.gguf": "mmproj.gguf" if fits else ""}
