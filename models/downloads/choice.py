"""Choose the files of a repository that make the model that was asked for. Pure.

A model is all its parts, and the projector that fits it. Which files belong together is decided as
for files on the disk, so that what was fetched is found again as what was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.discovery.found import found_models
from models.discovery.listing import File
from models.discovery.origins import Origin
from models.discovery.stores import HUB
from utils.errors import HubNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.discovery.found import FoundModel
    from models.downloads.reference import Wanted

# Which quantisation is meant if none is named, as in llama.cpp; else the first file.
USUAL = ("Q4_K_M", "Q8_0")
_ENDING = ".gguf"
# So many are named in an error.
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository. ``digest`` names its content.

    That is the sha256 of a large file, and what git calls a small one by.
    """

    path: str
    size: int
    digest: str
    large: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of one model: its parts in order, and its projector.

    ``label`` is its quantisation, else the stem of its file. ``problem`` says why it is not whole.
    """

    label: str
    parts: tuple[RemoteFile, ...]
    projector: RemoteFile | None = None
    problem: str = ""

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """All files that must be fetched."""
        return self.parts if self.projector is None else (*self.parts, self.projector)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def choices(repo: str, files: Iterable[RemoteFile]) -> list[Choice]:
    """Return every model of the repository, in the order of their paths."""
    known = [file for file in files if file.path[-len(_ENDING) :].lower() == _ENDING]
    origins = [
        Origin(HUB, "", File(file.path, file.path, file.size, 0, number, 0), file.path, repo, repo)
        for number, file in enumerate(known)
    ]
    models = found_models(origins, {})
    return [_choice(model, known) for model in sorted(models, key=_path)]


def chosen(repo: Wanted, files: Iterable[RemoteFile]) -> Choice:
    """Return the files of the model; raise HubNotFound if the repository has no such model."""
    known = choices(repo.repo, files)
    found = _named(repo, known)
    if found is None:
        raise HubNotFound(f"{repo.repo} has {_missing(repo)}; it has {_told(known)}.", param="repo")
    if found.problem:
        raise HubNotFound(f"{repo}: {found.problem}.", param="repo")
    return found


def _path(model: FoundModel) -> str:
    return model.origin.inside


def _choice(model: FoundModel, known: Sequence[RemoteFile]) -> Choice:
    projector = None if model.projector is None else known[model.projector.inode]
    return Choice(
        model.named.quantisation or model.named.stem,
        tuple(known[file.inode] for file in model.files),
        projector,
        model.problem,
    )


def _named(wanted: Wanted, known: Sequence[Choice]) -> Choice | None:
    if wanted.file:
        paths = [wanted.file, f"/{wanted.file}"]
        return next(
            (c for c in known for f in c.parts if f.path == paths[0] or f.path.endswith(paths[1])),
            None,
        )
    if wanted.tag:
        return _tagged(wanted.tag, known)
    usual = (c for label in USUAL for c in known if c.label == label and not c.problem)
    whole = (c for c in known if not c.problem)
    return next(usual, None) or next(whole, None) or next(iter(known), None)


def _tagged(tag: str, known: Sequence[Choice]) -> Choice | None:
    exact = next((c for c in known if c.label.upper() == tag.upper()), None)
    if exact is not None:
        return exact
    # As in llama.cpp, a tag may be a part of the path; here it is no pattern.
    within = re.compile(rf"{re.escape(tag)}[.\-/]", re.IGNORECASE)
    return next((c for c in known if within.search(c.parts[0].path)), None)


def _missing(wanted: Wanted) -> str:
    if wanted.file:
        return f"no model file {wanted.file}"
    return f"no model for the tag {wanted.tag}" if wanted.tag else "no GGUF file"


def _told(known: Sequence[Choice]) -> str:
    labels = list(dict.fromkeys(choice.label for choice in known))
    if not labels:
        return "no GGUF file at all"
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more
