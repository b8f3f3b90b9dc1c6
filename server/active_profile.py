"""``ActiveProfile``: which profile of the routes is active, kept over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from utils.logger import get_logger
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_log = get_logger("route")
FILE = "profile.json"


class ActiveProfile:
    """The active profile by its ``name``, "" for none; kept in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.name = self._kept()

    def switch(self, name: str) -> None:
        """Make ``name`` the active one from now on; a disk error is logged."""
        self.name = name
        try:
            write_whole(self._path, orjson.dumps({"profile": name}))
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)

    def _kept(self) -> str:
        try:
            name = orjson.loads(self._path.read_bytes())["profile"]
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("ignored the unreadable file %s: %s", self._path, error)
            return ""
        return name if isinstance(name, str) else ""
