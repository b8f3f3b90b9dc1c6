"""Stored responses and conversations: JSON documents, in memory or in files.

Each file is written whole, and only its owner's system user can read it. A file that cannot be read
is set aside, with a line in the log, and its document is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from server.responses.shelf import Limits, Place, Shelf
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.requests.fields import Json
    from utils.config.settings import ServerSettings

_log = get_logger("responses")
FOLDER = "responses"
_SUFFIX = ".json"
_PART = ".part"
_DAMAGED = ".damaged"
_KEY = re.compile(r"[a-z]{1,8}_[0-9a-f]{16,64}")
# The longest head of a file that is read at the start: owner, time and the ids of items.
_HEAD = 1 << 20
# Up to here reading a document takes less time than handing it to a thread.
_INLINE = 128 * 1024


class ResponseStore:
    """Documents by id, each of which only its owner finds.

    ``now`` tells the time in seconds since 1970.
    """

    def __init__(
        self, limits: Limits, folder: Path | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._shelf = Shelf(limits)
        self._now = now
        self._files: _Files = _Memory() if folder is None else _Folder(folder)
        # Files are written by threads; what happens to a document happens in order.
        self._turn = asyncio.Lock()
        self._restored = False

    @classmethod
    def of(cls, settings: ServerSettings, folder: Path) -> ResponseStore:
        """Return the store that the settings ask for; files are kept below ``folder``."""
        limits = Limits(settings.responses_budget, settings.responses_count, settings.responses_age)
        return cls(limits, folder / FOLDER if settings.responses_on_disk else None)

    async def put(self, key: str, owner: str, document: Json, items: tuple[str, ...] = ()) -> bool:
        """Store the document in place of an earlier one; return False if that cannot be.

        ``items`` are the ids of what it holds, by which ``holder`` finds it.
        """
        body = orjson.dumps(document)
        async with self._turn:
            await self._restore()
            now = self._now()
            gone = self._shelf.put(key, Place(owner, len(body), now, items))
            if gone is None:
                _log.warning("%s is larger than responses_budget; it is not stored", key)
                await self._files.remove([key])
                self._shelf.remove(key)
                return False
            try:
                await self._files.write(key, _head(owner, now, items), body)
            except OSError as error:
                _log.warning("%s cannot be stored: %s", key, error.strerror)
                self._shelf.remove(key)
                return False
            finally:
                await self._files.remove(gone)
        return True

    async def get(self, key: str, owner: str) -> Json | None:
        """Return the owner's document; None if there is none, or if it is damaged."""
        async with self._turn:
            await self._restore()
            if not self._shelf.find(key, owner, self._now()):
                return None
            try:
                document = await _loaded(await self._files.read(key))
                if not isinstance(document, dict):
                    raise TypeError(key)  # noqa: TRY301 - all damages are treated alike
            except (OSError, ValueError, TypeError) as error:
                _log.warning("the stored %s is damaged and set aside: %s", key, error)
                self._shelf.remove(key)
                await self._files.set_aside(key)
                return None
        return document

    async def remove(self, key: str, owner: str) -> bool:
        """Forget the owner's document; return False if there is none."""
        async with self._turn:
            await self._restore()
            if not self._shelf.find(key, owner, self._now()):
                return False
            self._shelf.remove(key)
            await self._files.remove([key])
        return True

    async def holder(self, item: str, owner: str) -> Json | None:
        """Return the owner's latest document that has this item; None if none has."""
        async with self._turn:
            await self._restore()
            key = self._shelf.holder(item, owner)
        return None if key is None else await self.get(key, owner)

    async def _restore(self) -> None:
        if self._restored:
            return
        self._restored = True
        try:
            found = await self._files.found()
        except OSError as error:
            _log.warning("stored responses cannot be read: %s", error)
            return
        await self._files.remove(self._shelf.restore(found, self._now()))


async def _loaded(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    return (
        orjson.loads(body) if len(body) <= _INLINE else await asyncio.to_thread(orjson.loads, body)
    )


def _head(owner: str, now: float, items: tuple[str, ...]) -> bytes:
    return orjson.dumps({"version": 1, "owner": owner, "stored": now, "items": items})


class _Files(Protocol):
    """Where documents are."""

    async def found(self) -> list[tuple[str, Place]]: ...
    async def write(self, key: str, head: bytes, body: bytes) -> None: ...
    async def read(self, key: str) -> bytes: ...
    async def remove(self, keys: list[str]) -> None: ...
    async def set_aside(self, key: str) -> None: ...


class _Memory:
    """Documents in memory."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}

    async def found(self) -> list[tuple[str, Place]]:
        return []

    async def write(self, key: str, _head: bytes, body: bytes) -> None:
        self._bodies[key] = body

    async def read(self, key: str) -> bytes:
        return self._bodies[key]

    async def remove(self, keys: list[str]) -> None:
        for key in keys:
            self._bodies.pop(key, None)

    async def set_aside(self, key: str) -> None:
        await self.remove([key])


class _Folder:
    """Documents in files: a line that tells the owner and the items, then the document."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def found(self) -> list[tuple[str, Place]]:
        return await asyncio.to_thread(lambda: list(self._found()))

    async def write(self, key: str, head: bytes, body: bytes) -> None:
        await asyncio.to_thread(self._write, key, head, body)

    async def read(self, key: str) -> bytes:
        return await asyncio.to_thread(self._read, key)

    async def remove(self, keys: list[str]) -> None:
        if keys:
            await asyncio.to_thread(self._remove, keys)

    async def set_aside(self, key: str) -> None:
        path = self._path(key)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(path.replace, path.with_suffix(_DAMAGED))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _found(self) -> Iterator[tuple[str, Place]]:
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.suffix == _PART:
                # What was written when a gateway ended.
                path.unlink(missing_ok=True)
            elif path.suffix == _SUFFIX and _KEY.fullmatch(path.stem):
                place = _place(path)
                if place is None:
                    _log.warning("the stored %s is damaged and set aside", path.stem)
                    path.replace(path.with_suffix(_DAMAGED))
                else:
                    yield path.stem, place

    def _write(self, key: str, head: bytes, body: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._folder / f"{key}.{os.getpid()}{_PART}"
        try:
            part.unlink(missing_ok=True)
            opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.writelines((head, b"\n", body))
            part.replace(self._path(key))
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _read(self, key: str) -> bytes:
        path = self._path(key)
        body = path.read_bytes().partition(b"\n")[2]
        # The times of files tell, at the next start, which were used least recently.
        os.utime(path)
        return body

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            with contextlib.suppress(OSError):
                self._path(key).unlink(missing_ok=True)


def _place(path: Path) -> Place | None:
    """Return what the head of a file tells; None if it is damaged."""
    try:
        with path.open("rb") as file:
            line = file.readline(_HEAD)
        head, state = orjson.loads(line), path.stat()
        items = tuple(map(str, head["items"]))
        return Place(str(head["owner"]), state.st_size - len(line), state.st_mtime, items)
    except (OSError, ValueError, KeyError, TypeError):
        return None
