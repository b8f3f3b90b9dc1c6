"""A configuration file that is watched: itself, and the Lua files beside it that it may load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchfiles import awatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

# Where the system reports nothing, as in folders of another machine, looking now and then does.
_LOOK_AGAIN_MS = 2_000
# Editors write in several steps.
_SETTLED_MS = 200

Fingerprint = frozenset[tuple[str, int, int, int]]


def fingerprint(file: Path) -> Fingerprint:
    """What tells one state of the files from another; empty while ``file`` is missing."""
    found = set()
    for path in {file, *file.parent.glob("*.lua")}:
        try:
            status = path.stat()
        except OSError:
            if path == file:
                return frozenset()
            continue
        found.add((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    return frozenset(found)


async def changed(file: Path, known: Fingerprint) -> AsyncGenerator[None, None]:
    """Comes each time the files differ from ``known``, and then from what they were.

    ``file`` is a full path. Where it is a link, the folder it leads to is watched too.

    A file that is missing for a moment, as some editors have it, is waited for.
    """
    async for _ in awatch(
        *_folders(file),
        watch_filter=None,
        recursive=False,
        step=_SETTLED_MS,
        rust_timeout=_LOOK_AGAIN_MS,
        yield_on_timeout=True,
    ):
        now = fingerprint(file)
        if now and now != known:
            known = now
            yield


def _folders(file: Path) -> set[Path]:
    return {file.parent, file.resolve().parent}
