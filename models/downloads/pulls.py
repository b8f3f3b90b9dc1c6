"""``Pulls``: the downloads of a gateway. They go on when the client that asked has left.

A download is paused and continued at will; what was fetched is kept. Unfinished ones are written
down, so that a gateway that starts again shows them as paused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson

from models.downloads.part import Part
from models.downloads.progress import DONE, ENDED, FAILED, FETCHING, PAUSED, WAITING, Progress
from models.downloads.reference import Wanted, wanted
from utils.errors import BadRequest, GatewayError, ShuttingDown, UnknownPull
from utils.logger import get_logger
from utils.tasks import TaskOwner, happens
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from models.downloads.choice import RemoteFile
    from models.downloads.hub import Hub
    from models.downloads.layout import RepoFolder

_log = get_logger("models")
FILE = "pulls.json"
# More at once would only share the line.
AT_ONCE = 2
# Why a download of an earlier gateway is paused.
STOPPED = "the gateway was stopped"
# Ended ones that are still shown.
_SHOWN = 50
# Seconds between two looks of those who follow a download.
_OFTEN = 0.5
_LARGEST_FILE = 1 << 20


@dataclass(eq=False, slots=True)
class PullState:
    """One download. ``error`` says why it failed, ``why`` why it is paused."""

    wanted: Wanted
    id: str = field(default_factory=lambda: token_hex(4))
    state: str = WAITING
    progress: Progress = field(default_factory=Progress)
    commit: str = ""
    folder: RepoFolder | None = None
    files: tuple[RemoteFile, ...] = ()
    paths: tuple[Path, ...] = ()
    error: GatewayError | None = None
    why: str = ""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    # When it came into its state, by the monotonic clock.
    since: float = field(default_factory=time.monotonic)

    def tell(self) -> None:
        """Wake those who follow this download."""
        self.moved.set()
        self.moved = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing is fetched any more, for whatever reason."""
        return self.state in ENDED


class Pulls:
    """The downloads by id. ``hub`` opens a hub; ``finished`` is awaited after each model."""

    def __init__(
        self,
        hub: Callable[[], Hub],
        finished: Callable[[], Awaitable[object]],
        folder: Path | None = None,
    ) -> None:
        self._hub = hub
        self._finished = finished
        self._file = None if folder is None else folder / FILE
        self._tasks = TaskOwner("pulls")
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._pulls = {pull.id: pull for pull in _load(self._file)}
        self._closed = False

    def every(self) -> list[PullState]:
        """Return all downloads, the oldest first."""
        for pull in self._pulls.values():
            pull.progress.waited(time.monotonic())
        return list(self._pulls.values())

    def find(self, pull_id: str) -> PullState:
        """Return the download; raise UnknownPull if none has this id."""
        found = self._pulls.get(pull_id)
        if found is None:
            raise UnknownPull(f"No download has the id {pull_id}.")
        return found

    def of(self, asked: Wanted) -> PullState | None:
        """Return the last download of this model, if there is one."""
        return next((p for p in reversed(self.every()) if p.wanted == asked), None)

    def start(self, asked: Wanted) -> PullState:
        """Return the download of this model: the one that there is, or a new one that begins.

        Raises ShuttingDown once the gateway stops.
        """
        if self._closed:
            raise ShuttingDown("The gateway is shutting down.")
        known = self.of(asked)
        if known is not None and known.state != DONE:
            if known.ended:
                self.resume(known.id)
            return known
        pull = PullState(asked)
        self._pulls[pull.id] = pull
        for old in [each for each in self.every() if each.state == DONE][:-_SHOWN]:
            del self._pulls[old.id]
        self._begin(pull)
        return pull

    async def pause(self, pull_id: str) -> PullState:
        """Stop the download and return it; what was fetched is kept."""
        pull = self.find(pull_id)
        if pull.state in {DONE, FAILED}:
            raise BadRequest(f"The download {pull_id} has ended: it is {pull.state}.")
        await self._stop(pull, "an operator paused it")
        return pull

    def resume(self, pull_id: str) -> PullState:
        """Continue a download that is paused or has failed, and return it."""
        pull = self.find(pull_id)
        if pull.state == DONE:
            raise BadRequest(f"The download {pull_id} has ended: it is done.")
        if pull.ended:
            self._begin(pull)
        return pull

    async def end(self, pull_id: str, *, purge: bool) -> PullState:
        """Forget the download, and with ``purge`` what was fetched of a model that is not whole."""
        pull = self.find(pull_id)
        await self._stop(pull, "an operator ended it")
        self._pulls.pop(pull_id, None)
        if purge and pull.state != DONE and pull.folder is not None:
            await asyncio.to_thread(_purge, pull.folder, pull.files)
        self._save()
        return pull

    async def follow(self, pull: PullState, often: float = _OFTEN) -> AsyncIterator[PullState]:
        """Yield the download now, every ``often`` seconds, after each step, and at its end."""
        while not pull.ended:
            moved = pull.moved
            pull.progress.waited(time.monotonic())
            yield pull
            await happens(moved, often)
        yield pull

    async def close(self) -> None:
        """Stop all downloads; what was fetched is kept, and the next gateway shows them."""
        self._closed = True
        await self._tasks.cancel()

    def _begin(self, pull: PullState) -> None:
        self._move(pull, WAITING)
        self._running[pull.id] = self._tasks.spawn(self._run(pull), str(pull.wanted))

    async def _stop(self, pull: PullState, why: str) -> None:
        task = self._running.pop(pull.id, None)
        if task is not None and not task.done():
            pull.why = why
            task.cancel()
            # Until then the part is open.
            await asyncio.wait([task])
        if not pull.ended:
            # It was cancelled before its first step.
            self._move(pull, PAUSED, why=why)

    async def _run(self, pull: PullState) -> None:
        try:
            async with self._turns:
                self._move(pull, FETCHING)
                await self._fetch(pull)
            _log.info("%s: fetched, %d bytes", pull.wanted, pull.progress.total)
            try:
                # Before it is told: who waits for the model finds it.
                await self._finished()
            except GatewayError as error:
                _log.error("%s is there, but not served: %s", pull.wanted, error.message)
            self._move(pull, DONE)
        except asyncio.CancelledError:
            self._move(pull, PAUSED, why=pull.why or STOPPED)
            raise
        except GatewayError as error:
            _log.error("%s: %s", pull.wanted, error.message)
            self._move(pull, FAILED, error=error)
        except Exception:  # a fault of ours: it is raised again, but the download must not wait
            self._move(pull, FAILED, error=GatewayError("The gateway failed; its log says why."))
            raise

    async def _fetch(self, pull: PullState) -> None:
        # The client of the hub takes a while to import.
        from models.downloads.pull import pull as fetched  # noqa: PLC0415 - see above

        pull.progress = Progress()

        def planned(folder: RepoFolder, files: tuple[RemoteFile, ...]) -> None:
            pull.folder, pull.files = folder, files
            pull.tell()

        async with self._hub() as hub:
            done = await fetched(hub, pull.wanted, pull.progress, planned=planned)
        pull.commit, pull.paths = done.commit, done.paths

    def _move(
        self, pull: PullState, state: str, error: GatewayError | None = None, why: str = ""
    ) -> None:
        pull.state, pull.error, pull.why = state, error, why
        pull.since = time.monotonic()
        pull.tell()
        self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        open_ones = [each for each in self.every() if each.state != DONE]
        if not open_ones and not self._file.exists():
            return
        try:
            write_whole(self._file, orjson.dumps({"pulls": [_written(p) for p in open_ones]}))
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error)


def _written(pull: PullState) -> dict[str, str]:
    asked = pull.wanted
    text = f"{asked.repo}:{asked.tag}" if asked.tag else asked.repo
    return {"id": pull.id, "model": text, "file": asked.file, "revision": asked.revision}


def _load(path: Path | None) -> list[PullState]:
    """Return what an earlier gateway has not finished, as paused."""
    if path is None:
        return []
    found = []
    with contextlib.suppress(FileNotFoundError):
        try:
            with path.open("rb") as file:
                said: Any = orjson.loads(file.read(_LARGEST_FILE))
            for each in said["pulls"]:
                asked = wanted(each["model"], each["file"], each["revision"])
                pull = PullState(asked, str(each["id"]), PAUSED, why=STOPPED)
                found.append(pull)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadRequest) as error:
            _log.warning("ignored the unreadable file %s: %s", path, error)
    return found


def _purge(folder: RepoFolder, files: tuple[RemoteFile, ...]) -> None:
    """Remove the parts of these files, but for those that another program fetches now."""
    for file in files:
        part = Part(folder, file)
        with contextlib.suppress(GatewayError):
            if part.lock():
                part.discard()
        part.close()
