"""``PatientAccounts``: the accounts for handlers, which wait for the database only so long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from utils.errors import AccountsUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

    from accounts.book import Book
    from accounts.service import Accounts

_T = TypeVar("_T")
# Seconds. A change that comes later is made all the same, as soon as the database works again.
PATIENCE = 10.0


class PatientAccounts:
    """Reads and writes as ``Accounts`` does; AccountsUnavailable where the database does not.

    An IntegrityError is passed on: it tells of a row that is there already.
    """

    def __init__(self, accounts: Accounts, patience: float = PATIENCE) -> None:
        self._accounts = accounts
        self._patience = patience

    @property
    def book(self) -> Book:
        """The accounts, keys and prices in memory."""
        return self._accounts.book

    async def read(self, job: Callable[[Connection], _T]) -> _T:
        """Run ``job``, which changes nothing; return its result."""
        return await self._told(self._accounts.read(job))

    async def write(self, job: Callable[[Connection], _T]) -> _T:
        """Run ``job`` in a transaction; return its result."""
        return await self._told(self._accounts.write(job))

    async def refresh(self) -> None:
        """Take in at once what has changed in the database."""
        await self._told(self._accounts.refresh())

    async def _told(self, work: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._patience):
                return await work
        except IntegrityError:
            raise
        except (SQLAlchemyError, TimeoutError) as error:
            raise AccountsUnavailable("The accounts cannot be read or changed now.") from error
