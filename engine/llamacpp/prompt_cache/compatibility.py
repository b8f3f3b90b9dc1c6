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
from models.gguf import head_of
from models.model_file import facts_of, together

if TYPE_CHECKING:
    from engine.llamacpp.arguments import Arguments


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
    files = with_shards([str(path)]) or [str(path)]
    told = together(facts_of(head_of(file)) for file in files)
    if not told.long_factors:
        return None
    return told.original_context or told.context_length or None
