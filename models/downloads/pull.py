"""Fetch a whole model: choose its files, fetch each, then give them their names, all or none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from models.downloads.choice import chosen
from models.downloads.faults import cannot_write
from models.downloads.fetch import fetch
from models.downloads.layout import RepoFolder, inner
from models.downloads.reference import MAIN
from utils.errors import DiskFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.downloads.choice import Choice, RemoteFile
    from models.downloads.hub import Hub
    from models.downloads.progress import Progress
    from models.downloads.reference import Wanted

# What stays free on the disk, beside the model.
RESERVE = 1 << 30
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of models, shared by programs.\n"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is there: the files under their names, and what was chosen."""

    commit: str
    paths: tuple[Path, ...]
    choice: Choice


async def pull(
    hub: Hub,
    wanted: Wanted,
    progress: Progress,
    *,
    reserve: int = RESERVE,
    planned: Callable[[RepoFolder, tuple[RemoteFile, ...]], None] = lambda _folder, _files: None,
) -> Pulled:
    """Return once the model is in the cache of the hub's account, verified.

    The commit is asked once, and all files are those of it. ``progress`` is kept up to date;
    ``planned`` is called once it is known which files are fetched, and where to. Raises the
    GatewayError that says why it failed; what was fetched until then is kept.
    """
    commit, files = await hub.files(wanted.repo, wanted.revision)
    choice = chosen(wanted, files)
    root = Path(hub.account.cache)
    folder = RepoFolder(root, wanted.repo)
    for file in choice.files:
        # Before the first byte: a name that cannot be stored ends it here.
        inner(file.path)
    progress.total, progress.file = choice.size, choice.files[0].path
    planned(folder, choice.files)
    have = await asyncio.to_thread(_have, folder, commit, choice.files)
    await asyncio.to_thread(_prepare, root, folder, choice.size - sum(have.values()), reserve)
    whole = 0
    for file in choice.files:
        progress.file = file.path

        def told(at: int, again: bool, before: int = whole) -> None:
            if again:
                progress.there(before + at)
                progress.verifying = True
            else:
                progress.fetched(time.monotonic(), before + at)

        def room(at: int, before: int = whole) -> None:
            left = choice.size - before - at
            _require_room(root, folder, left, reserve, "What was fetched stays.")

        if have[file.path] < file.size or not folder.link(commit, file.path).exists():
            address = hub.address(wanted.repo, commit, file.path)
            await fetch(hub, folder, file, address, told, room)
        whole += file.size
        if progress.done < whole:
            progress.there(whole)
        progress.verifying = False
    paths = await asyncio.to_thread(_named, folder, commit, choice.files, wanted.revision)
    return Pulled(commit, paths, choice)


def _have(folder: RepoFolder, commit: str, files: Sequence[RemoteFile]) -> dict[str, int]:
    """Return how many bytes of each file are there already."""
    found = {}
    for file in files:
        found[file.path] = 0
        places = (
            folder.link(commit, file.path),
            folder.blob(file.digest),
            folder.part(file.digest),
        )
        for path in places:
            with contextlib.suppress(OSError):
                found[file.path] = min(path.stat().st_size, file.size)
                break
    return found


def _prepare(root: Path, folder: RepoFolder, missing: int, reserve: int) -> None:
    """Make the folders; raise DiskFull if the disk has no room for ``missing`` bytes more."""
    try:
        new = not root.exists()
        # Another download may make it at the same moment.
        root.mkdir(parents=True, exist_ok=True)
        if new:
            # Programs that back up the disk leave out such a folder.
            (root / "CACHEDIR.TAG").write_bytes(_TAG)
        folder.blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(str(folder.path), error) from error
    _require_room(root, folder, missing, reserve, "Nothing was fetched.")


def _require_room(root: Path, folder: RepoFolder, missing: int, reserve: int, then: str) -> None:
    """Raise DiskFull, which says ``then``, if the disk has no room for ``missing`` bytes more."""
    try:
        free = shutil.disk_usage(folder.blobs).free
    except OSError as error:
        raise cannot_write(str(folder.path), error) from error
    if missing > 0 and free < missing + reserve:
        raise DiskFull(
            f"{root} has {free >> 20} MiB free, and {folder.repo} needs {missing >> 20} MiB, with"
            f" {reserve >> 20} MiB to spare. {then}"
        )


def _named(
    folder: RepoFolder, commit: str, files: Sequence[RemoteFile], revision: str
) -> tuple[Path, ...]:
    """Give the files their names, then the branch its commit; return the names."""
    found = []
    try:
        for file in files:
            link = folder.link(commit, file.path)
            if not link.exists():
                _link(link, folder.blob(file.digest))
            found.append(link)
        # A commit is no branch.
        if revision == MAIN or revision != commit:
            _write(folder.ref(revision), commit)
    except OSError as error:
        raise cannot_write(str(folder.path), error) from error
    return tuple(found)


def _link(link: Path, blob: Path) -> None:
    """Make ``link`` lead to ``blob``; another program may do the same now."""
    link.parent.mkdir(parents=True, exist_ok=True)
    new = _beside(link)
    try:
        new.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:
        # Windows without the right to make links, or a file system without them.
        try:
            os.link(blob, new)
        except OSError:
            new = blob
    os.replace(new, link)  # noqa: PTH105 - beside os.link


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = _beside(path)
    new.write_text(text, encoding="ascii")
    new.replace(path)


def _beside(path: Path) -> Path:
    """Return a name beside ``path`` that nobody else uses."""
    return path.with_name(f".{path.name}.{token_hex(4)}")
