"""Start a child in its own process group, read its output, and signal the group.

A child that outlives the gateway would keep the GPU's memory, with no process to free it. On Linux
``setpriv`` makes the kernel end the child with the gateway; it does so between fork and exec,
without Python code in a forked process. If the gateway dies before that, the kernel does nothing,
so the shell checks its parent once more before it becomes the engine. ``orphans.py`` covers the
other cases. The kernel binds this to the thread that spawned the child. So spawn on the thread of
the event loop, which must be the main thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from engine.process.log_tail import LineSplitter
from engine.process.start import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.base import Launch
    from engine.process.start import Process

_WINDOWS = sys.platform == "win32"
_IF_PARENT_LIVES = '[ "$PPID" = "$0" ] && exec "$@"'


class Child:
    """A running process, leader of its own group."""

    def __init__(
        self,
        process: Process,
        output: asyncio.StreamReader,
        close: Callable[[], None],
        stop_signal: str = "SIGTERM",
    ) -> None:
        self._process = process
        # Windows knows few by their names, and none of them asks.
        self._stop_signal = getattr(signal, stop_signal, signal.SIGTERM)
        self._output = output
        self._close = close

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the group."""
        return self._process.pid

    async def wait(self) -> int:
        """Reap the child; return its exit status, negative for a signal."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Send the stop signal to the group and close the input; nothing after the end."""
        self._end_input()
        self._signal(self._stop_signal)

    def kill(self) -> None:
        """Send SIGKILL to the whole group, even after the leader's end."""
        self._signal(signal.SIGTERM if _WINDOWS else signal.SIGKILL)

    def group_lives(self) -> bool:
        """Return whether a process of the group is left, besides a reaped leader."""
        if _WINDOWS:
            return False
        try:
            os.killpg(self._process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    async def lines(self) -> AsyncIterator[str]:
        """Yield each line of stdout and stderr, in the order written, until both are closed."""
        splitter = LineSplitter()
        data = b"-"
        while data:
            data = await self._output.read(65536)
            for line in splitter.feed(data):
                yield line

    def close(self) -> None:
        """Close the pipes, even if a grandchild still has their other ends."""
        self._close()
        self._end_input()

    def _end_input(self) -> None:
        # An engine that reads commands from its input ends only after it.
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if _WINDOWS:
                _end_tree(self._process.pid)
            else:
                os.killpg(self._process.pid, number)


def _end_tree(pid: int) -> None:
    """End the process and its descendants; Windows has neither groups nor signals."""
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (*top.children(recursive=True), top):
            with contextlib.suppress(psutil.Error):
                process.kill()


async def spawn(launch: Launch) -> Child:
    """Start the engine's process. Raises OSError if that fails; then nothing is left behind."""
    if _WINDOWS:
        return await _spawn_on_windows(launch)
    argv = (*_dies_with_parent(), *launch.argv)
    # A pipe of our own: asyncio's would make wait() depend on grandchildren closing it.
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    # uvloop closes the descriptor and then the file: in between, another thread may be given the
    # same number, and would lose its file. So the file must not close it a second time.
    pipe = os.fdopen(reading, "rb", 0, closefd=not type(loop).__module__.startswith("uvloop"))
    output = asyncio.StreamReader(limit=1 << 20)
    try:
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), pipe
        )
    except BaseException:
        os.close(writing)
        pipe.close()
        raise
    try:
        process = await start(
            argv, dict(launch.env), stdin=_input(launch), output=writing, end=_end
        )
    except BaseException:
        transport.close()
        raise
    finally:
        os.close(writing)
    return Child(process, output, transport.close, launch.stop_signal)


@functools.cache
def _dies_with_parent() -> tuple[str, ...]:
    """Return the prefix that binds a child to this process; () if the system has none."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return ()
    tie = (setpriv, "--pdeathsig", "KILL", "--")
    front = (*tie, "/bin/sh", "-c", _IF_PARENT_LIVES, str(os.getpid()))
    # Those of busybox and of old util-linux do not know the flag.
    tried = subprocess.run((*front, "true"), capture_output=True, check=False)  # noqa: S603 - our own words
    return front if tried.returncode == 0 else ()


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _input(launch: Launch) -> int:
    # An engine that reads its input may end with it, so it stays open as long as the engine runs.
    return asyncio.subprocess.PIPE if launch.reads_input else asyncio.subprocess.DEVNULL


async def _spawn_on_windows(launch: Launch) -> Child:
    # Only asyncio itself can make Proactor pipes.
    process = await asyncio.create_subprocess_exec(
        *launch.argv,
        stdin=_input(launch),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(launch.env),
    )
    if process.stdout is None:
        raise OSError("the engine's output could not be read")
    return Child(process, process.stdout, lambda: None)
