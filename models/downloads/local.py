"""Find the files of a hub's model in the cache, without asking the hub. Blocks."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.downloads.choice import RemoteFile, chosen
from models.downloads.layout import RepoFolder
from utils.errors import HubAnsweredWrong, HubNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.downloads.reference import Wanted


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in the cache: its first part, all parts, its projector, and the commit of them."""

    path: Path
    parts: tuple[Path, ...]
    projector: Path | None
    commit: str


def local_model(cache: Path, wanted: Wanted) -> LocalModel | None:
    """Return the model if all its parts are in the cache at ``cache``, else None.

    The commit of the wanted branch counts first, then the others by name. Heads are not read.
    """
    folder = RepoFolder(cache, wanted.repo)
    for commit in _commits(folder, wanted.revision):
        snapshot = folder.path / "snapshots" / commit
        try:
            found = chosen(wanted, list(_files(snapshot)))
        except HubNotFound:
            continue
        parts = tuple(snapshot / part.path for part in found.parts)
        projector = None if found.projector is None else snapshot / found.projector.path
        return LocalModel(parts[0], parts, projector, commit)
    return None


def _commits(folder: RepoFolder, revision: str) -> list[str]:
    try:
        first = folder.ref(revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError, HubAnsweredWrong):
        # A commit may be named itself.
        first = revision
    try:
        every = sorted((p.name for p in (folder.path / "snapshots").iterdir()), reverse=True)
    except OSError:
        return []
    return [commit for commit in every if commit == first] + [c for c in every if c != first]


def _files(snapshot: Path) -> Iterator[RemoteFile]:
    """Yield the files of a version; a link that leads nowhere is none."""
    for place, _, names in os.walk(snapshot):
        for name in sorted(names):
            path = Path(place, name)
            try:
                state = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(state.st_mode):
                yield RemoteFile(path.relative_to(snapshot).as_posix(), state.st_size, "")
