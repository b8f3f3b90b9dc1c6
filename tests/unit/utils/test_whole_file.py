"""utils/whole_file.py: the old content or the new one, and no part is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from utils.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_made_with_its_folder_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "known.json"
    for content in (b"first", b"second"):
        write_whole(file, content)
        assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["known.json"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    file.mkdir()
    with pytest.raises(OSError, match=r"known\.json"):
        write_whole(file, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["known.json"]
