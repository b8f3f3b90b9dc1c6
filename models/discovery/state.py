"""Keep the entries of the machine's models until the next start, in ``models.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from models.discovery.inventory import Entry
from utils.logger import get_logger
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_log = get_logger("models")
FILE = "models.json"
_LARGEST_FILE = 64 << 20
# Facts have a cache of their own, and what is wrong is found out anew.
_KEPT = tuple(name for name in Entry.__slots__ if name not in {"facts", "problem"})
_BEGIN, _END = b'{"models":[', b"]}"
_PLAIN = Entry("", "", (), 0)


def state_of_entries(folder: Path) -> tuple[int, int, int] | None:
    """Return what is another after each change of the kept entries; None if there are none."""
    try:
        state = (folder / FILE).stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def load_entries(folder: Path) -> list[Entry]:
    """Return the entries of the last scan; an unreadable file is ignored and logged."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST_FILE).splitlines()
        return [_entry(each) for each in _models(lines)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("ignored the unreadable file %s: %s", path, error)
        return []


def save_entries(folder: Path, entries: Iterable[Entry]) -> None:
    """Write the entries. An error is logged, not raised."""
    # One by one: a thread that writes thousands at once would hold up all others.
    lines = [orjson.dumps({name: getattr(entry, name) for name in _KEPT}) for entry in entries]
    try:
        write_whole(folder / FILE, b"\n".join([_BEGIN, b",\n".join(lines), _END, b""]))
    except OSError as error:
        _log.warning("%s cannot be written: %s", folder / FILE, error)


def _models(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the models of the file, which has each on a line of its own, or was written before."""
    if lines[:1] == [_BEGIN] and lines[-1] == _END:
        for line in lines[1:-1]:
            if line:
                yield orjson.loads(line.removesuffix(b","))
        return
    yield from orjson.loads(b"\n".join(lines))["models"]


def _entry(said: dict[str, Any]) -> Entry:
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in said.items() if name in _KEPT
    }
    for name, value in values.items():
        if type(value) is not type(getattr(_PLAIN, name)):
            raise TypeError(f"wrong type of {name}")
    return Entry(**values)
