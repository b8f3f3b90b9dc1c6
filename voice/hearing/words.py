"""The words of a transcript. Pure.

Whisper's models write what is no speech as a remark, such as ``[BLANK_AUDIO]``, ``(door closes)``
or ``♪``. Nobody has said that, so a model must not answer it.
"""

from __future__ import annotations

import re

_REMARK = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\*\w[^*]*\w\*|[♪♫]+")


def words_of(transcript: str) -> str:
    """Return what was said, without remarks; "" where the transcript has nothing else."""
    return " ".join(_REMARK.sub(" ", transcript).split())
