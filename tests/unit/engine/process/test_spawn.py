"""engine/process/spawn.py: an engine's input, and what ties it to the gateway."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from raw_client import PATIENCE

from engine.base import Launch
from engine.process.spawn import _dies_with_parent, spawn

if TYPE_CHECKING:
    from pathlib import Path

# Deaf to the signal, it ends with its input and says so.
DEAF = "trap '' TERM; echo started; cat > /dev/null; echo over"


@pytest.mark.timeout(PATIENCE)
async def test_it_stays_open_until_the_engine_is_to_end() -> None:
    argv = "sh", "-c", DEAF
    child = await spawn(Launch("m@1", argv, os.environ, "http://127.0.0.1:1", reads_input=True))
    lines = child.lines()
    try:
        assert await anext(lines) == "started"
        child.terminate()
        assert [line async for line in lines] == ["over"]
        assert await child.wait() == 0
    finally:
        child.kill()
        child.close()


@pytest.mark.timeout(PATIENCE)
async def test_other_engines_have_none() -> None:
    child = await spawn(Launch("m@1", ("sh", "-c", DEAF), os.environ, "http://127.0.0.1:1"))
    try:
        assert [line async for line in child.lines()] == ["started", "over"]
        assert await child.wait() == 0
    finally:
        child.kill()
        child.close()


def test_an_engine_whose_gateway_died_before_it_was_tied_to_it_never_runs(tmp_path: Path) -> None:
    front, ran = _dies_with_parent(), tmp_path / "ran"
    if not front:  # the orphans' registry alone covers this system
        assert sys.platform != "linux" or shutil.which("setpriv") is None
        return
    engine = (*front, "touch", str(ran))
    # Somebody else stands where the gateway stood: that is what an orphan sees.
    other = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *engine]
    subprocess.run(other, check=True)
    assert not ran.exists()
    subprocess.run(engine, check=True)
    assert ran.exists()


class Watched(io.FileIO):
    """A file that records whether it closes a descriptor twice."""

    twice = 0

    def close(self) -> None:
        if not self.closed and self.closefd:
            try:
                os.fstat(self.fileno())
            except OSError:
                Watched.twice += 1
        super().close()


@pytest.mark.parametrize("leaves", [False, True])
async def test_no_descriptor_is_closed_twice(leaves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another thread may have the number by then."""
    monkeypatch.setattr(Watched, "twice", 0)
    opened: list[int] = []

    def fdopen(number: int, mode: str, _: int, *, closefd: bool = True) -> Watched:
        opened.append(number)
        return Watched(number, mode, closefd)

    monkeypatch.setattr(os, "fdopen", fdopen)
    spawning = asyncio.create_task(
        spawn(Launch("m@1", ("true",), os.environ, "http://127.0.0.1:1"))
    )
    if leaves:
        await asyncio.sleep(0)
        spawning.cancel()
        await asyncio.wait([spawning])
    else:
        child = await spawning
        await child.wait()
        child.close()
    await asyncio.sleep(0)
    assert Watched.twice == 0
    [number] = opened
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
