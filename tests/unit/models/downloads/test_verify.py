"""models/downloads/verify.py: files are what they promise to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_hub import git_name, sha256
from gguf_files import llama
from model_stores import put

from models.discovery.inventory import Entry
from models.downloads.verify import Verdict, verify

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = llama(2)


def linked(folder: Path, name: str, digest: str, content: bytes) -> str:
    put(folder / "blobs" / digest, content)
    link = folder / "snapshots" / "c" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"../../blobs/{digest}")
    return str(link)


def of(*paths: str, projector: str = "") -> list[Verdict]:
    return verify(Entry("m", paths[0], paths, 1, projector=projector))


def test_contents_are_compared_with_their_names(tmp_path: Path) -> None:
    right = linked(tmp_path, "a.gguf", sha256(CONTENT), CONTENT)
    small = linked(tmp_path, "b.gguf", git_name(CONTENT), CONTENT)
    wrong = linked(tmp_path, "c.gguf", "b" * 64, CONTENT)
    first, second, third = of(right, small, projector=wrong)
    assert first == Verdict(right, sha256(CONTENT))
    assert second == Verdict(small, git_name(CONTENT))
    assert third.problem == f"its content is {sha256(CONTENT)[:12]}…, not bbbbbbbbbbbb…"


def test_a_content_that_is_shared_is_compared_with_the_first_name(tmp_path: Path) -> None:
    link = linked(tmp_path, "a.gguf", sha256(CONTENT), CONTENT)
    blob = tmp_path / "blobs" / sha256(CONTENT)
    blob.replace(tmp_path / "shared")
    blob.symlink_to(tmp_path / "shared")
    assert of(link) == [Verdict(link, sha256(CONTENT))]


def test_elsewhere_the_head_and_the_length_are_checked(tmp_path: Path) -> None:
    plain = str(put(tmp_path / "m.gguf", CONTENT))
    cut = str(put(tmp_path / "cut.gguf", CONTENT[:-10]))
    page = str(put(tmp_path / "page.gguf", b"<html>" + bytes(100)))
    gone = str(tmp_path / "gone.gguf")
    assert [verdict.problem for verdict in of(plain, cut, page, gone)] == [
        "",
        "the file is cut: 10 of its bytes are missing",
        "it is not a GGUF file but a web page",
        "no such file or directory",
    ]


def test_it_can_be_stopped(tmp_path: Path) -> None:
    wrong = linked(tmp_path, "c.gguf", "b" * 64, CONTENT)
    entry = Entry("m", wrong, (wrong,), 1)
    assert verify(entry, lambda: True) == [Verdict(wrong, "b" * 64)]
