"""Several sources of signs are one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from raw_client import PATIENCE

from utils.merged import merged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Source:
    """Yields when it is told to; ``closed`` once it is left."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[OSError | bool] = asyncio.Queue()
        self.closed = False

    def tell(self, *what: OSError | bool) -> None:
        """Yield for True, end for False, raise an error."""
        for each in what:
            self._told.put_nowait(each)

    async def signs(self) -> AsyncGenerator[None, None]:
        try:
            while said := await self._told.get():
                if isinstance(said, OSError):
                    raise said
                yield
        finally:
            self.closed = True


async def test_each_source_is_heard_until_all_have_ended() -> None:
    one, other = Source(), Source()
    async with asyncio.timeout(PATIENCE), aclosing(merged(one.signs(), other.signs())) as both:
        one.tell(True)
        await anext(both)
        other.tell(True)
        await anext(both)
        # The last sign comes together with the end.
        one.tell(True, False)
        await anext(both)
        other.tell(True)
        await anext(both)
        # These come while the last sign is still looked at.
        other.tell(True, False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len([sign async for sign in both]) == 1
    assert one.closed
    assert other.closed


async def test_signs_that_come_together_are_one() -> None:
    one, other = Source(), Source()
    one.tell(True, True, False)
    other.tell(True, False)
    async with asyncio.timeout(PATIENCE):
        assert len([sign async for sign in merged(one.signs(), other.signs())]) == 1


async def test_an_error_of_one_ends_all() -> None:
    one, other = Source(), Source()
    one.tell(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        async with asyncio.timeout(PATIENCE), aclosing(merged(one.signs(), other.signs())) as both:
            await anext(both)
    assert other.closed


async def test_who_leaves_closes_all() -> None:
    one, other = Source(), Source()
    one.tell(True)
    async with asyncio.timeout(PATIENCE), aclosing(merged(one.signs(), other.signs())) as both:
        await anext(both)
    assert one.closed
    assert other.closed
