"""What knows an engine type lives in the folder of that type."""

from __future__ import annotations

import re

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


def found(pattern: str, files: list[str]) -> list[tuple[str, list[str]]]:
    """Return the files in which the pattern is found, and what it found."""
    texts = ((file, (ROOT / file).read_text(encoding="utf-8")) for file in files)
    return [(file, seen) for file, text in texts if (seen := re.findall(pattern, text))]


def test_no_kind_is_imported_outside_its_folder() -> None:
    assert not found(rf"(?m)^[ \t]*(?:from|import) engine\.(?:{'|'.join(TYPES)})\b", OUTSIDE)


def test_no_engine_is_named_where_any_may_run() -> None:
    # Ollama is named for its API.
    assert not found(r"(?i)(?<!o)llama|gguf|mmproj|LLAMA_|whisper|piper|espeak", OF_NO_ENGINE)


def test_there_are_files_to_look_at() -> None:
    assert len(OF_NO_ENGINE) > 50
    assert {each.name for each in (ROOT / "engine").iterdir() if (each / "type.py").is_file()} == {
        *TYPES
    }
