"""Tasks that are made whole or not at all."""

from __future__ import annotations

import asyncio

import pytest

from utils.tasks import all_or_nothing


class Making:
    """Something that is made once the test says so; what was undone."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.undone: list[int] = []

    async def make(self) -> int:
        return await self.ready

    async def undo(self, made: int) -> None:
        await asyncio.sleep(0)
        self.undone.append(made)

    def task(self) -> asyncio.Task[int]:
        return asyncio.get_running_loop().create_task(all_or_nothing(self.make(), self.undo))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_made_is_given() -> None:
    making = Making()
    making.ready.set_result(5)
    assert await making.task() == 5
    assert not making.undone


@pytest.mark.parametrize("before", range(1, 4))
async def test_what_is_made_for_a_cancelled_task_is_undone(before: int) -> None:
    making = Making()
    task = making.task()
    await turns(before)
    task.cancel()
    await turns(2)
    task.cancel()
    await turns(2)
    assert not task.done()
    making.ready.set_result(5)
    await asyncio.wait([task])
    assert task.cancelled()
    assert making.undone == [5]


async def test_what_is_made_in_the_turn_of_the_cancellation_is_undone() -> None:
    making = Making()
    task = making.task()
    await turns(3)
    making.ready.set_result(5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert making.undone == [5]


async def test_a_failure_is_raised() -> None:
    making = Making()
    making.ready.set_exception(OSError("no"))
    with pytest.raises(OSError, match="no"):
        await making.task()


async def test_a_failure_after_the_cancellation_is_not_raised() -> None:
    making = Making()
    task = making.task()
    await turns(3)
    task.cancel()
    making.ready.set_exception(OSError("no"))
    await asyncio.wait([task])
    assert task.cancelled()
    assert not making.undone
