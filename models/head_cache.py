"""Facts of model files, each read once: a cache in ``state_dir``.

A file is the same as long as its device, inode, size and time are the same, under any path. What
cannot be read is remembered, too, with its reason. The cache is a text file with one line for each
model file; a line is parsed when it is asked for, so that thousands of them cost little. Every call
may block: call it in a thread.
"""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import orjson

from models.gguf import BadModelFile, head_of
from models.model_file import FileFacts, facts_of, from_json
from utils.logger import get_logger
from utils.whole_file import write_whole

if TYPE_CHECKING:
    import os
    from pathlib import Path

_log = get_logger("models")
FILE = "heads.txt"
# How many files are remembered: those asked for last.
MOST = 20_000
_LARGEST_FILE = 64 << 20
# Facts that another version found may be wrong: its number, and the names of what it found.
_VERSION = " ".join(["1", *(each.name for each in fields(FileFacts))]).encode()
_PLAIN = FileFacts(0)


class HeadCache:
    """Facts by file. Without a ``folder`` they live in memory only. Safe for several threads."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / FILE
        self._lock = threading.Lock()
        self._lines: dict[str, bytes] | None = None
        self._news = False

    def facts(self, path: Path) -> FileFacts:
        """Return the facts of the file at ``path``.

        Raises BadModelFile if it is no whole head of a model, OSError if it cannot be read.
        """
        key = _key(path.stat())
        known = self._remembered(key)
        if known is not None:
            return known
        try:
            found = facts_of(head_of(path))
        except BadModelFile as error:
            self._keep(key, orjson.dumps({"bad": str(error)}))
            raise
        said = {each.name: getattr(found, each.name) for each in fields(FileFacts)}
        changed = {name: v for name, v in said.items() if v != getattr(_PLAIN, name)}
        self._keep(key, orjson.dumps(changed))
        return found

    def remembered(self, path: Path) -> FileFacts | None:
        """Return the facts of the file at ``path`` if its head was read before, else None.

        Raises the same as ``facts``.
        """
        return self._remembered(_key(path.stat()))

    def save(self) -> None:
        """Write what is new to the file. An error is logged, not raised."""
        with self._lock:
            if self._file is None or self._lines is None or not self._news:
                return
            # Another gateway may write to the same folder.
            others = _read(self._file)
            every = {key: line for key, line in others.items() if key not in self._lines}
            newest = list((every | self._lines).items())[-MOST:]
            self._lines, self._news = dict(newest), False
            lines = [_VERSION, *(f"{key} ".encode() + line for key, line in newest), b""]
            try:
                write_whole(self._file, b"\n".join(lines))
            except OSError as error:
                _log.warning("%s cannot be written: %s", self._file, error)

    def _remembered(self, key: str) -> FileFacts | None:
        with self._lock:
            lines = self._known()
            line = lines.pop(key, None)
            if line is not None:
                # The newest is last.
                lines[key] = line
        return None if line is None else _parsed(line)

    def _keep(self, key: str, line: bytes) -> None:
        with self._lock:
            self._known()[key] = line
            self._news = True

    def _known(self) -> dict[str, bytes]:
        if self._lines is None:
            self._lines = {} if self._file is None else _read(self._file)
        return self._lines


def _key(state: os.stat_result) -> str:
    return f"{state.st_dev}:{state.st_ino}:{state.st_size}:{state.st_mtime_ns}"


def _parsed(line: bytes) -> FileFacts | None:
    """Return the facts of a line, None if it cannot be read; raise BadModelFile if it says so."""
    try:
        said: Any = orjson.loads(line)
        if isinstance(reason := said.get("bad"), str):
            raise BadModelFile(reason)
        return from_json(said)
    except (TypeError, AttributeError, orjson.JSONDecodeError):
        return None


def _read(path: Path) -> dict[str, bytes]:
    """Return the lines of the file by key; {} if it is another version's, or cannot be read."""
    try:
        with path.open("rb") as file:
            version, *lines = file.read(_LARGEST_FILE).split(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        _log.warning("ignored the unreadable file %s: %s", path, error)
        return {}
    if version != _VERSION:
        return {}
    pairs = (line.partition(b" ") for line in lines if line)
    return {key.decode("ascii", "replace"): value for key, _, value in pairs}
