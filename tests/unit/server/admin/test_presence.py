"""The notes that running gateways leave in their state folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.admin.presence import FOLDER, Presence, announced, gateways_in, local_url
from utils.config.settings import Endpoint


def test_a_note_is_there_while_the_gateway_runs(tmp_path: Path) -> None:
    with announced(tmp_path / "new", [Endpoint("0.0.0.0", 7777)], Path("my.cfg.lua")):
        [found] = gateways_in(tmp_path / "new")
        config = str(Path("my.cfg.lua").absolute())
        assert found == Presence(os.getpid(), "http://127.0.0.1:7777", config)
    assert gateways_in(tmp_path / "new") == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("192.168.1.5", "http://192.168.1.5:80"),
        ("::", "http://[::1]:80"),
        ("fd00::1", "http://[fd00::1]:80"),
    ],
)
def test_the_address_is_one_of_this_machine(host: str, url: str) -> None:
    assert local_url(Endpoint(host, 80)) == url


def test_notes_of_the_dead_and_nonsense_are_passed_over_and_swept(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    # The largest pid that Linux gives is less.
    (folder / "99999999.json").write_text('{"pid": 99999999, "url": "x", "config": "y"}')
    (folder / "nonsense.json").write_text("[")
    assert gateways_in(tmp_path) == []
    with announced(tmp_path, [Endpoint("::1", 1)], Path("/x")):
        assert [file.name for file in folder.iterdir()] == [f"{os.getpid()}.json"]


def test_a_disk_that_fails_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with announced(tmp_path / "file", [Endpoint("::1", 1)], Path("/x")):
        assert gateways_in(tmp_path / "file") == []
