"""engine/process/start.py: a process is started and reaped both ways, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
from gateway import open_files
from raw_client import PATIENCE

from engine.process import start as module
from engine.process.start import start

if TYPE_CHECKING:
    from engine.process.start import Process

NOTHING = asyncio.subprocess.DEVNULL
pytestmark = pytest.mark.timeout(PATIENCE)


@pytest.fixture(params=["usual", "without pidfds"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the usual way of this system, or that of a system without pidfds."""
    if request.param != "usual":
        monkeypatch.setattr(module, "_has_pidfds", lambda: False)
    return str(request.param)


async def ended(process: Process) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def shell(command: str, stdin: int = NOTHING) -> Process:
    env = {"PATH": os.environ["PATH"]}
    return await start(("sh", "-c", command), env, stdin=stdin, output=NOTHING, end=ended)


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("exit 3", 3), ("kill -9 $$", -signal.SIGKILL)]
)
@pytest.mark.usefixtures("way")
async def test_the_status_is_told_to_each_who_waits(command: str, status: int) -> None:
    process = await shell(command)
    first, second = await asyncio.gather(process.wait(), process.wait())
    assert (first, second, await process.wait()) == (status, status, status)
    assert not psutil.pid_exists(process.pid)


@pytest.mark.usefixtures("way")
async def test_who_waits_no_longer_changes_nothing() -> None:
    process = await shell("read line; exit 4", asyncio.subprocess.PIPE)
    waiting = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 4


@pytest.mark.usefixtures("way")
async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await start(("/no/such/program",), {}, stdin=NOTHING, output=NOTHING, end=ended)


async def test_without_a_descriptor_for_it_the_process_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not module._has_pidfds():
        return
    asked: list[int] = []

    def none_left(pid: int) -> int:
        asked.append(pid)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    before = open_files()
    with pytest.raises(OSError, match="Too many open files"):
        await shell("sleep 60", asyncio.subprocess.PIPE)
    assert not psutil.pid_exists(*asked)
    assert open_files() == before


async def test_a_start_that_is_cancelled_leaves_no_process(way: str) -> None:
    """By the usual way it takes one turn of the loop; without pidfds, more."""
    ends: list[int] = []

    async def end(process: Process) -> None:
        ends.append(process.pid)
        await ended(process)

    command = "sleep", "60"
    starting = asyncio.create_task(
        start(command, dict(os.environ), stdin=NOTHING, output=NOTHING, end=end)
    )
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    if starting.cancelled():
        assert way != "usual"
    else:
        await ended(starting.result())
        ends.append(starting.result().pid)
    assert not psutil.pid_exists(*ends)
