"""Fetch one file of the hub into its cache: continue it, verify it, and only then name it.

The loop waits for the network alone; hashing and writing are done in a thread, while the next bytes
come in.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from models.downloads.faults import corrupt, pause, unavailable
from models.downloads.hub import BROKEN, said_of, told_by
from models.downloads.part import Part
from models.downloads.resume import WrongBody, asked, begins_at, is_strong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from models.downloads.choice import RemoteFile
    from models.downloads.hub import Hub
    from models.downloads.layout import RepoFolder

_T = TypeVar("_T")
_STEP = 1 << 20
# Seconds between two looks whether another program has the file no more.
_TURN = 0.5
# On a slow line, what came is written after so many seconds.
_LONGEST_HELD = 1.0
_CORRUPT_TRIES = 2
# Bytes between two looks whether the disk has room for the rest: others write to it, too.
_LOOK = 1 << 30


async def fetch(
    hub: Hub,
    folder: RepoFolder,
    file: RemoteFile,
    url: str,
    told: Callable[[int, bool], None],
    room: Callable[[int], None] = lambda _at: None,
) -> None:
    """Return once the content of ``file`` is in ``folder``, verified.

    ``told`` is called with the bytes that are there, and with whether they are only read again.
    ``room`` raises if the disk has no room for the rest behind so many bytes; it may block.
    What was fetched stays if this is cancelled or fails, unless it is wrong. Raises the
    GatewayError that says why it failed.
    """
    async with _part(folder, file) as (part, run):
        while not await run(part.lock):
            # Another program fetches the same file. It may also give up.
            await hub.wait(_TURN)
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def again(at: int) -> None:
            loop.call_soon_threadsafe(told, at, True)

        try:
            if not await run(partial(part.open, again, stopped.is_set)):
                return
        finally:
            stopped.set()
        for attempt in range(1, _CORRUPT_TRIES + 1):
            await _complete(hub, part, file, url, run, told, room)
            wrong = await run(part.finish)
            if not wrong:
                return
            await run(part.start_over)
            if attempt == _CORRUPT_TRIES:
                await run(part.discard)
                raise corrupt(file.path, wrong)


class _Run:
    """Runs calls one after the other, in one thread: what was begun ends before the next."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "download")

    def start(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def __call__(self, call: Callable[[], _T]) -> _T:
        return await self.start(call)

    async def end(self, call: Callable[[], None]) -> None:
        """Run the last call; it is run also if the caller is cancelled meanwhile."""
        last = self.start(call)
        self._thread.shutdown(wait=False)
        await asyncio.shield(last)


@asynccontextmanager
async def _part(folder: RepoFolder, file: RemoteFile) -> AsyncIterator[tuple[Part, _Run]]:
    """Yield the part of the file, and what runs its methods; close it at the end."""
    part, run = Part(folder, file), _Run()
    try:
        yield part, run
    finally:
        await run.end(part.close)


async def _complete(
    hub: Hub,
    part: Part,
    file: RemoteFile,
    url: str,
    run: _Run,
    told: Callable[[int, bool], None],
    room: Callable[[int], None],
) -> None:
    """Return once all bytes are in ``part``; a break of the line costs nothing that was fetched."""
    failed = 0
    while not part.is_whole:
        before = part.at
        try:
            headers = asked(part.at, await run(part.marked))
            async with hub.opened(url, file.path, headers) as answer:
                begin = begins_at(answer.status, answer.headers, part.at, file.size)
                if begin != part.at:
                    await run(part.start_over)
                    before = 0
                etag = answer.headers.get("ETag", "")
                if is_strong(etag):
                    await run(partial(part.mark, etag))
                await _copy(answer, part, file, run, told, room)
            if not part.is_whole:
                raise ConnectionError("the connection ended early")
        except (*BROKEN, WrongBody) as error:
            if isinstance(error, WrongBody):
                await run(part.start_over)
                before = 0
            failed = 1 if part.at > before else failed + 1
            if failed >= hub.tries:
                raise unavailable(file.path, said_of(error), told_by(error)) from error
            if part.at <= before:
                await hub.wait(pause(failed, random.random(), told_by(error)))  # noqa: S311 - spreads clients


async def _copy(
    answer: aiohttp.ClientResponse,
    part: Part,
    file: RemoteFile,
    run: _Run,
    told: Callable[[int, bool], None],
    room: Callable[[int], None],
) -> None:
    """Write the body into ``part``, one piece while the next one comes in."""
    pieces: list[bytes] = []
    held, coming, began = 0, part.at, time.monotonic()
    looked = coming
    writing: asyncio.Future[None] | None = None

    def wrote(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            told(part.at, False)

    async def write() -> asyncio.Future[None]:
        if writing is not None:
            await writing
        begun = run.start(partial(part.put, b"".join(pieces)))
        begun.add_done_callback(wrote)
        pieces.clear()
        return begun

    try:
        async for data in answer.content.iter_any():
            pieces.append(data)
            held += len(data)
            coming += len(data)
            if coming > file.size:
                pieces.clear()
                raise WrongBody("the server sends more bytes than the file has")
            now = time.monotonic()
            if held >= _STEP or now - began >= _LONGEST_HELD:
                writing = await write()
                held, began = 0, now
                if coming - looked >= _LOOK:
                    looked = coming
                    await run(partial(room, coming))
    finally:
        # Also where the line broke: what came counts.
        await (await write())
