"""server/active_profile.py: the active profile is kept over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.active_profile import FILE, ActiveProfile

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_kept(tmp_path: Path) -> None:
    assert ActiveProfile(tmp_path).name == ""
    ActiveProfile(tmp_path / "new").switch("night")
    again = ActiveProfile(tmp_path / "new")
    assert again.name == "night"
    again.switch("")
    assert ActiveProfile(tmp_path / "new").name == ""


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"profile": 3}', b"\xff"])
def test_a_file_that_says_nothing_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert ActiveProfile(tmp_path).name == ""


def test_a_folder_that_cannot_be_written_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    profile = ActiveProfile(tmp_path / "file")
    profile.switch("night")
    assert profile.name == "night"
