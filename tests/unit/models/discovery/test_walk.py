"""models/discovery/walk.py: the files of a store, whatever it looks like."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from model_stores import hub, put

from models.discovery.listing import Listing
from models.discovery.stores import FOLDER, HUB, LLAMACPP, OLLAMA, Store
from models.discovery.walk import listed, listings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def folder(path: Path) -> Listing:
    return listed(Store(FOLDER, str(path)))


def inside(listing: Listing) -> list[str]:
    return [file.inside for file in listing.files]


def test_model_files_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.gguf", "a/x.GGUF", "a/deep/er/y.gguf", "notes.txt", "z.gguf.part"):
        put(tmp_path / name)
    assert inside(folder(tmp_path)) == ["b.gguf", "a/x.GGUF", "a/deep/er/y.gguf"]


def test_a_link_has_the_identity_of_its_file(tmp_path: Path) -> None:
    model = put(tmp_path / "m.gguf")
    (tmp_path / "link.gguf").symlink_to("m.gguf")
    one, other = folder(tmp_path).files
    assert one.identity == other.identity == (model.stat().st_dev, model.stat().st_ino)
    assert (other.name, other.folder, other.size) == ("m.gguf", "", model.stat().st_size)


def test_loops_dangling_links_and_odd_files_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "sub" / "m.gguf")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "self.gguf").symlink_to("self.gguf")
    (tmp_path / "gone.gguf").symlink_to("nowhere")
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    put(tmp_path / "empty.gguf", b"")
    (tmp_path / os.fsdecode(b"\xff.gguf")).write_bytes(bytes(100))
    listing = folder(tmp_path)
    assert inside(listing) == ["sub/m.gguf"]
    assert listing.problem == ""


def test_a_hub_is_read_without_its_blobs(tmp_path: Path) -> None:
    hub(tmp_path, "org/repo", "m.gguf", "sub/n.gguf")
    put(tmp_path / "datasets--org--d" / "snapshots" / "c" / "data.gguf")
    put(tmp_path / "models--org--repo" / "blobs" / "odd.gguf")
    listing = listed(Store(HUB, str(tmp_path)))
    begin = f"models--org--repo/snapshots/{'a' * 40}"
    assert inside(listing) == [f"{begin}/m.gguf", f"{begin}/sub/n.gguf"]
    assert listing.texts == {"models--org--repo/refs/main": "a" * 40}


def test_manifests_are_read_with_the_files(tmp_path: Path) -> None:
    put(tmp_path / "manifest=org=repo=Q4.json", b"{}")
    put(tmp_path / "other.json", b"{}")
    assert listed(Store(LLAMACPP, str(tmp_path))).texts == {"manifest=org=repo=Q4.json": "{}"}
    put(tmp_path / "manifests" / "host" / "ns" / "m" / "tag", b"{}")
    put(tmp_path / "blobs" / "sha256-abc")
    put(tmp_path / "blobs" / "sha256-abc.partial")
    ollama = listed(Store(OLLAMA, str(tmp_path)))
    assert (inside(ollama), [*ollama.texts]) == (["blobs/sha256-abc"], ["manifests/host/ns/m/tag"])


def test_an_absent_store_is_empty_but_an_absent_folder_of_the_user_is_a_problem(
    tmp_path: Path,
) -> None:
    absent = str(tmp_path / "absent")
    assert listed(Store(HUB, absent)) == Listing(Store(HUB, absent))
    assert folder(tmp_path / "absent").problem == "no such file or directory"
    put(tmp_path / "file")
    assert folder(tmp_path / "file").problem == "not a directory"


def test_what_may_not_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "open" / "m.gguf")
    closed = tmp_path / "closed"
    closed.mkdir()
    really = os.scandir

    def scandir(path: str) -> object:
        # Not by its mode: the tests may run as a user who may read everything.
        if path == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = folder(tmp_path)
    assert inside(listing) == ["open/m.gguf"]
    assert listing.problem == f"1 folder(s) cannot be read, such as {closed}"
    assert folder(closed).problem == "permission denied"


def test_a_store_that_hangs_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "good" / "m.gguf")
    hangs = tmp_path / "hangs"
    hangs.mkdir()
    blocked = tmp_path / "pipe"
    os.mkfifo(blocked)
    really = os.scandir

    def scandir(path: str) -> object:
        if path == str(hangs):
            # As a share that is away: the call does not come back.
            blocked.read_bytes()
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    began = time.monotonic()
    good, bad = listings([Store(FOLDER, str(tmp_path / "good")), Store(FOLDER, str(hangs))], 0.3)
    # Without a limit it would not come back.
    assert time.monotonic() - began < 10
    assert inside(good) == ["m.gguf"]
    assert bad.problem == "it did not answer within 0.3 s"
    assert not bad.files
    # Let the thread end.
    os.close(os.open(blocked, os.O_WRONLY))


def test_ten_thousand_files_are_listed_within_a_second(tmp_path: Path) -> None:
    model = put(tmp_path / "m.gguf")
    (tmp_path / "models").mkdir()
    for number in range(10_000):
        place = f"{tmp_path}/models/d{number // 5}"
        if number % 5 == 0:
            os.mkdir(place)  # noqa: PTH102 - pathlib takes longer than the walk
        os.link(model, f"{place}/m{number}.gguf")
    (tmp_path / "models" / "loop").symlink_to(tmp_path / "models")
    spent = [1.0]
    # The second time shows that a busy machine was to blame.
    while len(spent) < 3 and spent[-1] >= 1:
        began = time.process_time()
        assert len(folder(tmp_path / "models").files) == 10_000
        spent.append(time.process_time() - began)
    assert spent[-1] < 1
