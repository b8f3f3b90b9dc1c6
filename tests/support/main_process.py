"""Runs of ``main.py``, each a process of its own.

To import the gateway takes half a second of computing, and hundreds of tests start one. So on Linux
a run is forked from a process that has imported it before (``fork_server.py``); from there on it is
what ``python main.py`` is. A ``fresh`` run is started by Python itself.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fork_server import STATUS
from paths import ROOT
from raw_client import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

MAIN = str(ROOT / "main.py")
_FORKS = sys.platform == "linux" and hasattr(os, "pidfd_open")


class Forked:
    """A run that was forked; it has what tests use of ``asyncio.subprocess.Process``."""

    def __init__(self, pipe: int) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self._pipe = pipe
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._told)

    async def started(self) -> Forked:
        """Wait until it has its pid."""
        await self._started.wait()
        return self

    async def wait(self) -> int:
        """Wait for its end; return its status, or the negative number of its signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _told(self) -> None:
        data = os.read(self._pipe, STATUS.size)
        if data and not self.pid:
            (self.pid,) = STATUS.unpack(data)
            self._started.set()
            return
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        # Without a status, the server was ended.
        self.returncode = os.waitstatus_to_exitcode(*STATUS.unpack(data)) if data else -1
        self._started.set()
        self._ended.set()


class Run:
    """A run that was forked; it has what tests without a loop use of ``subprocess.Popen[str]``."""

    def __init__(self, pipe: int, stderr: IO[str]) -> None:
        self.stderr = stderr
        self.returncode: int | None = None
        self._pipe = pipe
        (self.pid,) = STATUS.unpack(os.read(pipe, STATUS.size))

    def poll(self) -> int | None:
        """Return its status if it has ended, or the negative number of its signal."""
        return self._ended(0)

    def wait(self, timeout: float) -> int:
        """Wait for its end as ``poll`` tells it; it does not end in time → TimeoutExpired."""
        if (status := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired("main.py", timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._pipe], [], [], timeout)[0]:
            data = os.read(self._pipe, STATUS.size)
            os.close(self._pipe)
            # Without a status, the server was ended.
            self.returncode = os.waitstatus_to_exitcode(*STATUS.unpack(data)) if data else -1
        return self.returncode


Process = asyncio.subprocess.Process | Forked


@cache
def fork_server() -> socket.socket:
    """Return the socket of this process's fork server, which is started by the first call."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = str(ROOT / "tests" / "support" / "fork_server.py")
    server = subprocess.Popen(
        [sys.executable, program], stdin=theirs.fileno(), stdout=subprocess.DEVNULL, cwd=ROOT
    )
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def import_ahead(*modules: str) -> None:
    """Let the fork server import what a test's gateways need beside the usual modules."""
    if _FORKS:
        fork_server().send(json.dumps(modules).encode())


async def start(
    *args: str,
    stdout: IO[bytes],
    stderr: IO[bytes],
    descriptors: int | None = None,
    terminal: int | None = None,
) -> Process:
    """Start ``main.py`` with these arguments.

    ``descriptors`` is its limit of them, ``terminal`` a file descriptor of its own terminal. The
    latter needs Linux.
    """
    if _FORKS:
        files = [stdout.fileno(), stderr.fileno()]
        pipe = _forked(args, files, descriptors=descriptors, terminal=terminal)
        return await Forked(pipe).started()
    assert terminal is None
    words: Sequence[str] = [sys.executable, MAIN, *args]
    if descriptors is not None:
        words = ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *words]
    return await asyncio.create_subprocess_exec(*words, stdout=stdout, stderr=stderr)


def run(*args: str) -> Run | subprocess.Popen[str]:
    """Start ``main.py`` with these arguments; its stderr can be read as text."""
    if not _FORKS:
        words = [sys.executable, MAIN, *args]
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, errors="replace")
    log, writing = os.pipe()
    try:
        told = _forked(args, [writing, writing])
    finally:
        os.close(writing)
    return Run(told, os.fdopen(log, errors="replace"))


def _forked(
    args: tuple[str, ...],
    output: list[int],
    *,
    descriptors: int | None = None,
    terminal: int | None = None,
) -> int:
    """Ask the fork server for a run; return the pipe that tells its pid, and then its status."""
    request: dict[str, Any] = {"args": args, "env": dict(os.environ), "folder": str(Path.cwd())}
    request["descriptors"] = descriptors
    control = fork_server()
    told, telling = os.pipe()
    files = [*output, telling] if terminal is None else [*output, telling, terminal]
    try:
        socket.send_fds(control, [json.dumps(request).encode()], files)
    finally:
        os.close(telling)
    return told


async def told(*args: str) -> tuple[int, str, str]:
    """Run ``main.py`` to its end; return its exit status, stdout and stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await start(*args, stdout=out, stderr=err)
        try:
            async with asyncio.timeout(PATIENCE):
                status = await process.wait()
        finally:
            if process.returncode is None:  # it would outlive the test
                process.kill()
                await process.wait()
        out.seek(0)
        err.seek(0)
        return status, out.read().decode(), err.read().decode()
