"""Find and end the engines that a killed gateway has left, at the next start.

Each gateway has a file in ``state_dir`` with the engines that it has started, and a locked file
beside it. The system gives up the lock when the process ends, however it ends. A record whose lock
is held is never touched. An engine is ended only if its pid and start time are the recorded ones,
and its command line or the mark in its environment too, so a reused pid is safe. The rest of its
process group is ended too. No time of day is compared, because clocks are set.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import psutil

from utils.file_lock import FileLock
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = get_logger("orphans")

# Set in each engine's environment, so all its descendants inherit it.
OWNER_VARIABLE = "LLM_GATEWAY_OWNER"
_RECORD, _LOCK = ".json", ".lock"
# In /proc/<pid>/stat, counted after the command's name: field 22 of all.
_STARTTIME = 19


@dataclass(frozen=True, slots=True)
class Identity:
    """Distinguishes a process from a later one with the same pid.

    ``started`` counts from the start of the system where that is known. ``argv`` is the end of its
    command line: scripts and ``setpriv`` exec the real engine, and change only the front.
    """

    pid: int
    started: float
    argv: tuple[str, ...]

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a running process, or None."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, _started(process), tuple(process.cmdline()))
        except (psutil.Error, OSError):
            return None

    def is_alive(self, owner: str) -> bool:
        """Return whether this process still runs; ``owner``'s mark may replace the arguments."""
        now = Identity.of(self.pid)
        if now is None or self.started != now.started:
            return False
        if now.argv[len(now.argv) - len(self.argv) :] == self.argv:
            return True
        return _mark(psutil.Process(self.pid)) == owner


def _started(process: psutil.Process) -> float:
    """Return when the process started, in a measure that no setting of the clock changes."""
    if sys.platform != "linux":
        return process.create_time()
    # Ticks since the system's start; psutil adds that start, which moves with the clock. What
    # stands before is the command's name, in which there may be spaces and brackets.
    text = Path(f"/proc/{process.pid}/stat").read_text(errors="replace")
    return float(text.rpartition(")")[2].split()[_STARTTIME])


class OrphanRegistry:
    """The file of this gateway, and the clean-up of the files of others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: dict[int, Identity] = {}
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file = folder / f"engines-{self.owner}{_RECORD}"
        self._lock = FileLock(self._file.with_suffix(_LOCK))

    def add(self, pid: int, args: tuple[str, ...]) -> None:
        """Record the engine. A write error is logged and not raised."""
        if (identity := Identity.of(pid)) is not None:
            self._engines[pid] = replace(identity, argv=args)
            self._save()

    def remove(self, pid: int) -> None:
        """Remove the record of the engine, which is reaped."""
        if self._engines.pop(pid, None) is not None:
            self._save()

    def sweep(self) -> int:
        """Kill the engines of dead gateways and remove their files; return how many were killed."""
        killed = 0
        for file in self._files():
            lock = FileLock(file.with_suffix(_LOCK))
            try:
                if not lock.acquire():
                    continue
            except OSError as error:
                _log.warning("left %s alone: it cannot be locked: %s", file, error)
                continue
            try:
                killed += _sweep(file)
            finally:
                lock.release()
        return killed

    def _files(self) -> Iterator[Path]:
        return (f for f in self._folder.glob(f"engines-*{_RECORD}") if f != self._file)

    def _save(self) -> None:
        try:
            if not self._engines:
                self._file.unlink(missing_ok=True)
                self._lock.release()
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            # Before there is a record that another gateway could find without its lock.
            self._lock.acquire()
            record = {"engines": [asdict(engine) for engine in self._engines.values()]}
            part = self._file.with_suffix(".part")
            # Command lines may hold keys, and outlive their engine here.
            opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(orjson.dumps(record))
            part.replace(self._file)
        except OSError as error:
            _log.warning("state_dir %s cannot be written: %s", self._folder, error)


def _sweep(file: Path) -> int:
    """Kill the engines in the record of a dead gateway and remove it; return how many."""
    try:
        record = orjson.loads(file.read_bytes())
        engines = [_identity(entry) for entry in record["engines"]]
    except FileNotFoundError:
        return 0  # its gateway has just ended properly
    except (OSError, ValueError, KeyError, TypeError):
        _log.warning("dropped the unreadable file %s", file)
        file.unlink(missing_ok=True)
        return 0
    tag = file.stem.removeprefix("engines-")
    killed = sum(_kill(engine, tag) for engine in engines)
    file.unlink(missing_ok=True)
    return killed


def _identity(entry: dict[str, object]) -> Identity:
    pid, started, argv = entry["pid"], entry["started"], entry["argv"]
    if not (isinstance(pid, int) and isinstance(started, float) and isinstance(argv, list)):
        raise TypeError("not an identity")
    return Identity(pid, started, tuple(map(str, argv)))


def _kill(engine: Identity, owner: str) -> bool:
    """Kill the engine's group if its leader, or a process that it left, is certainly ours."""
    if not engine.is_alive(owner) and not _left_by(engine.pid, owner):
        return False
    _log.warning("ending engine %d that a killed gateway left behind", engine.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
        if sys.platform == "win32":
            psutil.Process(engine.pid).kill()
        else:
            os.killpg(engine.pid, signal.SIGKILL)
    return True


def _left_by(group: int, owner: str) -> bool:
    """Return whether a process group without a leader still has a process with our mark."""
    # A leader that is not reaped yet, as in containers without an init, counts as ended.
    if sys.platform == "win32" or Identity.of(group) is not None:
        return False
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and _mark(process) == owner:
                return True
    return False


def _mark(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(OWNER_VARIABLE)
    return None
