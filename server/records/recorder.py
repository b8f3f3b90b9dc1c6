"""``Recorder``: looks at the gateway once a second, samples it, and saves what is to be kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from engine.resources.probe import MachineProbe
from engine.scheduling.lifecycle import State
from server.records.journal import Journal
from server.records.row import row_of
from server.records.samples import RINGS, Samples
from server.records.system import measured
from server.records.uptime import Uptime
from utils.file_lock import FileLock
from utils.logger import get_logger
from utils.tasks import TaskOwner
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from server.access_log import AccessRecord
    from server.metrics import Present
    from server.telemetry import Telemetry

_log = get_logger("records")
# So many ended requests are listed.
ROOM = 10_000
_TICK = 1.0
# Seconds between two writes to the disk. A killed gateway forgets what came after the last.
_SAVE = 30.0
_FAILED = 400
_BROKEN = {State.BACKOFF: "failed", State.FAILED: "failed", State.READY: "ready"}


class Recorder:
    """Keeps ``requests``, ``samples`` and ``uptime``, inside the block of ``running``.

    They are saved in ``folder``; a second gateway with the same folder keeps its own in memory.
    ``present`` tells what there is now.
    """

    def __init__(
        self, telemetry: Telemetry, present: Callable[[], Present], folder: Path | None
    ) -> None:
        self.probe = MachineProbe()
        self.uptime = Uptime()
        self._telemetry = telemetry
        self._present = present
        self._folder = folder
        self._lock: FileLock | None = None
        self._saving = threading.Lock()
        self._ready = False
        self._keep(None)
        self._tasks = TaskOwner("records")
        # Tokens of the answers that have ended, and all that were written at the last tick.
        self._written = 0
        self._seen = 0
        self._looked = time.monotonic()
        self._saved = self._looked
        self._counts: Counter[str] = Counter()
        self._gauges: list[tuple[int, int]] = []
        self._machine: dict[str, float] = {}
        self._sampled = self._counted = self._looked

    def _keep(self, folder: Path | None) -> None:
        def journal(name: str, room: int) -> Journal:
            return Journal(None if folder is None else folder / f"{name}.jsonl", room)

        self.requests = journal("requests", ROOM)
        self._rings = [journal(f"samples-{ring.step}", ring.room) for ring in RINGS]
        self.samples = Samples(self._rings)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record inside the block; before it, read what earlier runs have recorded."""
        self._looked = self._sampled = self._counted = self._saved = time.monotonic()
        opened = self._tasks.spawn(asyncio.to_thread(self._open), "open")
        self._tasks.spawn(self._follow(opened), "tick")
        try:
            yield
        finally:
            # A thread goes on when its task is cancelled.
            await asyncio.wait((opened,))
            await self._tasks.cancel()
            self._telemetry.take = None
            self._ready = True
            self.look()
            self.count_up()
            await asyncio.to_thread(self._close, self.uptime.stored())

    async def _follow(self, opened: asyncio.Task[None]) -> None:
        await asyncio.wait((opened,))
        self._ready = True
        self._telemetry.take = self._take
        step = RINGS[0].step
        while True:
            await asyncio.sleep(_TICK)
            listened = bool(self._telemetry.events.subscriptions)
            now = time.monotonic()
            due = int(time.time()) % step == 0 or now - self._sampled >= step
            if listened or due:
                self._machine = await asyncio.to_thread(measured, self.probe)
            self.look()
            if due and now - self._sampled >= step / 2:
                self.sample()
            if now - self._saved >= _SAVE:
                self._saved = now
                await asyncio.to_thread(self._save, self.uptime.stored())

    # -- a tick ------------------------------------------------------------------------

    def look(self) -> None:
        """Take up the requests that have ended, and tell listeners how fast answers come."""
        if not self._ready:
            return
        self._take()
        now, wall = time.monotonic(), time.time()
        for model, times in self._telemetry.failures.items():
            self.uptime.failed(wall, model, times)
        self._telemetry.failures.clear()
        flowing = sum(max(0, o.record.tally.events - 1) for o in self._telemetry.requests)
        total = self._written + flowing
        fresh, self._seen = max(0, total - self._seen), total
        self._counts["completion_tokens"] += fresh
        seconds, self._looked = now - self._looked, now
        present = self._present()
        self._gauges.append((present.in_flight, present.waiting))
        if self._telemetry.events.subscriptions:
            self._telemetry.tick(
                in_flight=present.in_flight,
                waiting=present.waiting,
                tokens_per_second=round(fresh / seconds, 2) if seconds > 0 else 0.0,
                memory=self._memory(present),
                machine=self._machine,
            )

    def _take(self) -> None:
        now, wall = time.monotonic(), time.time()
        finished = self._telemetry.finished
        while finished:
            record, at = finished.popleft()
            self._ended(record, at, wall - (now - at))

    def _ended(self, record: AccessRecord, at: float, wall: float) -> None:
        row = {"at": round(wall, 3), **row_of(record, at)}
        self.requests.add(row)
        self._counts["requests"] += 1
        self._counts["errors"] += row["status"] >= _FAILED
        self._counts["prompt_tokens"] += row["prompt_tokens"] or 0 if record.counted else 0
        self._written += row["completion_tokens"] or 0

    def _memory(self, present: Present) -> dict[str, int]:
        """Return the bytes that engines hold, by resource."""
        held: Counter[str] = Counter()
        for record in present.records:
            if record.state.live:
                held.update(record.memory)
        return dict(held)

    def sample(self) -> None:
        """Make a sample of what happened since the last one."""
        step, present, now = RINGS[0].step, self._present(), time.monotonic()
        counts, self._counts = self._counts, Counter()
        gauges, self._gauges = self._gauges or [(0, 0)], []
        in_flight, waiting = zip(*gauges, strict=True)
        sample: dict[str, Any] = {
            "at": int(time.time()) // step * step - step,
            **{name: counts[name] for name in ("requests", "errors")},
            **{name: counts[name] for name in ("prompt_tokens", "completion_tokens")},
            "tokens_per_second": round(counts["completion_tokens"] / (now - self._sampled), 3),
            "in_flight": round(sum(in_flight) / len(gauges), 3),
            "most_in_flight": max(in_flight),
            "waiting": round(sum(waiting) / len(gauges), 3),
            "most_waiting": max(waiting),
            "engines": sum(each.state is State.READY for each in present.records),
            **{f"engines_{name}": held for name, held in self._memory(present).items()},
            **self._machine,
        }
        self.samples.add(sample)
        self.count_up()
        self._sampled = now

    def count_up(self) -> None:
        """Count the time since the last call as uptime, once that of earlier runs is read."""
        if not self._ready:
            return
        now = time.monotonic()
        seconds, self._counted = now - self._counted, now
        states: dict[str, str] = {}
        for record in self._present().records:
            state = _BROKEN.get(record.state)
            # A model with a ready engine has not failed, whatever its other variants did.
            if state is not None and states.get(record.variant.model) != "ready":
                states[record.variant.model] = state
        self.uptime.count(time.time(), seconds, states)

    # -- the disk ----------------------------------------------------------------------

    def _open(self) -> None:
        """Read what earlier runs have kept. If that fails, what is new stays in memory."""
        folder = self._folder
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / "lock")
            if not lock.acquire():
                _log.info("another gateway keeps its records in %s; these stay in memory", folder)
                return
            self._lock = lock
            self._keep(folder)
            for journal in (self.requests, *self._rings):
                journal.load()
            self.samples.resume()
            self._restore_uptime(folder)
        except OSError as error:
            _log.warning("%s: %s; records stay in memory", folder, error.strerror or error)
            self._keep(None)

    def _restore_uptime(self, folder: Path) -> None:
        try:
            self.uptime.restore(orjson.loads((folder / "uptime.json").read_bytes()))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s: not readable, begun anew: %s", folder / "uptime.json", error)

    def _save(self, uptime: dict[str, Any]) -> None:
        if self._lock is None or self._folder is None:
            return
        try:
            # At the end, a thread may still save whose task was cancelled.
            with self._saving:
                for journal in (self.requests, *self._rings):
                    journal.save()
                write_whole(self._folder / "uptime.json", orjson.dumps(uptime))
        except OSError as error:
            _log.warning("%s: not saved: %s", self._folder, error.strerror or error)

    def _close(self, uptime: dict[str, Any]) -> None:
        self._save(uptime)
        if self._lock is not None:
            self._lock.release()
            self._lock = None
