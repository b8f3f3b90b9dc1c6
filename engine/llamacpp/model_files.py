"""What the files of a variant tell about its model, without an engine.

Their heads are read once for each state of the files, and what they tell is kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base import ModelFile
from engine.llamacpp.prompt_cache.fingerprint import with_shards
from models.gguf import BadModelFile, Head, head_of
from models.model_file import MODEL, PROJECTOR, FileFacts, facts_of, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.gguf import Value

_TEMPLATE = "tokenizer.chat_template"
# The marks of a gap that the model fills, under their names of today and of before.
_GAPS = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id")
# Longer arrays, such as vocabularies, are not shown.
_LONGEST = 5
# Files whose heads are remembered.
_MOST = 1024

_State = tuple[tuple[str, int, int], ...]


class ModelFiles:
    """Reads the heads of model files. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._known: dict[_State, ModelFile | None] = {}

    def of(self, paths: Sequence[str]) -> ModelFile | None:
        """Return what the first of ``paths`` and its projector tell; None if that is no model.

        A model in several files is named by the first of them. Reads files that were not read
        before, or have changed, which takes up to 100 ms of CPU each.
        """
        state = _state_of(paths)
        if state not in self._known:
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)), None)
            self._known[state] = _read(paths)
        return self._known[state]


def _read(paths: Sequence[str]) -> ModelFile | None:
    if not paths:
        return None
    shards = with_shards(paths[:1])
    try:
        heads = [head_of(path) for path in shards]
        modified = max(Path(path).stat().st_mtime for path in shards)
    except (OSError, BadModelFile):
        return None
    if not heads:
        return None
    facts = together(map(facts_of, heads))
    if facts.kind != MODEL:
        return None
    for other in _others(paths[1:]):
        if other.kind == PROJECTOR:
            facts = replace(
                facts, vision=facts.vision or other.vision, audio=facts.audio or other.audio
            )
    keys = heads[0].keys
    template = keys.get(_TEMPLATE)
    return ModelFile(
        facts,
        modified,
        {name: _shown(value) for name, value in keys.items() if name != _TEMPLATE},
        template if isinstance(template, str) else "",
        fills_gaps=any(name in keys for name in _GAPS),
    )


def _others(paths: Iterable[str]) -> list[FileFacts]:
    found = []
    for path in paths:
        try:
            head: Head = head_of(path)
        except (OSError, BadModelFile):
            continue
        found.append(facts_of(head))
    return found


def _shown(value: Value) -> object:
    if isinstance(value, list):
        return value if len(value) <= _LONGEST else []
    return value if isinstance(value, str | int | float) else []


def _state_of(paths: Iterable[str]) -> _State:
    found = []
    for path in paths:
        try:
            status = Path(path).stat()
            found.append((path, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((path, -1, 0))
    return tuple(found)
