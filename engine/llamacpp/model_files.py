"""What the files of a variant tell about its model, without an engine.

Their heads are read once for each state of the files, and what they tell is kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base import ModelFile
from engine.llamacpp.arguments import CHAT_TEMPLATE, CHAT_TEMPLATE_FILE, JINJA
from engine.llamacpp.prompt_cache.fingerprint import with_shards
from models.gguf import BadModelFile, head_of
from models.head_cache import HeadCache
from models.model_file import MODEL, PROJECTOR, facts_of, together, with_chat_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.llamacpp.arguments import Arguments
    from models.gguf import Value
    from models.model_file import FileFacts

_TEMPLATE = "tokenizer.chat_template"
# Longer arrays, such as vocabularies, are not shown.
_LONGEST = 5
# Files whose heads are remembered.
_MOST = 1024

_State = tuple[tuple[str, int, int], ...]


class ModelFiles:
    """Reads the heads of model files. Its methods may be called from any thread.

    ``heads`` are the facts that are known of files.
    """

    def __init__(self, heads: HeadCache | None = None) -> None:
        self._heads = heads or HeadCache()
        self._known: dict[_State, ModelFile | None] = {}

    def of(self, model: str, projector: str | None = None) -> ModelFile | None:
        """Return what ``model`` and its projector tell; None if that is no model.

        A model in several files is named by the first of them. Reads files that were not read
        before, or have changed, which takes up to 100 ms of CPU each.
        """
        state = _state_of([model, *([projector] if projector else [])])
        if state not in self._known:
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)), None)
            self._known[state] = self._read(model, projector)
        return self._known[state]

    def brief(self, model: str, projector: str | None = None) -> ModelFile | None:
        """Return the same without ``info`` and ``template``, which are not kept between starts.

        So thousands of models can be listed.
        """
        shards = [Path(path) for path in with_shards([model])]
        try:
            facts = together(map(self._heads.facts, shards))
            modified = max(path.stat().st_mtime for path in shards)
        except (OSError, BadModelFile, ValueError):
            return None
        return self._file(facts, modified, projector, {}, "")

    def _read(self, model: str, projector: str | None) -> ModelFile | None:
        shards = with_shards([model])
        try:
            heads = [head_of(path) for path in shards]
            modified = max(Path(path).stat().st_mtime for path in shards)
        except (OSError, BadModelFile, ValueError):
            return None
        keys = heads[0].keys
        template = keys.get(_TEMPLATE)
        return self._file(
            together(map(facts_of, heads)),
            modified,
            projector,
            {name: _shown(value) for name, value in keys.items() if name != _TEMPLATE},
            template if isinstance(template, str) else "",
        )

    def _file(
        self,
        facts: FileFacts,
        modified: float,
        projector: str | None,
        info: Mapping[str, object],
        template: str,
    ) -> ModelFile | None:
        if facts.kind != MODEL:
            return None
        sees, hears = self._senses(projector)
        facts = replace(facts, vision=facts.vision or sees, audio=facts.audio or hears)
        return ModelFile("gguf", facts, modified, info, template)

    def _senses(self, projector: str | None) -> tuple[bool, bool]:
        """Return whether a model with this projector sees, and whether it hears."""
        if projector is None:
            return False, False
        try:
            facts = self._heads.facts(Path(projector))
        except (OSError, BadModelFile):
            return False, False
        return (facts.vision, facts.audio) if facts.kind == PROJECTOR else (False, False)


def as_started(file: ModelFile, said: Arguments) -> ModelFile:
    """Return what is true of the model once it is started with these arguments.

    They may give it another chat template, which is "" if only the engine knows it.
    """
    template = other_template(said)
    if template is None:
        return file
    return file._replace(template=template, facts=with_chat_template(file.facts, template))


def other_template(said: Arguments) -> str | None:
    """Return the template that the arguments give the model, "" if only the engine knows it.

    None if it has its own.
    """
    if (path := said.value(CHAT_TEMPLATE_FILE)) is not None:
        try:
            return Path(path).read_text("utf-8", "replace")
        except OSError:
            return ""
    if (text := said.value(CHAT_TEMPLATE)) is not None:
        # A word is the name of a template that the engine has.
        return text if "{" in text else ""
    return None if said.on(JINJA, default=True) else ""


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
