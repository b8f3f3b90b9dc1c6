"""``Accounts``: the accounts of a gateway, from its start to its end."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from accounts.admission import Now
from accounts.book import Book
from accounts.guard import caller_of, require_active
from accounts.hooks import AccountHooks, Effects
from accounts.keys import SECRET, presented
from accounts.parties import Key
from accounts.prices import price_told
from accounts.store.backlog import Backlog
from accounts.store.database import address, backlog_name, open_database
from accounts.store.migrate import DatabaseTooNew, migrate
from accounts.store.recovery import dead_boots, rebook, release
from accounts.store.snapshot import Snapshot, revision, snapshot
from accounts.store.upkeep import purge, verify
from accounts.store.writer import Writer
from utils.errors import CannotStart
from utils.file_lock import FileLock
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from inference.caller import Caller
    from utils.config.accounts import AccountsSettings
    from utils.config.settings import ServerSettings

_T = TypeVar("_T")
_log = get_logger("accounts")
# Seconds that the last rows have to be written when the gateway ends.
_LAST = 10.0
_MINUTE = 60.0
# Minutes between two checks of the books and two purges.
_OFTEN = 60
# Seconds that a page waits for rows of requests that have ended.
_SOON = 1.0
_DAY_MS = 24 * 3600 * 1000


class Accounts:
    """Knows who asks, admits and settles calls by ``hooks``, and keeps the database.

    Jobs for the database are functions of a connection; see ``read`` and ``write``.
    """

    def __init__(
        self, settings: AccountsSettings, folder: Path, effects: Effects | None = None
    ) -> None:
        self.boot = secrets.token_hex(6)
        self.book = Book(settings, time.monotonic_ns, _wall)
        self.hooks = AccountHooks(self.book, self._running, now, effects or Effects())
        # Accounts whose balance is not the sum of their ledger.
        self.wrong = 0
        self._folder = folder
        self._lock = FileLock(folder / "accounts.lock")
        self._url = address(settings.database_url, folder)
        self._backlog = Backlog(folder, backlog_name(settings.database_url))
        self._engine: Engine | None = None
        self._writer: Writer | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._revision = -1
        self._minutes = 0
        self._watching: list[Callable[[], None]] = []

    def configure(self, settings: ServerSettings) -> None:
        """Use the limits and prices of a new configuration."""
        if settings.accounts is not None and settings.accounts is not self.book.settings:
            self.book.configure(settings.accounts)

    def caller(self, headers: Mapping[str, str], settings: ServerSettings) -> Caller:
        """Return who asks; KeyRefused where it is nobody."""
        tokens = filter(None, (settings.admin_token, settings.own_token))
        return caller_of(headers, self.book, tokens)

    def check(self, caller: Caller) -> None:
        """Return if the caller's account is active, or it has none; else NotPermitted says so."""
        require_active(caller)

    def knows(self, caller: Caller) -> bool:
        """Return whether who was let in once may still ask."""
        return not isinstance(caller, Key) or self.book.has(caller)

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever accounts or keys have changed, and each minute."""
        self._watching.append(changed)

    def has_secret(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request has a client secret in place of a key."""
        return (presented(headers) or "").startswith(SECRET)

    def health(self) -> dict[str, Any]:
        """Return what ``/health`` says of the accounts."""
        writer = self._running()
        late = writer.late > self.book.settings.hold_wait
        fine = writer.reachable and not late and not self.wrong
        told: dict[str, Any] = {"status": "ok" if fine else "failing"}
        if late or not writer.reachable:
            told["database"] = "unavailable"
        if self.wrong:
            told["wrong_balances"] = self.wrong
        return told

    def price_of(self, model: str) -> dict[str, str]:
        """Return what a model costs now, as decimal text."""
        return price_told(self.book.price(model))

    def recent(self, request_id: str) -> list[dict[str, Any]]:
        """Return the rows of a request that was settled lately; none if it is too long ago."""
        found = self.hooks.recent.get(request_id)
        if found is None or f"{request_id}.2" in self.hooks.recent:
            return []
        return [asdict(found)]

    async def write(self, job: Callable[[Connection], _T]) -> _T:
        """Run ``job`` in a transaction, after all that was written before; return its result."""
        return await self._running().write(job)

    async def read(self, job: Callable[[Connection], _T]) -> _T:
        """Run ``job``, which changes nothing, beside the writer; return its result.

        It sees the requests that have ended before, unless the database cannot be written.
        """
        if self._reader is None or self._engine is None:
            raise RuntimeError("the accounts are not open")
        engine = self._engine
        await self._running().caught_up(_SOON)

        def run() -> _T:
            with engine.connect() as connection:
                return job(connection)

        return await asyncio.get_running_loop().run_in_executor(self._reader, run)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the database open inside the block; CannotStart if it cannot be used."""
        tasks = TaskOwner("accounts")
        first = await asyncio.to_thread(self._open)
        self._apply(first)
        self._writer = Writer(
            self._opened(),
            self.boot,
            booked=self.book.booked,
            look=self._look,
            seen=self._apply,
            backlog=self._backlog if self._lock.held else None,
            alone=self._lock.held and self._opened().dialect.name == "sqlite",
            durable=self.book.settings.durable,
        )
        self._reader = ThreadPoolExecutor(1, "accounts-read")
        tasks.spawn(self._keep_up(), "upkeep")
        try:
            yield
        finally:
            await tasks.cancel()
            await self._writer.close(_LAST)
            self._reader.shutdown(wait=False, cancel_futures=True)
            self._lock.release()

    async def refresh(self) -> None:
        """Take in at once what has changed in the database."""
        self._apply(await self.write(snapshot))

    # -- inside ----------------------------------------------------------------------

    def _running(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the accounts are not open")
        return self._writer

    def _opened(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the accounts are not open")
        return self._engine

    def _open(self) -> Snapshot:
        try:
            self._engine = open_database(self._url, full=self.book.settings.durable)
            migrate(self._engine)
            self._take_over(self._engine)
            with self._engine.begin() as connection:
                self._release(connection)
                return snapshot(connection)
        except (SQLAlchemyError, OSError, DatabaseTooNew) as error:
            reason = str(error).partition("\n")[0]
            raise CannotStart(f"the database of the accounts cannot be used: {reason}") from error

    def _take_over(self, engine: Engine) -> None:
        """Book what the last gateway with this folder has left, if it does not run any more."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._lock.acquire():
            _log.warning("another gateway uses the same folder of accounts")
            return
        rows = self._backlog.read()
        rebook(engine, rows)
        # Only now, as this empties the files.
        self._backlog.open()

    def _release(self, connection: Connection) -> None:
        if connection.dialect.name == "sqlite" and not self._lock.acquire():
            return
        count = release(connection, dead_boots(connection, self.boot), _wall())
        if count:
            _log.warning("%d request(s) of a gateway that broke off cost nothing", count)

    def _look(self, connection: Connection) -> Snapshot | None:
        # Read by a thread: at worst it is seen the next time.
        doubted, self.hooks.doubted = self.hooks.doubted, False
        if revision(connection) == self._revision and not doubted:
            return None
        return snapshot(connection)

    def _apply(self, found: Snapshot) -> None:
        self._revision = found.revision
        self.book.apply(found)
        self._changed()

    def _changed(self) -> None:
        for each in self._watching:
            each()

    async def _keep_up(self) -> None:
        """Each minute release what dead gateways hold; each hour check and purge."""
        while True:
            try:
                await self._upkeep()
            except SQLAlchemyError as error:
                _log.debug("no upkeep of the accounts: %s", str(error).partition("\n")[0])
            await asyncio.sleep(_MINUTE)
            self._minutes += 1
            # Keys expire.
            self._changed()

    async def _upkeep(self) -> None:
        await self.write(self._release)
        if self._minutes % _OFTEN:
            return
        settings, today = self.book.settings, _wall()
        usage = today - settings.usage_days * _DAY_MS
        audit = today - settings.audit_days * _DAY_MS
        removed = 1
        while removed:
            removed = await self.write(lambda connection: purge(connection, usage, audit))
        wrong = await self.write(verify)
        self.wrong = len(wrong)
        for each in wrong:
            _log.error("the books of account %d are wrong: %s", each.account, each)


def _wall() -> int:
    return time.time_ns() // 1_000_000


def now() -> Now:
    """Return the time."""
    return Now(time.monotonic_ns(), _wall())
