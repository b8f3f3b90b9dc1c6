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
    from concurrent.futures import Future

# Names begin with the time, so that their order is that of their age.
_NAME = re.compile(r"\d{8}T\d{6}-\d{6}Z-[\w-]+\.json")
# What is left of a file where the gateway was killed while it wrote one.
_PART = re.compile(r"\d{8}T\d{6}-\d{6}Z-[\w-]+\.\d+\.part")
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
        self._started().submit(self._written, Path(folder), budget, make)

    def clear(self, folder: str) -> Future[tuple[int, int]]:
        """Have the captures in ``folder`` removed, those that wait to be written too.

        The result is how many are removed, and how many could not be. Files of others stay.
        """
        return self._started().submit(self._cleared, Path(folder))

    def finish(self) -> None:
        """Wait until all is written. Blocks."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _started(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "captures")
        return self._thread

    def _cleared(self, folder: Path) -> tuple[int, int]:
        removed = left = 0
        # They are looked for again before the next one is written.
        self._folder = None
        try:
            found = [*folder.iterdir()]
        except FileNotFoundError:
            return 0, 0
        except OSError as error:
            _log.warning("captures cannot be removed: %s", error.strerror)
            return 0, 1
        for each in found:
            if not (_NAME.fullmatch(each.name) or _PART.fullmatch(each.name)):
                continue
            try:
                each.unlink(missing_ok=True)
                removed += 1
            except OSError as error:
                _log.warning("the capture %s cannot be removed: %s", each, error.strerror)
                left += 1
        return removed, left

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
        found = sorted(p for p in folder.iterdir() if _NAME.fullmatch(p.name) and p.is_file())
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
