"""Work that can be done later makes room for requests that wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.voice.room import while_nobody_waits

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_work_goes_on_until_somebody_waits() -> None:
    on_wait: set[Callable[[], None]] = set()
    cut = False
    async with while_nobody_waits(on_wait):
        await asyncio.sleep(0)
    assert not on_wait
    async with while_nobody_waits(on_wait):
        for make_room in tuple(on_wait):
            make_room()
        assert not on_wait
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut = True
            raise
    assert cut


async def test_a_fault_and_a_cancellation_are_passed_on() -> None:
    on_wait: set[Callable[[], None]] = set()
    with pytest.raises(KeyError):
        async with while_nobody_waits(on_wait):
            raise KeyError

    async def work() -> None:
        async with while_nobody_waits(on_wait):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert len(on_wait) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not on_wait
