"""models/head_cache.py: each file is read once, and once more when it has changed."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from gguf_files import llama

import models.head_cache
from models.gguf import BadModelFile, Head, head_of
from models.head_cache import FILE, HeadCache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose heads are read; they are really read."""
    read: list[Path] = []

    def counted(path: Path) -> Head:
        read.append(path)
        return head_of(path)

    monkeypatch.setattr(models.head_cache, "head_of", counted)
    return read


def test_a_head_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    model, link = tmp_path / "m.gguf", tmp_path / "link.gguf"
    model.write_bytes(llama(3))
    link.symlink_to(model)
    cache = HeadCache()
    assert cache.facts(model).layers == 3
    assert cache.facts(link) == cache.facts(model)
    assert reads == [model]


def test_another_gateway_finds_it_in_the_file(tmp_path: Path, reads: list[Path]) -> None:
    model, state = tmp_path / "m.gguf", tmp_path / "state"
    model.write_bytes(llama(3))
    first, second = HeadCache(state), HeadCache(state)
    told = first.facts(model)
    first.save()
    assert second.facts(model) == told
    assert reads == [model]
    assert (state / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["touched", "longer", "another"])
def test_a_changed_file_is_read_again(tmp_path: Path, reads: list[Path], how: str) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(llama(3))
    cache = HeadCache()
    cache.facts(model)
    if how == "touched":
        os.utime(model, ns=(1, 1))
    elif how == "longer":
        model.write_bytes(llama(5))
    else:
        other = tmp_path / "other"
        other.write_bytes(llama(3))
        other.replace(model)
    cache.facts(model)
    assert len(reads) == 2


def test_a_bad_file_is_remembered_with_its_reason(tmp_path: Path, reads: list[Path]) -> None:
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html>Sign in to read this</html>")
    cache = HeadCache(tmp_path)
    for each in (cache, cache, HeadCache(tmp_path)):
        with pytest.raises(BadModelFile, match="web page"):
            each.facts(page)
        each.save()
    assert len(reads) == 1


def test_a_missing_file_is_not_remembered(tmp_path: Path) -> None:
    cache, model = HeadCache(tmp_path), tmp_path / "m.gguf"
    with pytest.raises(FileNotFoundError):
        cache.facts(model)
    model.write_bytes(llama())
    assert cache.facts(model).layers == 2


def test_two_gateways_keep_what_both_found(tmp_path: Path, reads: list[Path]) -> None:
    files = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    for number, file in enumerate(files, 1):
        file.write_bytes(llama(number))
    one, other = HeadCache(tmp_path), HeadCache(tmp_path)
    one.facts(files[0])
    other.facts(files[1])
    one.save()
    other.save()
    third = HeadCache(tmp_path)
    assert [third.facts(file).layers for file in files] == [1, 2]
    assert len(reads) == 2


@pytest.mark.parametrize("spoilt", [b"", b"other version\n1:2:3:4 {}\n", b"\xff\xfe garbage", None])
def test_a_spoilt_cache_is_written_anew(
    tmp_path: Path, reads: list[Path], spoilt: bytes | None
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(llama(3))
    first = HeadCache(tmp_path)
    first.facts(model)
    first.save()
    if spoilt is None:
        # Only the line is cut, as by a full disk.
        spoilt = (tmp_path / FILE).read_bytes()[:-20]
    (tmp_path / FILE).write_bytes(spoilt)
    second = HeadCache(tmp_path)
    assert second.facts(model).layers == 3
    second.save()
    assert HeadCache(tmp_path).facts(model).layers == 3
    assert len(reads) == 2


def test_the_oldest_files_are_forgotten(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.head_cache, "MOST", 2)
    files = [tmp_path / f"{n}.gguf" for n in range(3)]
    cache = HeadCache(tmp_path)
    for file in files:
        file.write_bytes(llama())
        cache.facts(file)
    cache.facts(files[0])
    cache.save()
    again = HeadCache(tmp_path)
    again.facts(files[0])
    again.facts(files[2])
    assert len(reads) == 3
    again.facts(files[1])
    assert len(reads) == 4


def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(llama(3))
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    cache = HeadCache(blocked)
    assert cache.facts(model).layers == 3
    cache.save()
    assert "cannot be written" in caplog.text


def test_threads_may_ask_at_once(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.gguf" for n in range(1, 9)]
    for number, file in enumerate(files, 1):
        file.write_bytes(llama(number))
    cache = HeadCache(tmp_path)
    found: list[list[int]] = []

    def ask() -> None:
        found.append([cache.facts(file).layers for file in files])
        cache.save()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(1, 9))] * 4
