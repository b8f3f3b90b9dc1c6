"""The code and its documentation use the field's words, and not those that they have replaced."""

from __future__ import annotations

import re

from paths import ROOT

# What stands for them: codec, engine table, reconfiguration, continuation, slot, prompt cache.
REPLACED = r"tongues?|fleet|renewal|growth|seats?|carrier|keeper"
NOT_PLAIN = r"lest|whoever"


def test_replaced_words_do_not_come_back() -> None:
    code = [file for room in ROOT.glob("*/__init__.py") for file in room.parent.rglob("*.py")]
    files = [*code, *ROOT.glob("*.md"), *ROOT.glob("*.py"), *(ROOT / "docs").glob("*.md")]
    assert len(files) > 100
    words = re.compile(rf"(?i)\b(?:{REPLACED}|{NOT_PLAIN})\b")
    found = {file: words.findall(file.read_text(encoding="utf-8")) for file in files}
    assert not {file: seen for file, seen in found.items() if seen}
