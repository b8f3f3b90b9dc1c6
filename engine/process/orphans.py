"""Find and end the engines that a killed gateway has left, at the next start.

Each gateway has a file in ``state_dir``, named by its pid and start time, with the engines that it
has started. The file of a running gateway is never touched. An engine is ended only if its pid,
start time and command line are the recorded ones, so a reused pid is safe. The rest of its process
group is ended too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import orjson
import psutil

from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = get_logger("orphans")
_CLOCK_SLACK = 0.05


# Set in each engine's environment, so all its descendants inherit it.
OWNER_VARIABLE = "LLM_GATEWAY_OWNER"


@dataclass(frozen=True, slots=True)
class Identity:
    """Distinguishes a process from a later one with the same pid.

    ``argv`` is the end of its command line: scripts and ``setpriv`` exec the real engine, and
    change only the front.
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
            return cls(pid, process.create_time(), tuple(process.cmdline()))
        except psutil.Error:
            return None

    def is_alive(self, owner: str = "") -> bool:
        """Return whether this process still runs; ``owner``'s mark may replace the arguments."""
        now = Identity.of(self.pid)
        if now is None or abs(self.started - now.started) >= _CLOCK_SLACK:
            return False
        if now.argv[len(now.argv) - len(self.argv) :] == self.argv:
            return True
        # A wrapper may have changed the end of the command line as well.
        return bool(owner) and _mark(psutil.Process(self.pid)) == owner


class OrphanRegistry:
    """The file of this gateway, and the clean-up of the files of others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: dict[int, Identity] = {}
        me = Identity.of(os.getpid())
        self._me = me or Identity(os.getpid(), 0.0, ())
        self.owner = f"{self._me.pid}-{self._me.started:.2f}"
        self._file = folder / f"engines-{self.owner}.json"

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
            try:
                record = orjson.loads(file.read_bytes())
                owner = _identity(record["gateway"])
                engines = [_identity(entry) for entry in record["engines"]]
            except FileNotFoundError:
                continue  # its gateway has just ended properly
            except (OSError, ValueError, KeyError, TypeError):
                _log.warning("dropped the unreadable file %s", file)
                file.unlink(missing_ok=True)
                continue
            if owner.is_alive():
                continue
            tag = file.stem.removeprefix("engines-")
            killed += sum(_kill(engine, tag) for engine in engines)
            file.unlink(missing_ok=True)
        return killed

    def _files(self) -> Iterator[Path]:
        return (file for file in self._folder.glob("engines-*.json") if file != self._file)

    def _save(self) -> None:
        try:
            if not self._engines:
                self._file.unlink(missing_ok=True)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            record = {
                "gateway": asdict(self._me),
                "engines": [asdict(engine) for engine in self._engines.values()],
            }
            part = self._file.with_suffix(".part")
            # Command lines may hold keys, and outlive their engine here.
            opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(orjson.dumps(record))
            part.replace(self._file)
        except OSError as error:
            _log.warning("state_dir %s cannot be written: %s", self._folder, error)


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
    # A leader that nobody has reaped yet, as in containers without an init, is gone all the same.
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
