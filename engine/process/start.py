"""Start a process without a copy of this one's memory.

uvloop forks: the kernel copies the page tables of the whole gateway, and each page that the gateway
writes to afterwards. ``subprocess`` shares the memory until the new program runs (``vfork``), which
takes the same time however large the gateway is. On Linux it is used here, with a ``pidfd`` that
tells the event loop of the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

from utils.tasks import all_or_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence


class _Closes(Protocol):
    def close(self) -> None: ...


class Process(Protocol):
    """What engines need of ``asyncio.subprocess.Process``."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def stdin(self) -> _Closes | None:
        """The open end of its input, if that is a pipe."""

    async def wait(self) -> int:
        """Wait for the end; return the exit status, negative for a signal."""


class _Shared:
    """A process that ``subprocess`` started, and the pidfd of it, which this object closes."""

    def __init__(self, process: subprocess.Popen[bytes], pidfd: int) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.stdin = process.stdin
        self._process = process
        self._pidfd = pidfd
        self._status: asyncio.Future[int] = loop.create_future()
        loop.add_reader(pidfd, self._reap)

    async def wait(self) -> int:
        return await asyncio.shield(self._status)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self._process.wait()  # it has ended
        if not self._status.done():
            self._status.set_result(status)


async def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: int,
    output: int,
    end: Callable[[Process], Coroutine[None, None, None]],
) -> Process:
    """Start a process that leads a session of its own and writes stdout and stderr to ``output``.

    Raises OSError if that fails. If this is cancelled, the process is ended by ``end`` first.
    """
    if _has_pidfds():
        return _started(argv, env, stdin, output)
    starting = asyncio.create_subprocess_exec(
        *argv, stdin=stdin, stdout=output, stderr=output, env=env, start_new_session=True
    )
    # A loop that is cancelled while it starts a process kills that alone, not its children.
    return await all_or_nothing(starting, end)


@functools.cache
def _has_pidfds() -> bool:
    """Return whether the system has them: old kernels and some sandboxes have not."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _started(argv: Sequence[str], env: Mapping[str, str], stdin: int, output: int) -> _Shared:
    process = subprocess.Popen(  # noqa: S603 - the configuration names it
        argv, stdin=stdin, stdout=output, stderr=output, env=env, start_new_session=True
    )
    try:
        return _Shared(process, os.pidfd_open(process.pid))
    except BaseException:  # no descriptor is left for it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        raise
