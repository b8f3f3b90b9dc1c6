"""What is read ahead: the newest wish, one at a time, and nothing after its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from utils.tasks import TaskOwner
from voice.ahead import ReadAhead

if TYPE_CHECKING:
    from voice.models import Models


class Reader:
    """Notes what is read; each reading lasts until ``go``."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go = asyncio.Event()

    async def read_ahead(self, messages: list[dict[str, Any]]) -> None:
        text = messages[-1]["content"]
        self.begun.append(text)
        try:
            await self.go.wait()
        finally:
            self.ended.append(text)


def saying(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


async def test_the_newest_is_read_next_and_the_same_only_once() -> None:
    reader, tasks = Reader(), TaskOwner("test")
    ahead = ReadAhead(cast("Models", reader), tasks)
    ahead.begin(None)
    assert len(tasks) == 0
    for text in ("a", "a", "a b", "a b c"):
        ahead.begin(saying(text))
        await asyncio.sleep(0)
    reader.go.set()
    await tasks.wait(1)
    assert reader.begun == reader.ended == ["a", "a b c"]
    ahead.begin(saying("a b c"))
    assert len(tasks) == 0


async def test_after_its_end_nothing_is_read() -> None:
    reader, tasks = Reader(), TaskOwner("test")
    ahead = ReadAhead(cast("Models", reader), tasks)
    await ahead.stop()
    ahead.begin(saying("a"))
    await asyncio.sleep(0)
    ahead.begin(saying("b"))
    await ahead.stop()
    assert reader.begun == reader.ended == ["a"]
    # The same may be wanted again for the next turn.
    ahead.begin(saying("a"))
    await asyncio.sleep(0)
    assert reader.begun == ["a", "a"]
    await tasks.cancel()
