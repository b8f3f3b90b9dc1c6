"""The gateway's own admin token: made once, readable by its user alone."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from server.admin.own_token import NAME, own_token, read_token

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not yet" / "there"
    token = own_token(folder)
    assert len(token) == 32
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600
    assert own_token(folder) == read_token(folder) == token
    assert [file.name for file in folder.iterdir()] == [NAME]


def test_two_folders_have_two_tokens(tmp_path: Path) -> None:
    assert own_token(tmp_path / "a") != own_token(tmp_path / "b")


def test_one_that_others_could_read_is_made_anew(tmp_path: Path) -> None:
    before = own_token(tmp_path)
    (tmp_path / NAME).chmod(0o640)
    assert read_token(tmp_path) is None
    after = own_token(tmp_path)
    assert after != before
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / NAME).touch(0o600)
    assert read_token(tmp_path) is None
    assert own_token(tmp_path) == read_token(tmp_path)


def test_gateways_that_start_at_the_same_time_share_one_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        # Processes differ by their pid; threads share it, so two of them are the hardest case.
        own_token(tmp_path)
        found = set(threads.map(lambda _: own_token(tmp_path), range(20)))
    assert found == {read_token(tmp_path)}


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    first, second = own_token(tmp_path / "file"), own_token(tmp_path / "file")
    assert first != second
    assert "the admin paths need server.admin_token" in caplog.text


def test_a_token_of_another_user_cannot_be_read(tmp_path: Path) -> None:
    own_token(tmp_path)
    (tmp_path / NAME).chmod(0)
    if os.geteuid():
        with pytest.raises(PermissionError):
            read_token(tmp_path)
