"""Captures on disk: one JSON file for each request, the latest ones within a budget.

One thread writes them. It is started by the first capture, and the end of the gateway waits for it.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from utils.logger import get_logger
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

# Names begin with the time, so that their order is that of their age.
_NAME = re.compile(r"\d{8}T\d{6}-\d{6}Z-[\w-]+\.json")
_MICRO = 1_000_000
# A disk that is slower than the clients must not fill the memory.
_MOST_WAITING = 64
_log = get_logger("captures")


class CaptureFiles:
    """Writes captures to a folder. A fault of the disk is told once, and hurts no request."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        # The files by age, with their sizes.
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._thread: ThreadPoolExecutor | None = None
        self._places = threading.Semaphore(_MOST_WAITING)
        self._told = False

    @property
    def busy(self) -> bool:
        """Whether there may be captures that are not written yet."""
        return self._thread is not None

    def put(self, folder: str, budget: int, make: Callable[[], dict[str, Any]]) -> None:
        """Have what ``make`` returns written to ``folder``; the oldest files make room for it.

        ``make`` is called in the thread. Its ``id`` and ``at`` (seconds since 1970) name the file.
        While too many wait, one more is left out.
        """
        if not self._places.acquire(blocking=False):
            self._tell("they come faster than the disk takes them")
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "captures")
        self._thread.submit(self._written, Path(folder), budget, make)

    def finish(self) -> None:
        """Wait until all is written. Blocks."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _written(self, folder: Path, budget: int, make: Callable[[], dict[str, Any]]) -> None:
        try:
            entry = make()
            self._look(folder)
            content = orjson.dumps(entry, option=orjson.OPT_INDENT_2)
            if len(content) > budget:
                return
            self._make_room(folder, budget - len(content))
            name = name_of(entry["at"], entry["id"])
            write_whole(folder / name, content)
            self._sizes[name] = len(content)
            self._told = False
        except OSError as error:
            self._tell(error.strerror or str(error))
        finally:
            self._places.release()

    def _look(self, folder: Path) -> None:
        """Find the files of earlier runs, where the folder is another one than before."""
        if folder == self._folder:
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = sorted(each for each in folder.iterdir() if _NAME.fullmatch(each.name))
        self._sizes = OrderedDict((each.name, each.stat().st_size) for each in found)
        self._folder = folder

    def _make_room(self, folder: Path, room: int) -> None:
        while self._sizes and sum(self._sizes.values()) > room:
            name, _ = self._sizes.popitem(last=False)
            (folder / name).unlink(missing_ok=True)

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            _log.warning("captures are not written to disk: %s", why)


def name_of(at: float, request_id: str) -> str:
    """Return the name of the file of a request that ended ``at`` seconds since 1970."""
    seconds, micro = divmod(int(at * _MICRO), _MICRO)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}-{micro:06d}Z-{request_id}.json"
