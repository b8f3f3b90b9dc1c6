"""Caches of which a saved state is no copy, and those that the context's size makes different.

Both would not fail but answer otherwise than an engine that read the prompt itself. Found by
trying on llama.cpp b11434 and b11549:

* ``--swa-full`` keeps all tokens for layers that see a sliding window only. A state holds no
  more of them than the window, but the engine takes it for all: where a prompt parts from the
  state before its end, it goes on with a window that lacks tokens.
* Models of long RoPE turn keys by one set of factors while the context is no larger than that
  of their training, and by another where it is. Keys of the one are nonsense under the other.

What is merely of no use is not told here: ``carrier.py`` sees that.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.fingerprint import with_shards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SWA_FULL, _SWA_FULL_VARIABLE = "--swa-full", "LLAMA_ARG_SWA_FULL"
_NO = {"", "0", "off", "false", "disabled"}
# What a model's file tells of itself stands before its weights; that of the largest
# vocabularies takes some 20 MiB.
_HEAD = 32 * 1024 * 1024
_OTHER_HEAD = 2 * 1024 * 1024
_PIECE = 256 * 1024
_LONG_FACTORS = b"rope_factors_long.weight"
# The first that is there counts. Whatever type of number follows it, in as many bytes: the low
# four of the number itself come first.
_TYPE = 4
_TRAINED = (b".rope.scaling.original_context_length", b".context_length")


def incomplete(argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether the states of an engine that is started so may lack what it takes them to hold."""
    asked = env.get(_SWA_FULL_VARIABLE, "").lower() not in _NO
    return asked or any(arg.replace("_", "-") == _SWA_FULL for arg in argv)


def rope_factors(model: str, context: int) -> str:
    """``long`` or ``short``, as the file ``model`` wants for a context; empty where it has one set.

    Empty also for a file that cannot be read, as one that the engine alone sees.
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
    """The largest context of the short factors; None where there are no others."""
    first, *others = with_shards([str(path)]) or [str(path)]
    # The others tell of their own weights only.
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
    """Whether the file tells of long factors in its head, read in pieces: in milliseconds."""
    before = b""
    with Path(path).open("rb", buffering=0) as file:
        for _ in range(head // _PIECE):
            piece = file.read(_PIECE)
            if _LONG_FACTORS in before + piece:
                return True
            before = piece[-len(_LONG_FACTORS) :]
    return False
