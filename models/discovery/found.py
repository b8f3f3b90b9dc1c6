"""Make models of files: join shards, pair projectors, leave out what is no model. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.discovery.file_name import FileName, file_name
from models.model_file import MODEL, PROJECTOR, FileFacts, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.discovery.listing import File
    from models.discovery.origins import Origin

    # What is known of files by their identity: facts, or the reason why a file is no model.
    Known = Mapping[tuple[int, int], FileFacts | str]

# A projector computes little, so the most precise one is taken.
_PRECISION = {"BF16": 0, "F16": 1, "FP16": 1, "F32": 2, "FP32": 2, "Q8_0": 3}


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that was found. ``origin`` is that of its first file, ``files`` are all of them.

    ``facts`` is None as long as its head was not read. ``problem`` says why it cannot be served,
    "" if it can. A ``doubtful`` model may not load.
    """

    origin: Origin
    named: FileName
    files: tuple[File, ...]
    projector: File | None = None
    facts: FileFacts | None = None
    problem: str = ""
    doubtful: bool = False

    @property
    def size(self) -> int:
        """The bytes of all files, without the projector."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class _Part:
    origin: Origin
    named: FileName
    facts: FileFacts | None
    bad: str

    @property
    def kind(self) -> str:
        """What the file is for. Its head counts before its name."""
        return self.named.kind if self.facts is None else self.facts.kind

    @property
    def set(self) -> tuple[str, str, str, int]:
        """What all shards of a model have in common."""
        folder = self.origin.inside.rpartition("/")[0]
        return self.origin.scope, folder, self.named.stem, self.named.shards


def found_models(origins: Iterable[Origin], known: Known) -> list[FoundModel]:
    """Return the models of these files, each file in at most one of them."""
    parts = [_part(origin, known) for origin in origins]
    sets: dict[tuple[str, str, str, int], list[_Part]] = {}
    projectors: dict[str, list[_Part]] = {}
    bases: dict[tuple[str, str], set[str]] = {}
    for part in parts:
        # Later shards tell nothing of what they are for.
        if part.kind == MODEL:
            sets.setdefault(part.set, []).append(part)
            bases.setdefault(part.set[:2], set()).add(part.named.base)
        elif part.kind == PROJECTOR:
            projectors.setdefault(part.origin.scope, []).append(part)
    return [
        _model(shards, projectors.get(key[0], []), alone=len(bases[key[:2]]) == 1)
        for key, shards in sets.items()
    ]


def _part(origin: Origin, known: Known) -> _Part:
    name = origin.inside.rpartition("/")[2]
    named = file_name(name, origin.inside.rpartition("/")[0])
    told = known.get(origin.file.identity)
    if isinstance(told, str):
        return _Part(origin, named, None, told)
    return _Part(origin, named, told, "")


def _model(shards: list[_Part], projectors: list[_Part], *, alone: bool) -> FoundModel:
    shards = sorted({part.named.shard: part for part in shards}.values(), key=_number)
    first = shards[0]
    facts = [part.facts for part in shards if part.facts is not None]
    whole = together(facts) if len(facts) == len(shards) else None
    projector = first.origin.projector
    if projector is None:
        fitting = [part for part in projectors if _fits(part, first, whole, alone=alone)]
        projector = min(fitting, key=_order).origin.file if fitting else None
    return FoundModel(
        first.origin,
        first.named,
        tuple(part.origin.file for part in shards),
        projector,
        whole,
        _problem(shards, whole),
        doubtful=whole is not None and whole.own_conversion,
    )


def _number(part: _Part) -> int:
    return part.named.shard


def _problem(shards: list[_Part], facts: FileFacts | None) -> str:
    total = shards[0].named.shards
    if len(shards) < total:
        return f"{len(shards)} of {total} parts are there"
    if bad := next((part for part in shards if part.bad), None):
        return f"{bad.origin.file.path}: {bad.bad}"
    if facts is not None and facts.missing:
        return f"the file is cut: {facts.missing} of its bytes are missing"
    return ""


def _fits(projector: _Part, model: _Part, facts: FileFacts | None, *, alone: bool) -> bool:
    """Return whether the projector is one for the model.

    It lies in the model's folder, or in one above in the same repository. Its name has the model's
    base name. A name that tells nothing does where all models of the folder have one base name.
    """
    folder = model.origin.inside.rpartition("/")[0]
    above = projector.origin.inside.rpartition("/")[0]
    if folder != above and not (
        model.origin.repo and f"{folder}/".startswith(f"{above}/" * bool(above))
    ):
        return False
    told = projector.facts
    if told is not None and facts is not None and not projects_to(told, facts):
        return False
    own, base = projector.named.base, model.named.base
    if own == base:
        return True
    return alone and (not own or base.startswith(own) or own.startswith(base))


def projects_to(projector: FileFacts, model: FileFacts) -> bool:
    """Return whether what the projector writes can be read by the model, as far as both tell."""
    wide, width = projector.projection, model.width
    # Some projectors write several layers' worth of input at once.
    return not (wide and width and wide % width)


def _order(projector: _Part) -> tuple[int, int, str]:
    """Return the place of a projector among those that fit: the nearest, then the most precise."""
    inside = projector.origin.inside
    precision = _PRECISION.get(projector.named.quantisation, len(_PRECISION))
    return -inside.count("/"), precision, inside
