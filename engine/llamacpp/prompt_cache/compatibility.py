"""Two cases in which a saved slot must not be restored, because the answers would be wrong.

In both, the engine does not fail, but answers differently from one that prefilled the prompt. Found
by tests with llama.cpp b11434 and b11549:

* ``--swa-full`` keeps all tokens for layers with a sliding window. A saved slot has only the tokens
  of the window, but the engine takes it for complete. If a prompt differs from the slot before its
  end, the engine continues with a window that lacks tokens.
* Models with long RoPE rotate keys by one set of factors if the context is at most as large as that
  of their training, and by another set if it is larger. Keys of one set do not fit the other.

A restore that merely saves no prefill is not checked here, see ``manager.py``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.llamacpp.arguments import SWA_FULL
from engine.llamacpp.prompt_cache.fingerprint import with_shards

if TYPE_CHECKING:
    from engine.llamacpp.arguments import Arguments

# A model's file has its metadata before its weights; with the largest vocabularies it takes about
# 20 MiB.
_HEAD = 32 * 1024 * 1024
_OTHER_HEAD = 2 * 1024 * 1024
_PIECE = 256 * 1024
_LONG_FACTORS = b"rope_factors_long.weight"
# The first key in the file counts. A type of four bytes follows it, then the number; its four low
# bytes come first, whatever its type.
_TYPE = 4
_TRAINED = (b".rope.scaling.original_context_length", b".context_length")


def incomplete(said: Arguments) -> bool:
    """Return whether saved slots of an engine with these arguments may lack tokens."""
    return said.on(SWA_FULL)


def rope_factors(model: str, context: int) -> str:
    """Return which factors a model uses for a context: ``long`` or ``short``.

    Return "" if the model has only one set, or if the file cannot be read: only the engine may
    have access to it.
    """
    try:
        path = Path(model)
        status = path.stat()
        trained = _trained(path, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):
        return ""
    if trained is None:
        return ""
    return "long" if context > trained else "short"


@lru_cache(maxsize=256)
def _trained(path: Path, _size: int, _time: int) -> int | None:
    """Return the largest context of the short factors; None if the model has only one set."""
    first, *others = with_shards([str(path)]) or [str(path)]
    # The metadata of the other files describe only their own weights.
    if not _holds(first, _HEAD) and not any(_holds(other, _OTHER_HEAD) for other in others):
        return None
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEAD)
    for key in _TRAINED:
        _, found, after = head.partition(key)
        if found and (tokens := int.from_bytes(after[_TYPE : 2 * _TYPE], "little")):
            return tokens
    return None


def _holds(path: str, head: int) -> bool:
    """Return whether the head of the file names long factors. It takes milliseconds."""
    before = b""
    with Path(path).open("rb", buffering=0) as file:
        for _ in range(head // _PIECE):
            piece = file.read(_PIECE)
            if _LONG_FACTORS in before + piece:
                return True
            before = piece[-len(_LONG_FACTORS) :]
    return False
