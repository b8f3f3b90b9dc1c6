"""models/discovery/state.py: entries outlive the gateway."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from model_stores import hub, put, scan

from models.discovery.inventory import MANUAL, Entry
from models.discovery.state import FILE, load_entries, save_entries
from models.discovery.stores import FOLDER, HUB, Store

if TYPE_CHECKING:
    from pathlib import Path


def test_entries_are_read_as_they_were_written(tmp_path: Path) -> None:
    put(tmp_path / "own" / "m.gguf")
    hub(tmp_path / "hub", "org/vl", "m-Q4_0.gguf", "mmproj-F16.gguf")
    found = scan(Store(FOLDER, str(tmp_path / "own")), Store(HUB, str(tmp_path / "hub")))
    entries = [replace(entry, state=MANUAL) for entry in found.entries]
    save_entries(tmp_path / "state", entries)
    assert load_entries(tmp_path / "state") == entries


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert load_entries(tmp_path) == []


@pytest.mark.parametrize(
    "spoilt", ["", "[]", "{}", '{"models": [5]}', '{"models": [{"name": 5}]}', '{"models": [{}']
)
def test_a_spoilt_file_is_ignored(
    tmp_path: Path, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text(spoilt)
    assert load_entries(tmp_path) == []
    assert "ignored the unreadable file" in caplog.text


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_entries(put(tmp_path / "file"), [])
    assert "cannot be written" in caplog.text


def test_a_file_in_one_piece_is_read_as_well(tmp_path: Path) -> None:
    save_entries(tmp_path, [Entry("a", "/m/a.gguf", ("/m/a.gguf",), 5)])
    file = tmp_path / FILE
    file.write_text(json.dumps(json.loads(file.read_text()), indent=2))
    assert [entry.name for entry in load_entries(tmp_path)] == ["a"]
    save_entries(tmp_path, [])
    assert json.loads(file.read_text()) == {"models": []}
    assert load_entries(tmp_path) == []
