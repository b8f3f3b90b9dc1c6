"""Whether the words so far end in the middle of a sentence. Pure.

Only what is certain counts: a transcriber often ends with a full stop what was cut in the middle,
so a text that looks complete says nothing.
"""

from __future__ import annotations

import re

# Marks in the middle of a sentence, and those of one that was broken off.
_OPEN = (",", ";", ":", "-", "–", "—", "…", "...")  # noqa: RUF001 - dashes as they are written
# Nothing ends with one of these, whatever mark a transcriber puts behind it.
_LEADING = frozenset(
    "a an and because but or the um uh aber eine einem einen einer oder und weil äh ähm".split()  # noqa: SIM905 - as a text it is read best
)
_LAST = re.compile(r"(\w+)\W*$")


def is_unfinished(text: str) -> bool:
    """Return whether what was said must go on, by the words; False for no words."""
    text = text.rstrip()
    if text.endswith(_OPEN):
        return True
    last = _LAST.search(text)
    return last is not None and not text.endswith("?") and last[1].lower() in _LEADING
