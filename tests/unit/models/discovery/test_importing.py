"""models/discovery/importing.py: the models of a folder stay known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gguf_files import llama
from model_stores import put

from models.discovery.importing import forget, import_folder
from models.discovery.inventory import MANUAL, Taken
from models.discovery.state import load_entries

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_remembered_beside_others(tmp_path: Path) -> None:
    for name, layers in (("a", 2), ("b", 3)):
        put(tmp_path / name / f"{name}.gguf", llama(layers))
        found = import_folder(tmp_path / name, tmp_path / "state", Taken())
        assert [entry.name for entry in found.entries] == [name]
    known = load_entries(tmp_path / "state")
    assert [(entry.name, entry.state) for entry in known] == [("a", MANUAL), ("b", MANUAL)]
    forget(known[0], tmp_path / "state")
    assert load_entries(tmp_path / "state") == known[1:]


def test_what_is_no_model_is_not_remembered(tmp_path: Path) -> None:
    put(tmp_path / "usb" / "page.gguf", b"<html>" + bytes(100))
    put(tmp_path / "usb" / "half-00001-of-00002.gguf", llama(2))
    found = import_folder(tmp_path / "usb", tmp_path / "state", Taken())
    assert [(entry.name, entry.ready) for entry in found.entries] == [("half", False)]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nothing is not a folder"):
        import_folder(tmp_path / "nothing", tmp_path / "state", Taken())
