"""The one thread that writes the database, in groups.

While a group is committed, others collect the next one. When a commit fails, its rows stay at the
front and are tried again: nothing is lost, and nothing is booked twice. Each row is handed over
together with the future that tells of it, so nobody can wait for a row that was written before.

A row that is in the backlog outlives the gateway, so nobody has to wait until it is written: such
rows are collected for a moment, and a short request's hold and settlement are one transaction.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from accounts.store.booking import book
from accounts.store.rows import Hold, Outcome, Settlement
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from accounts.store.backlog import Backlog

_T = TypeVar("_T")
_log = get_logger("accounts")
GROUP = 100
# Rows that wait for the database while it fails; with more, requests are refused.
MOST = 100_000
# Seconds: how long rows nobody waits for collect, between looks at what others have changed, and
# between tries of a commit that fails.
LINGER = 0.02
LOOK = 1.0
# Milliseconds of a try while another process has locked the file.
_LOCKED = 2000
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
# Of a lock of PostgreSQL that a gateway holds as long as it lives; the other part is its boot.
ALIVE = 7_241_504

Row = Hold | Settlement


@dataclass(slots=True, eq=False)
class _Item:
    """A row or a job, what it is answered by, and since when it waits.

    ``place`` is the file of the backlog that has the row.
    """

    what: Row | Callable[[Connection], Any]
    future: asyncio.Future[Any]
    urgent: bool
    place: int | None = None
    since: float = field(default_factory=time.monotonic)


class Writer:
    """Writes rows and runs jobs in their order.

    ``booked`` is called on the loop with each group that is committed; ``look`` is run by the
    thread about once a second, and what it returns, if anything, goes to ``seen`` on the loop.
    ``backlog`` is open, and is closed by ``close``. ``alone``: no other gateway uses the database,
    so it refuses no hold. ``durable``: a row counts when it has reached the disk.
    """

    def __init__(
        self,
        engine: Engine,
        boot: str,
        *,
        booked: Callable[[list[Row], Outcome], None],
        look: Callable[[Connection], Any] = lambda _connection: None,
        seen: Callable[[Any], None] = lambda _found: None,
        backlog: Backlog | None = None,
        alone: bool = False,
        durable: bool = False,
    ) -> None:
        # Whether the last use of the database went well.
        self.reachable = True
        self._engine = engine
        self._boot = boot
        self._booked = booked
        self._look = look
        self._seen = seen
        self._backlog = backlog
        self._alone = alone
        self._durable = durable
        self._loop = asyncio.get_running_loop()
        # The loop adds to it without a lock, which the thread may have; the thread takes away.
        self._queue: deque[_Item] = deque()
        # Whether the thread has something to do, or must end.
        self._news = threading.Condition()
        self._closing = False
        self._wake: asyncio.TimerHandle | None = None
        self._gives_up_at: float | None = None
        self._connection: Connection | None = None
        self._failures = 0
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="accounts", daemon=True)
        self._thread.start()

    # -- on the loop -----------------------------------------------------------------

    @property
    def late(self) -> float:
        """For how many seconds the oldest row has waited."""
        try:
            return time.monotonic() - self._queue[0].since
        except IndexError:
            return 0.0

    @property
    def full(self) -> bool:
        """Whether so many rows wait that no more should be added."""
        return len(self._queue) >= MOST

    def hold(self, row: Hold) -> asyncio.Future[bool] | None:
        """Write a hold; None: it is safe already, and nobody has to wait for it.

        The result is False where the balance in the database is too small.
        """
        # Where others take from the same balance, only the database can say whether it is held.
        place = self._kept(row) if self._alone else None
        waits = place is None or self._durable
        future = self._add(row, urgent=waits, place=place)
        return future if waits else None

    def settle(self, row: Settlement, *, urgent: bool) -> asyncio.Future[None] | None:
        """Write a settlement; ``urgent``: somebody would wait for it. None: it is safe already."""
        place = self._kept(row)
        waits = place is None or self._durable
        future = self._add(row, urgent=urgent and waits, place=place)
        return future if waits else None

    def _kept(self, row: Row) -> int | None:
        """Return where in the backlog the row is now; None if it cannot be kept."""
        return None if self._backlog is None else self._backlog.add(row)

    async def caught_up(self, patience: float) -> None:
        """Return when the rows until now are written, or after ``patience`` seconds."""
        with self._news:
            if not self._queue:
                return
            last = self._queue[-1]
            last.urgent = True
            self._news.notify()
        await asyncio.wait((last.future,), timeout=patience)

    async def write(self, job: Callable[[Connection], _T]) -> _T:
        """Run ``job`` in a transaction of its own, after the rows before it; return its result."""
        result: _T = await self._add(job, urgent=True)
        return result

    def _add(
        self, what: Row | Callable[[Connection], Any], *, urgent: bool, place: int | None = None
    ) -> asyncio.Future[Any]:
        item = _Item(what, self._loop.create_future(), urgent, place)
        if self._closing:
            raise RuntimeError("the database of the accounts is closed")
        self._queue.append(item)
        if urgent:
            with self._news:
                self._news.notify()
            return item.future
        if self._wake is None:
            # A thread that wakes up takes the interpreter from this one, so it does so seldom.
            self._wake = self._loop.call_later(LINGER, self._woken)
        return item.future

    def _woken(self) -> None:
        self._wake = None
        with self._news:
            self._news.notify()

    async def close(self, patience: float) -> None:
        """Write what waits, for ``patience`` seconds at most, and end the thread."""
        if self._wake is not None:
            self._wake.cancel()
        with self._news:
            self._closing = True
            self._gives_up_at = time.monotonic() + patience
            self._news.notify()
        await asyncio.to_thread(self._thread.join, patience + 1)
        self._leave()
        # Their futures are answered before the loop ends.
        await asyncio.sleep(0)

    def _leave(self) -> None:
        """Keep what could not be written for the next gateway, and say so."""
        rows = [item for item in self._queue if isinstance(item.what, Hold | Settlement)]
        for item in rows:
            if item.place is None and isinstance(item.what, Settlement):
                item.place = self._kept(item.what)
        lost = sum(item.place is None and isinstance(item.what, Settlement) for item in rows)
        if lost:
            _log.error("%d rows of the accounts could not be written", lost)
        kept = 0 if self._backlog is None else self._backlog.close()
        if kept:
            _log.warning("%d rows of the accounts are written at the next start", kept)

    # -- in the thread ---------------------------------------------------------------

    def _run(self) -> None:
        while (group := self._next()) is not None:
            if not group:
                self._look_around()
            elif isinstance(group[0].what, Hold | Settlement):
                self._book(group, again=self._failures > 0)
            else:
                self._do(group[0])
        self._disconnect()

    def _next(self) -> list[_Item] | None:
        """Return what is to be written next: rows, or one job; none of them: look around."""
        with self._news:
            while True:
                now = time.monotonic()
                if self._closing and (not self._queue or now > (self._gives_up_at or 0)):
                    return None
                if now - self._looked >= LOOK and not self._failures:
                    self._looked = now
                    return []
                if not self._queue:
                    self._news.wait(self._looked + LOOK - now)
                    continue
                group = self._front()
                soon = group[0].since + LINGER - now
                if soon <= 0 or self._closing or any(item.urgent for item in group):
                    return group
                self._news.wait(soon)

    def _front(self) -> list[_Item]:
        group: list[_Item] = []
        # By their places: others are added meanwhile, and nobody else takes any away.
        for place in range(min(GROUP, len(self._queue))):
            item = self._queue[place]
            if not isinstance(item.what, Hold | Settlement):
                return group or [item]
            group.append(item)
        return group

    def _book(self, group: list[_Item], *, again: bool) -> None:
        rows = [item.what for item in group if isinstance(item.what, Hold | Settlement)]
        try:
            connection = self._connected()
            with connection.begin():
                outcome = book(connection, self._boot, rows, again=again)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are kept or told
            self._disconnect()
            self._failed(group, error, again=again)
            return
        if self._failures:
            _log.info("the database of the accounts works again")
        self._failures = 0
        self.reachable = True
        self._written(group)
        self._tell(self._answer, group, rows, outcome)

    def _failed(self, group: list[_Item], error: Exception, *, again: bool) -> None:
        """Try the group again later; where the rows themselves are at fault, one by one."""
        at_fault = isinstance(error, IntegrityError | DataError | ProgrammingError)
        if isinstance(error, DBAPIError) and not at_fault:
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            if not self._failures:
                _log.error("the database of the accounts cannot be written: %s", _first_line(error))
            self._failures += 1
            self.reachable = False
            with self._news:
                if not self._closing:
                    self._news.wait(pause)
                elif all(isinstance(i.what, Hold) or i.place is not None for i in self._queue):
                    # They are for the next gateway; this one need not wait.
                    self._gives_up_at = 0.0
                elif self._gives_up_at is not None:
                    self._news.wait(min(pause, max(0.0, self._gives_up_at - time.monotonic())))
            return
        if len(group) > 1 or not again:
            # It may have been booked before.
            for item in group:
                self._book([item], again=True)
            return
        _log.error("a row of the accounts cannot be written: %r", group[0].what, exc_info=error)
        self._written(group)
        self._tell(_raise, group[0].future, error)

    def _do(self, item: _Item) -> None:
        job = cast("Callable[[Connection], Any]", item.what)
        try:
            connection = self._connected()
            with connection.begin():
                result = job(connection)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            self._disconnect()
            self._written([item])
            self._tell(_raise, item.future, error)
            return
        self._written([item])
        self._tell(_set, item.future, result)

    def _look_around(self) -> None:
        try:
            connection = self._connected()
            with connection.begin():
                found = self._look(connection)
        except Exception as error:  # noqa: BLE001 - rows that are written will tell
            if self.reachable:
                _log.warning("the accounts cannot be read: %s", _first_line(error))
            self.reachable = False
            self._disconnect()
            return
        self.reachable = True
        if self._backlog is not None:
            self._backlog.rest()
        if found is not None:
            self._tell(self._seen, found)

    def _written(self, group: list[_Item]) -> None:
        with self._news:
            for item in group:
                # One by one they are at the front, too.
                if self._queue and self._queue[0] is item:
                    self._queue.popleft()
                else:
                    self._queue.remove(item)
        if self._backlog is not None:
            self._backlog.booked(item.place for item in group if item.place is not None)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            if self._connection.dialect.name == "sqlite":
                with self._connection.begin():
                    self._connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LOCKED}").close()
            if self._connection.dialect.name == "postgresql":
                with self._connection.begin():
                    self._connection.execute(
                        text("SELECT pg_advisory_lock_shared(:alive, :boot)"),
                        {"alive": ALIVE, "boot": boot_number(self._boot)},
                    )
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except DBAPIError:
                _log.debug("the connection to the database was lost already")

    def _tell(self, call: Callable[..., None], *given: Any) -> None:  # noqa: ANN401 - of any call
        try:
            self._loop.call_soon_threadsafe(call, *given)
        except RuntimeError:
            _log.debug("the loop has ended")

    # -- back on the loop ------------------------------------------------------------

    def _answer(self, group: list[_Item], rows: list[Row], outcome: Outcome) -> None:
        self._booked(rows, outcome)
        for item, row in zip(group, rows, strict=True):
            _set(item.future, row.request_id not in outcome.refused)


def boot_number(boot: str) -> int:
    """Return the number under which PostgreSQL knows a boot."""
    return int(boot, 16) & 0x7FFF_FFFF


def _set(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _raise(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen, if nobody waits


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
