"""orphans.py: which engines are ended at the start of a gateway, and which are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import psutil
import pytest
from raw_client import PATIENCE

from engine.process.orphans import OWNER_VARIABLE, Identity, OrphanRegistry
from utils.file_lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARGS = ("-c", "import time; print('here', flush=True); time.sleep(60)")


@pytest.fixture
def engine() -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, OWNER_VARIABLE: "somebody"}
    with subprocess.Popen(
        [sys.executable, *ARGS], start_new_session=True, env=env, stdout=subprocess.PIPE
    ) as process:
        # For a moment after its start a process shows neither arguments nor environment.
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        yield process
        process.kill()


def recorded(folder: Path, engine: subprocess.Popen[bytes]) -> OrphanRegistry:
    registry = OrphanRegistry(folder)
    registry.add(engine.pid, ARGS)
    return registry


def abandon(registry: OrphanRegistry) -> None:
    """The gateway has ended, and did not delete its record."""
    record = next(registry._folder.glob("*.json"))
    content = record.read_bytes()
    registry._lock.release()
    record.write_bytes(content)


def set_clock(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Set the wall clock, so that all processes seem to have started at another time."""
    before = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: before(self) + by)


def test_what_a_living_gateway_started_is_left_alone(
    tmp_path: Path, engine: subprocess.Popen[bytes]
) -> None:
    registry = recorded(tmp_path, engine)
    assert OrphanRegistry(tmp_path).sweep() == 0
    assert engine.poll() is None
    registry.remove(engine.pid)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_also_after_the_clock_was_set(
    tmp_path: Path,
    engine: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    by: float,
) -> None:
    registry = OrphanRegistry(tmp_path)
    set_clock(monkeypatch, by)
    registry.add(engine.pid, ARGS)
    assert OrphanRegistry(tmp_path).sweep() == 0
    assert engine.poll() is None


@pytest.mark.parametrize("by", [0.0, 3600.0])
def test_what_a_dead_gateway_started_is_ended(
    tmp_path: Path,
    engine: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    by: float,
) -> None:
    abandon(recorded(tmp_path, engine))
    if sys.platform == "linux":
        set_clock(monkeypatch, by)
    assert OrphanRegistry(tmp_path).sweep() == 1
    assert engine.wait(PATIENCE) < 0
    assert not list(tmp_path.iterdir())


def test_a_process_that_got_the_number_later_is_left_alone(
    tmp_path: Path, engine: subprocess.Popen[bytes]
) -> None:
    abandon(recorded(tmp_path, engine))
    [file] = tmp_path.glob("*.json")
    record = orjson.loads(file.read_bytes())
    record["engines"][0]["started"] -= 1.0
    file.write_bytes(orjson.dumps(record))
    assert OrphanRegistry(tmp_path).sweep() == 0
    assert engine.poll() is None


def test_the_mark_stands_in_for_a_changed_command_line(engine: subprocess.Popen[bytes]) -> None:
    found = Identity.of(engine.pid)
    assert found is not None
    other = Identity(engine.pid, found.started, ("--other",))
    assert other.is_alive("somebody")
    assert not other.is_alive("nobody")


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.acquire()
    assert one.acquire()
    assert not other.acquire()
    one.release()
    one.release()
    assert not (tmp_path / "lock").exists()
    assert other.acquire()
    other.release()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    script = (
        "import sys, pathlib; from utils.file_lock import FileLock;"
        "lock = FileLock(pathlib.Path(sys.argv[1])); print(lock.acquire(), flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert not lock.acquire()
        holder.kill()
    assert lock.acquire()
    lock.release()
