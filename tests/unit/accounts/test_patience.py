"""accounts/patience.py: nobody waits for a database that does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from accounts.patience import PatientAccounts
from utils.errors import AccountsUnavailable, NotStored


class Broken:
    """Accounts whose database does what it is told."""

    def __init__(self, fault: Exception | None) -> None:
        self._fault = fault

    async def read(self, job: Any) -> Any:
        if self._fault is not None:
            raise self._fault
        await asyncio.Event().wait()
        return job

    write = read

    async def refresh(self) -> None:
        await self.read(None)


def patient(fault: Exception | None) -> PatientAccounts:
    broken: Any = Broken(fault)
    return PatientAccounts(broken, patience=0.01)


@pytest.mark.parametrize("fault", [None, OperationalError("SELECT", None, Exception("locked"))])
async def test_what_fails_or_takes_too_long_is_told_as_one_thing(fault: Exception | None) -> None:
    accounts = patient(fault)
    for work in (lambda: accounts.read(str), lambda: accounts.write(str), accounts.refresh):
        with pytest.raises(AccountsUnavailable):
            await work()


@pytest.mark.parametrize(
    "fault", [IntegrityError("INSERT", None, Exception("twice")), NotStored("x")]
)
async def test_what_the_rows_themselves_say_is_passed_on(fault: Exception) -> None:
    with pytest.raises(type(fault)):
        await patient(fault).write(str)
