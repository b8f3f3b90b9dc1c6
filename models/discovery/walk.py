"""List the files of a store: the edge of discovery, all else works on these listings.

The walk follows links, enters each folder once and goes ``DEPTH`` folders deep. A store that does
not answer, as a network share that is away, holds up neither the others nor the caller.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from models.discovery.listing import File, Listing
from models.discovery.stores import FOLDER, HUB, LLAMACPP, OLLAMA, Store
from utils.collector import give_way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DEPTH = 8
# Seconds that a store has for its listing.
PATIENCE = 10.0
# Files in one store, more are not looked at.
MOST = 100_000
_LEAST_SIZE = 24
_LONGEST_TEXT = 1 << 20
# Folders of a hub cache that hold no files under their own names.
_INNER = frozenset({"blobs", ".locks", ".no_exist", "xet"})


def listings(stores: Iterable[Store], within: float = PATIENCE) -> list[Listing]:
    """Return the listing of each store, all at once and in ``within`` seconds. Blocks so long."""
    found: dict[Store, Listing] = {}

    def look(store: Store) -> None:
        found[store] = listed(store)

    threads = {
        # A thread that hangs in the system must not keep the process alive.
        store: threading.Thread(target=look, args=(store,), name="discovery", daemon=True)
        for store in stores
    }
    for thread in threads.values():
        thread.start()
    until = time.monotonic() + within
    for thread in threads.values():
        thread.join(max(0.0, until - time.monotonic()))
    late = f"it did not answer within {within:g} s"
    return [found.get(store) or Listing(store, problem=late) for store in threads]


def listed(store: Store, depth: int = DEPTH) -> Listing:
    """Return the listing of the store, so many folders deep. Blocks."""
    files: list[File] = []
    texts: dict[str, str] = {}
    closed: list[str] = []
    problem = ""
    try:
        for entry, inside in _walked(store, closed, depth):
            if _is_text(store.kind, inside):
                texts[inside] = _text(entry.path)
            elif _is_model(store.kind, inside) and (file := _file(entry, inside)) is not None:
                files.append(file)
                if len(files) == MOST:
                    problem = f"it has more than {MOST} files"
                    break
    except OSError as error:
        # Other programs may not be there; a folder of the user's own should be.
        if store.kind == FOLDER or not isinstance(error, FileNotFoundError):
            problem = (error.strerror or str(error)).lower()
    if closed:
        problem = problem or f"{len(closed)} folder(s) cannot be read, such as {closed[0]}"
    return Listing(store, tuple(files), texts, problem)


def _walked(
    store: Store, closed: list[str], deepest: int
) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield the files below the store, folder by folder, in the order of their names.

    Raises OSError if the store itself cannot be read; such a folder in it is added to ``closed``.
    """
    state = os.stat(store.path)  # noqa: PTH116 - strings are faster, and there are thousands
    seen = {(state.st_dev, state.st_ino)}
    waiting = [(store.path, "", 0)]
    while waiting:
        folder, inside, depth = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda each: each.name)
        except OSError:
            if not inside:
                raise
            closed.append(folder)
            continue
        below = []
        for entry in entries:
            give_way()
            name = f"{inside}{entry.name}"
            if not _is_folder(entry):
                yield entry, name
            elif depth < deepest and _enters(store.kind, name):
                try:
                    state = entry.stat()
                except OSError:
                    continue
                if (state.st_dev, state.st_ino) not in seen:
                    seen.add((state.st_dev, state.st_ino))
                    below.append((entry.path, f"{name}/", depth + 1))
        waiting += reversed(below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _enters(kind: str, inside: str) -> bool:
    """Return whether files that count may lie in this folder of the store."""
    first, _, rest = inside.partition("/")
    if kind == OLLAMA:
        return first.startswith(("manifests", "blobs"))
    if kind not in {HUB, LLAMACPP}:
        return True
    if kind == HUB and not first.startswith("models--"):
        return False
    return rest not in _INNER and first not in _INNER


def _is_text(kind: str, inside: str) -> bool:
    """Return whether the store's rules need what this file says."""
    if kind == OLLAMA:
        return inside.startswith("manifests")
    name = inside.rpartition("/")[2]
    if kind == LLAMACPP and name.startswith("manifest=") and name.endswith(".json"):
        return True
    return kind in {HUB, LLAMACPP} and inside.endswith("/refs/main")


def _is_model(kind: str, inside: str) -> bool:
    if kind == OLLAMA:
        return inside.startswith("blobs/sha256-") and "." not in inside
    return inside[-5:].lower() == ".gguf"


def _text(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
            return file.read(_LONGEST_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""


def file_at(path: Path) -> File | None:
    """Return the regular file at the path, as a file of its folder; None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(state.st_mode):
        return None
    changed = state.st_mtime_ns
    return File(str(path), path.name, state.st_size, state.st_dev, state.st_ino, changed)


def _file(entry: os.DirEntry[str], inside: str) -> File | None:
    """Return the regular file, None for others and for a link that leads nowhere."""
    try:
        state = entry.stat()
        # A name that is no text can be neither shown nor asked for.
        inside.encode()
    except (OSError, UnicodeEncodeError):
        return None
    if not stat.S_ISREG(state.st_mode) or state.st_size < _LEAST_SIZE:
        return None
    return File(entry.path, inside, state.st_size, state.st_dev, state.st_ino, state.st_mtime_ns)
