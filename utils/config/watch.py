"""Watch a configuration file, and the Lua files beside it, which it may load."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

# Seconds between two checks where the system reports no changes, as in network folders.
EVERY = 2.0
# Milliseconds to wait for more changes: editors write in several steps.
_SETTLED_MS = 200

Fingerprint = frozenset[tuple[str, int, int, int]]


def fingerprint(file: Path) -> Fingerprint:
    """Return a value that changes when the files do; empty while ``file`` is missing."""
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


async def changed(
    file: Path, known: Fingerprint, *, every: float = EVERY
) -> AsyncGenerator[None, None]:
    """Yield each time the files have changed, at first since ``known``.

    They are checked when the system reports a change, and every ``every`` seconds.

    ``file`` is a full path. If it is a link, the folder of its target is watched too. A file that
    is missing is waited for, because some editors remove it for a moment.
    """
    from watchfiles import awatch  # noqa: PLC0415 - few watch, and its import takes a while

    async for _ in awatch(
        *_folders(file),
        watch_filter=None,
        recursive=False,
        step=_SETTLED_MS,
        rust_timeout=int(every * 1000),
        yield_on_timeout=True,
    ):
        now = fingerprint(file)
        if now and now != known:
            known = now
            yield


def _folders(file: Path) -> set[Path]:
    return {file.parent, file.resolve().parent}
