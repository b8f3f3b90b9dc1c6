"""Remove a model's files from the store that it is in: its own, and no others. Blocks.

1. Of the hub's cache the links of the model go, in all versions, then the contents that no version
   of the repository names any more. Of a content that other repositories share, the link goes.
2. A projector goes with the last model of its repository.
3. Of other programs' folders the files of the model go. Files in folders of the user's own stay.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from models.discovery.inventory import MANUAL
from models.discovery.stores import HUB, JAN, LLAMACPP, LMSTUDIO
from models.downloads.faults import cannot_write
from utils.errors import ModelInUse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from models.discovery.inventory import Entry

_LAYOUT = frozenset({HUB, LLAMACPP})
_PLAIN = frozenset({LMSTUDIO, JAN})
_SNAPSHOTS, _BLOBS, _REFS = "snapshots", "blobs", "refs"
_PART = ".incomplete"


def remove(entry: Entry, others: Sequence[Entry]) -> list[str]:
    """Remove the files of ``entry``; return their paths.

    ``others`` are all other models of the machine. Raises ModelInUse if its files are not the
    gateway's to remove, StorageFull if the disk refuses.
    """
    if entry.state == MANUAL or entry.store not in _LAYOUT | _PLAIN:
        raise ModelInUse(
            f"The files of '{entry.name}' are not removed, because they are not in a store of "
            f"downloads: {entry.path}. Remove them yourself."
        )
    paths = [Path(path) for path in entry.files]
    shared = {other.projector for other in others}
    if entry.projector and entry.projector not in shared:
        paths.append(Path(entry.projector))
    root = Path(entry.root)
    try:
        _require_inside(root, paths)
        folder = _repository(root, paths[0]) if entry.store in _LAYOUT else None
        gone = _plain(paths) if folder is None else _of_hub(folder, paths)
        _sweep({path.parent for path in map(Path, gone)}, root)
    except OSError as error:
        raise cannot_write(error.filename or entry.path, error) from error
    return gone


def _require_inside(root: Path, paths: Iterable[Path]) -> None:
    """Raise ModelInUse if a path leaves the store, by its folders; a link in it is its own."""
    inside = root.resolve()
    for path in paths:
        if not path.parent.resolve().is_relative_to(inside):
            raise ModelInUse(f"{path} is outside of {root}, so it is not removed.")


def _repository(root: Path, path: Path) -> Path | None:
    """Return the folder of the repository in the cache; None in llama.cpp's older layout."""
    first = path.relative_to(root).parts
    return root / first[0] if first[1:2] == (_SNAPSHOTS,) else None


def _plain(paths: Iterable[Path]) -> list[str]:
    for path in paths:
        path.unlink(missing_ok=True)
    return [str(path) for path in paths]


def _of_hub(folder: Path, paths: Sequence[Path]) -> list[str]:
    snapshots = folder / _SNAPSHOTS
    # The same path in another version is the same model.
    inside = {Path(*path.relative_to(snapshots).parts[1:]) for path in paths}
    doomed = [link for v in snapshots.iterdir() for name in inside if _is_there(link := v / name)]
    contents = {blob for link in doomed if (blob := _blob(link, folder)) is not None}
    gone = _plain(doomed)
    named = {blob for link in _links(snapshots) if (blob := _blob(link, folder)) is not None}
    gone += _plain(sorted(contents - named))
    if not any(_links(snapshots)):
        gone += _plain(sorted(path for path in folder.rglob("*") if _is_rest(path, folder)))
    return gone


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _blob(link: Path, folder: Path) -> Path | None:
    """Return the content of this repository that the link names; None for a plain file."""
    if not link.is_symlink():
        return None
    # One step only: a shared content is a link itself, and what it leads to is not ours.
    target = link.parent / link.readlink()
    blob = folder / _BLOBS / target.name
    return blob if blob.parent.resolve() == target.parent.resolve() else None


def _links(snapshots: Path) -> Iterator[Path]:
    yield from (path for path in snapshots.rglob("*") if path.is_symlink() or path.is_file())


def _is_rest(path: Path, folder: Path) -> bool:
    """Return whether nothing needs the file once the repository has no model any more."""
    first = path.relative_to(folder).parts[0]
    if path.is_dir() and not path.is_symlink():
        return False
    return first == _REFS or (first == _BLOBS and path.name.endswith((_PART, ".etag")))


def _sweep(folders: Iterable[Path], root: Path) -> None:
    """Remove folders that are empty now, upwards to the store."""
    for folder in sorted(folders, key=lambda each: -len(each.parts)):
        each = folder
        while each != root and each.is_relative_to(root):
            with contextlib.suppress(FileNotFoundError):
                try:
                    each.rmdir()
                except OSError:
                    break
            each = each.parent
