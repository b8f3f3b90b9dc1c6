"""Starting a child in its own process group, reading what it prints, signalling the group.

A child that outlives its parent would hold the GPU's memory with nobody to ask for it
back. On Linux ``setpriv`` makes the kernel end it with the gateway, between fork and exec
and so without Python code in a forked process. A gateway that died before that promise was
made would never keep it, so the shell looks for its parent once more before it becomes the
engine. ``engine/process/orphans.py`` covers the rest.
The kernel ties that promise to the thread that spawned, so spawning is done on the loop's
own thread, which must be the main one.
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

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.base import Launch

_WINDOWS = sys.platform == "win32"
_IF_PARENT_LIVES = '[ "$PPID" = "$0" ] && exec "$@"'


class Child:
    """A running process, leader of its own group."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
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
        """The process id, which is the group's id too."""
        return self._process.pid

    async def wait(self) -> int:
        """The child is reaped; its exit status, negative for a signal."""
        return await self._process.wait()

    def terminate(self) -> None:
        """The stop signal to the whole group, and the end of its input; nothing once it is gone."""
        self._end_input()
        self._signal(self._stop_signal)

    def kill(self) -> None:
        """SIGKILL to the whole group, also what is left of it after the leader's death."""
        self._signal(signal.SIGTERM if _WINDOWS else signal.SIGKILL)

    def group_lives(self) -> bool:
        """Whether any process of the group is left, the leader aside once it is reaped."""
        if _WINDOWS:
            return False
        try:
            os.killpg(self._process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    async def lines(self) -> AsyncIterator[str]:
        """Each line of stdout and stderr, in the order written, until both are closed."""
        splitter = LineSplitter()
        data = b"-"
        while data:
            data = await self._output.read(65536)
            for line in splitter.feed(data):
                yield line

    def close(self) -> None:
        """The pipes are closed, even when a grandchild still holds their other ends."""
        self._close()
        self._end_input()

    def _end_input(self) -> None:
        # An engine that reads commands there does not end before it.
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if _WINDOWS:
                _end_tree(self._process.pid)
            else:
                os.killpg(self._process.pid, number)


def _end_tree(pid: int) -> None:
    """The process and all that it started are ended; Windows has neither groups nor signals."""
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (*top.children(recursive=True), top):
            with contextlib.suppress(psutil.Error):
                process.kill()


async def spawn(launch: Launch) -> Child:
    """The engine's process runs. OSError when it cannot be started; nothing is left behind."""
    if _WINDOWS:
        return await _spawn_on_windows(launch)
    argv = (*_dies_with_parent(), *launch.argv)
    # A pipe of our own: asyncio's would make wait() depend on grandchildren closing it.
    reading, writing = os.pipe()
    pipe = os.fdopen(reading, "rb", 0)
    output = asyncio.StreamReader(limit=1 << 20)
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), pipe
        )
    except BaseException:
        os.close(writing)
        with contextlib.suppress(OSError):  # uvloop has closed what lies beneath
            pipe.close()
        raise
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=_input(launch),
            stdout=writing,
            stderr=writing,
            env=dict(launch.env),
            start_new_session=True,
        )
    except BaseException:
        transport.close()
        raise
    finally:
        os.close(writing)
    return Child(process, output, transport.close, launch.stop_signal)


@functools.cache
def _dies_with_parent() -> tuple[str, ...]:
    """The command line's front that ties the child to us; () where the system has none."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return ()
    tie = (setpriv, "--pdeathsig", "KILL", "--")
    front = (*tie, "/bin/sh", "-c", _IF_PARENT_LIVES, str(os.getpid()))
    # Those of busybox and of old util-linux do not know the flag.
    tried = subprocess.run((*front, "true"), capture_output=True, check=False)  # noqa: S603 - our own words
    return front if tried.returncode == 0 else ()


def _input(launch: Launch) -> int:
    # An engine that reads it may end with it: it stays open as long as the engine lives.
    return asyncio.subprocess.PIPE if launch.reads_input else asyncio.subprocess.DEVNULL


async def _spawn_on_windows(launch: Launch) -> Child:
    # Proactor pipes must be made by asyncio itself.
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
