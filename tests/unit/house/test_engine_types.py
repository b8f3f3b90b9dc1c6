"""What knows an engine type lives in the folder of that type."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

TYPES = ("llamacpp", "generic", "remote", "whisper", "piper", "espeak")
ROOMS = ("models", "inference", "server", "utils", "engine")
OUTSIDE = sorted(
    path.relative_to(ROOT).as_posix()
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if not any(path.is_relative_to(ROOT / "engine" / each) for each in TYPES)
)
# Any engine may run there. ``utils/config`` has the keys and presets of each kind, ``inference``
# the APIs as llama-server writes them.
FOR_ALL = ("models/", "server/", "engine/")
# GGUF is a format of files, not an engine. These read such files, find them and plan by them.
OF_FILES = (
    "models/discovery/",
    "models/downloads/",
    "models/estimate.py",
    "models/gguf.py",
    "models/head_cache.py",
    "models/model_file.py",
)
OF_NO_ENGINE = [
    file for file in OUTSIDE if file.startswith(FOR_ALL) and not file.startswith(OF_FILES)
]


@pytest.mark.parametrize("file", OUTSIDE)
def test_no_kind_is_imported_outside_its_folder(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not re.search(
        rf"^\s*(?:from|import) engine\.(?:{'|'.join(TYPES)})\b", text, re.MULTILINE
    )


@pytest.mark.parametrize("file", OF_NO_ENGINE)
def test_no_engine_is_named_where_any_may_run(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    # Ollama is named for its API.
    found = re.findall(r"(?i)(?<!o)llama|gguf|mmproj|LLAMA_|whisper|piper|espeak", text)
    assert not found


def test_there_are_files_to_look_at() -> None:
    assert len(OF_NO_ENGINE) > 50
    assert {each.name for each in (ROOT / "engine").iterdir() if (each / "type.py").is_file()} == {
        *TYPES
    }
