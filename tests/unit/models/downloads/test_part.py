"""models/downloads/part.py: a file that is being fetched, on the disk."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from models.downloads.choice import RemoteFile
from models.downloads.layout import RepoFolder
from models.downloads.part import Part
from utils.errors import StorageFull

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"0123456789"
FILE = RemoteFile("m.gguf", len(CONTENT), sha256(CONTENT).hexdigest())


def part(tmp_path: Path) -> Part:
    return Part(RepoFolder(tmp_path, "org/repo"), FILE)


def opened(tmp_path: Path) -> Part:
    found = part(tmp_path)
    assert found.lock()
    assert found.open(lambda _: None, lambda: False)
    return found


def test_a_part_is_continued_and_named_once_it_is_right(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.put(CONTENT[:4])
    first.mark('"etag"')
    # Another program must wait.
    assert not part(tmp_path).lock()
    first.close()
    again = opened(tmp_path)
    assert (again.at, again.marked(), again.is_whole) == (4, '"etag"', False)
    again.put(CONTENT[4:])
    assert again.is_whole
    assert again.finish() == ""
    again.close()
    (blob,) = (tmp_path / "models--org--repo" / "blobs").iterdir()
    assert (blob.name, blob.read_bytes()) == (FILE.digest, CONTENT)
    assert not part(tmp_path).open(lambda _: None, lambda: False)


def test_a_wrong_part_gets_no_name_and_is_discarded(tmp_path: Path) -> None:
    wrong = opened(tmp_path)
    wrong.put(CONTENT[::-1])
    wrong.mark('"etag"')
    assert wrong.finish().startswith("its sha256 is ")
    wrong.start_over()
    assert wrong.at == 0
    wrong.discard()
    wrong.close()
    assert list((tmp_path / "models--org--repo" / "blobs").iterdir()) == []


def test_a_content_that_is_cut_is_not_whole(tmp_path: Path) -> None:
    folder = tmp_path / "models--org--repo" / "blobs"
    folder.mkdir(parents=True)
    (folder / FILE.digest).write_bytes(CONTENT[:3])
    found = opened(tmp_path)
    found.put(CONTENT)
    assert found.finish() == ""
    found.close()
    assert (folder / FILE.digest).read_bytes() == CONTENT


def test_reading_what_is_there_can_be_stopped(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.put(CONTENT)
    first.close()
    again = part(tmp_path)
    again.open(lambda _: None, lambda: True)
    assert again.at == 0
    again.close()


def test_what_the_disk_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "models--org--repo").write_text("no folder")
    with pytest.raises(StorageFull):
        part(tmp_path).open(lambda _: None, lambda: False)
    (tmp_path / ".locks").write_text("no folder")
    with pytest.raises(StorageFull):
        part(tmp_path).lock()
