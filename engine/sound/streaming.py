"""``StreamDecoder``: decode the recordings of one sound while they come.

The decoder is a process of its own. It runs from the first recording until ``close``; where it
fails, another is started for the next recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine.sound.recordings import Recordings
from engine.sound.tools import environment
from engine.sound.wire import BEGIN, DATA, FAULT, HEAD, MARK, SAMPLES, message
from utils.errors import BadRequest
from utils.logger import get_logger
from utils.tasks import TaskOwner, all_or_nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.sound.recordings import Part
    from utils.errors import GatewayError

_log = get_logger("sound")
_PROGRAM = ("-P", "-m", "engine.sound.pyav_stream")
# Bytes that wait for the program; then the client waits.
_WAITING = 256 * 1024
# Seconds to decode what is known at most, when its end is needed.
_PATIENCE = 20.0
# A fault that the program tells is cut to so many characters.
_TOLD = 200


@cache
def is_installed() -> bool:
    """Return whether sound can be decoded as it comes."""
    return find_spec("av") is not None


class StreamDecoder:
    """``heard`` takes mono samples of 16 bits at ``tools.RATE``, in their order.

    ``failed`` is told, once for each recording or turn, why it cannot be decoded; what still comes
    of it is ignored.
    """

    def __init__(
        self,
        heard: Callable[[bytes], Awaitable[None]],
        failed: Callable[[GatewayError], None],
    ) -> None:
        self._heard = heard
        self._failed = failed
        self._recordings = Recordings()
        self._tasks = TaskOwner("stream decoder")
        self._process: asyncio.subprocess.Process | None = None
        self._number = 0
        # Whether the recording is at fault.
        self._broken = False
        self._marks: deque[asyncio.Future[None]] = deque()

    @property
    def is_unused(self) -> bool:
        """Whether no sound has come yet."""
        return self._number == 0

    async def feed(self, piece: bytes) -> None:
        """Take the next piece of the sound; wait while the decoder has much to do."""
        await self._pass_on(self._recordings.feed(piece))

    async def caught_up(self) -> None:
        """Return once all sound so far was decoded, or has failed."""
        await self._pass_on(self._recordings.flush())
        # What is at fault is told again, if it goes on in the next turn.
        self._broken = False
        if self._process is None:
            return
        mark = asyncio.get_running_loop().create_future()
        self._marks.append(mark)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._send(message(MARK, self._number))
                await mark
        except TimeoutError:
            await self._stop()
            self._fail("decoding it takes too long")

    async def close(self) -> None:
        """End the process."""
        self._broken = True
        await self._stop()

    async def _pass_on(self, parts: list[Part]) -> None:
        for part in parts:
            if part.begins:
                if not part.container:
                    self._fail("it is no webm, Ogg, MP3 or other file that is known")
                    continue
                self._number += 1
                self._broken = False
                if self._process is None:
                    await self._start()
                await self._send(message(BEGIN, self._number, part.container.encode()))
            if part.data and not self._broken:
                await self._send(message(DATA, self._number, part.data))

    async def _start(self) -> None:
        starting = asyncio.create_subprocess_exec(
            sys.executable,
            *_PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(),
        )
        self._process = process = await all_or_nothing(starting, _end)
        if process.stdin is not None:
            process.stdin.transport.set_write_buffer_limits(_WAITING)
        self._tasks.spawn(self._listen(process), "listen")

    async def _send(self, data: bytes) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            # Its end is told by ``_listen``.
            with contextlib.suppress(ConnectionError):
                process.stdin.write(data)
                await process.stdin.drain()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Take what the program tells, until it ends."""
        out = process.stdout
        if out is None:
            return
        try:
            while True:
                letter, number, size = HEAD.unpack(await out.readexactly(HEAD.size))
                data = await out.readexactly(size)
                if letter == SAMPLES:
                    await self._heard(data)
                elif letter == MARK:
                    self._marked()
                elif letter == FAULT and number == self._number:
                    self._fail(data.decode(errors="replace")[:_TOLD])
        except asyncio.IncompleteReadError:
            await process.wait()
            if self._process is process:
                self._process = None
                _log.warning("the decoder of a sound ended with status %s", process.returncode)
                self._fail("its decoder failed")
                self._marked(all_of_them=True)

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _end(process)
            await self._tasks.cancel()
        self._marked(all_of_them=True)

    def _marked(self, *, all_of_them: bool = False) -> None:
        while self._marks:
            mark = self._marks.popleft()
            if not mark.done():
                mark.set_result(None)
            if not all_of_them:
                return

    def _fail(self, why: str) -> None:
        """Tell that the recording is at fault, unless that was told."""
        if not self._broken:
            self._broken = True
            self._recordings.stop()
            fault = f"The sound cannot be decoded: {why}. Begin a new recording."
            self._failed(BadRequest(fault, param="audio"))


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
