"""What would fail on Windows alone is not in the files. They are read, not executed."""

from __future__ import annotations

import re

import pytest
from paths import ROOT


def test_no_file_takes_the_place_of_another_by_a_rename() -> None:
    # On Windows a rename onto an existing file fails; ``replace`` replaces it everywhere.
    renaming = re.compile(r"\.renames?\(")
    files = [file for room in ROOT.glob("*/__init__.py") for file in room.parent.rglob("*.py")]
    assert ROOT / "utils" / "whole_file.py" in files
    assert not [file for file in files if renaming.search(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", ["init.bat", "run.bat"])
def test_batch_files_have_the_line_ends_of_windows(name: str) -> None:
    # Without them cmd.exe may miss a label.
    lines = (ROOT / name).read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\r\n") for line in lines)


@pytest.mark.parametrize("name", ["init.bat", "run.bat"])
def test_a_path_with_spaces_stays_one_word(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = [line for line in text.splitlines() if line.lstrip()[:4].lower() != "rem "]
    paths = re.compile(r"%(?:PYTHON|python|~dp0[^%\s]*)%?", re.ASCII)
    for line in commands:
        bare = re.sub(r'"[^"]*"', "", line.replace('%PYTHON:"=%', "%PYTHON%"))
        assert not paths.search(bare), line
