"""``CopyStore``: the copies of models, kept in ``copies.json`` in the state folder."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import orjson

from models.copies import is_copy, source_of
from models.downloads.faults import cannot_write
from models.spec import untagged
from utils.logger import get_logger
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.catalog import Catalog

_log = get_logger("models")
FILE = "copies.json"
_LARGEST_FILE = 4 << 20


class CopyStore:
    """``known`` has each copy's name with its source. ``changed`` applies each change."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = threading.Lock()
        self.known: Mapping[str, str] = _read(self._file)
        self.changed: Callable[[], asyncio.Future[None] | None] = lambda: None
        self._applying: asyncio.Future[None] | None = None

    def has(self, catalog: Catalog, name: str) -> bool:
        """Return whether the name is a copy's, also of a model that is away."""
        return is_copy(catalog, self.known, name)

    async def add(self, catalog: Catalog, source: str, name: str) -> None:
        """Copy the model or alias ``source``; a copy that has the name already is replaced.

        Raises ModelNotFound, BadRequest for a name that is taken, StorageFull if the file cannot
        be written; then nothing has changed.
        """
        if (found := source_of(catalog, self.known, source, name)) is not None:
            await self._change(*found)

    async def remove(self, name: str) -> None:
        """Forget the copy of this name; raise StorageFull if the file cannot be written."""
        await self._change(untagged(name), None)

    async def _change(self, name: str, source: str | None) -> None:
        # What a thread has begun it ends, also for a client that leaves.
        work = asyncio.get_running_loop().run_in_executor(None, self._write, name, source)
        work.add_done_callback(self._applied)
        await asyncio.shield(work)
        if self._applying is not None:
            await asyncio.shield(self._applying)

    def _applied(self, work: asyncio.Future[dict[str, str]]) -> None:
        if not work.cancelled() and work.exception() is None:
            self.known = work.result()
            self._applying = self.changed()

    def _write(self, name: str, source: str | None) -> dict[str, str]:
        with self._lock:
            # Another gateway may write to the same folder.
            copies = _read(self._file)
            copies.pop(name, None)
            if source is not None:
                copies[name] = source
            try:
                write_whole(self._file, orjson.dumps(copies, option=orjson.OPT_INDENT_2))
            except OSError as error:
                raise cannot_write(str(self._file), error) from error
            return copies


def _read(file: Path) -> dict[str, str]:
    """Return the copies of the file; an unreadable file is ignored and logged."""
    try:
        with file.open("rb") as opened:
            said = orjson.loads(opened.read(_LARGEST_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("ignored the unreadable file %s: %s", file, error)
        return {}
    if not isinstance(said, dict) or not all(isinstance(each, str) for each in said.values()):
        _log.warning("ignored the unreadable file %s: it has no copies", file)
        return {}
    return said
