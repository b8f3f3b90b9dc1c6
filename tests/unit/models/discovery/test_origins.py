"""models/discovery/origins.py: the layout of each store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gguf_files import llama
from model_stores import PROJECTOR, hub, ollama, put

from models.discovery.origins import Origin, origins
from models.discovery.stores import FOLDER, HUB, JAN, LLAMACPP, LMSTUDIO, OLLAMA, Store
from models.discovery.walk import listed

if TYPE_CHECKING:
    from pathlib import Path

OLD = """{"ggufFile": {"rfilename": "sub/m-Q4_0-00001-of-00002.gguf"},
    "mmprojFile": {"rfilename": "mmproj-m.gguf"}}"""


def read(kind: str, path: Path) -> list[Origin]:
    return origins(listed(Store(kind, str(path))))


def told(found: list[Origin]) -> list[tuple[str, str, str]]:
    return [(each.repo, each.inside, each.title) for each in found]


def test_a_hub_tells_repository_and_commit(tmp_path: Path) -> None:
    hub(tmp_path, "org/repo", "m-Q4_0.gguf", "sub/n.gguf")
    hub(tmp_path, "gpt2", "g.gguf")
    assert told(read(HUB, tmp_path)) == [
        ("gpt2", "g.gguf", ""),
        ("org/repo", "m-Q4_0.gguf", ""),
        ("org/repo", "sub/n.gguf", ""),
    ]
    assert {each.commit for each in read(HUB, tmp_path)} == {"a" * 40}


def test_of_several_commits_that_of_main_counts(tmp_path: Path) -> None:
    hub(tmp_path, "org/repo", "m.gguf", "old.gguf", commit="c" * 40)
    hub(tmp_path, "org/repo", "m.gguf", commit="b" * 40)
    found = read(HUB, tmp_path)
    assert [(each.inside, each.commit[0]) for each in found] == [("m.gguf", "b"), ("old.gguf", "c")]
    # Without it, always the same.
    (tmp_path / "models--org--repo" / "refs" / "main").write_text("gone")
    assert [each.commit[0] for each in read(HUB, tmp_path)] == ["c", "c"]


def test_blobs_may_be_shared_by_links_of_links(tmp_path: Path) -> None:
    (link,) = hub(tmp_path, "org/repo", "m.gguf")
    blob = link.resolve()
    shared = tmp_path / "blobs" / "ab" / "xet"
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    (found,) = read(HUB, tmp_path)
    assert found.file.identity == (shared.stat().st_dev, shared.stat().st_ino)


def test_the_old_cache_of_llama_cpp_is_read_by_its_manifests(tmp_path: Path) -> None:
    put(tmp_path / "manifest=org=repo=Q4_0.json", OLD.encode())
    put(tmp_path / "manifest=odd.json", b"[]")
    for name in ("sub_m-Q4_0-00001-of-00002", "sub_m-Q4_0-00002-of-00002", "mmproj-m"):
        put(tmp_path / f"org_repo_{name}.gguf")
    put(tmp_path / "own.gguf")
    hub(tmp_path, "new/repo", "n.gguf")
    assert told(read(LLAMACPP, tmp_path)) == [
        ("org/repo", "mmproj-m.gguf", ""),
        ("new/repo", "n.gguf", ""),
        ("", "own.gguf", ""),
        ("org/repo", "sub/m-Q4_0-00001-of-00002.gguf", ""),
        ("org/repo", "sub/m-Q4_0-00002-of-00002.gguf", ""),
    ]


def test_lm_studio_has_publishers_and_repositories(tmp_path: Path) -> None:
    put(tmp_path / "org" / "repo" / "m-Q4_0.gguf")
    put(tmp_path / "loose.gguf")
    assert told(read(LMSTUDIO, tmp_path)) == [
        ("", "loose.gguf", ""),
        ("org/repo", "m-Q4_0.gguf", ""),
    ]


def test_jan_names_a_model_by_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "org" / "qwen" / "model.gguf")
    put(tmp_path / "org" / "qwen" / "mmproj.gguf")
    assert [each.title for each in read(JAN, tmp_path)] == ["", "org/qwen"]


@pytest.mark.parametrize(
    ("place", "title", "repo"),
    [
        ("registry.ollama.ai/library/llama3.2/1b", "llama3.2:1b", ""),
        ("registry.ollama.ai/ann/own/latest", "ann/own:latest", ""),
        ("hf.co/org/repo/Q4_0", "org/repo:Q4_0", "org/repo"),
    ],
)
def test_ollama_names_models_by_manifests(
    tmp_path: Path, place: str, title: str, repo: str
) -> None:
    blob = ollama(tmp_path, place, llama(3), PROJECTOR)
    put(tmp_path / "manifests" / "host" / "ns" / "broken" / "tag", b"{")
    put(tmp_path / "manifests" / "host" / "ns" / "cloud" / "tag", b'{"layers": null}')
    put(tmp_path / "manifests" / ".DS_Store", b"x")
    (found,) = read(OLLAMA, tmp_path)
    assert (found.title, found.repo, found.file.path) == (title, repo, str(blob))
    assert found.projector is not None
    assert found.projector.size == len(PROJECTOR)


def test_a_folder_tells_nothing_but_its_files(tmp_path: Path) -> None:
    put(tmp_path / "a" / "m.gguf")
    (found,) = read(FOLDER, tmp_path)
    assert (found.repo, found.title, found.scope) == ("", "", f"{tmp_path}/a")
