"""Saved states on disk: found at the start, limited in bytes, removed if damaged.

A state is two files in the store's folder: the file that the engine wrote, and its metadata. The
metadata are written last, under a temporary name, and then renamed. So a crash leaves either whole
states or incomplete files, which the next start removes. Only the owner can read the files, because
they contain conversations, as the engine sees them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import psutil
import xxhash

from engine.llamacpp.prompt_cache.index import SavedState, StateIndex
from engine.llamacpp.prompt_cache.prefix import Mark
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log = get_logger("prompt_cache")
_FORMAT = 1
_BLOCK = 4 * 1024 * 1024
_STATE, _KNOWN, _PART = ".state", ".json", ".part"
# Bytes of the disk that states leave free, even within the budget.
_LEFT_FREE = 1024 * 1024 * 1024


class StateStore:
    """The folder of saved states, and its index.

    The methods use the disk; several threads may call them at once. Other gateways may use the
    folder too: each knows the states that were there at its start, and its own.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        self.folder = folder
        self._budget = budget
        self.index = StateIndex()
        # A thread goes on even if its caller stops waiting.
        self._changing = threading.RLock()

    def open(self) -> None:
        """Index the whole states and remove incomplete files; OSError without a usable folder."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        told = map(_read, sorted(self.folder.glob(f"*{_KNOWN}")))
        states = [state for state in told if state is not None]
        self.index = StateIndex(states)
        whole = {state.name for state in states}
        for path in self._files():
            if path.stem not in whole and not _owner_lives(path.name):
                _log.info("the incomplete state %s is removed", path.name)
                path.unlink(missing_ok=True)
        self._shrink(self._budget)

    def part(self) -> str:
        """Return a new file name, without the folder, for an engine to write a state to."""
        return f"{os.getpid()}-{secrets.token_hex(8)}{_PART}"

    def has_room(self, fingerprint: str) -> bool:
        """Return whether another state of this kind fits; remove older ones if needed.

        The size of a state is not known before it is written; the largest of its kind is the
        estimate.
        """
        with self._changing:
            alike = [s.size for s in self.index.states if s.fingerprint == fingerprint]
            size = max(alike, default=0)
            self._shrink(self._budget - size)
            while self._free() < size + _LEFT_FREE and len(self.index):
                self.drop(self.index.states[0])
            return self._free() >= size + _LEFT_FREE

    def keep(
        self, part: str, model: str, fingerprint: str, marks: Sequence[Mark], tokens: int
    ) -> SavedState:
        """Keep the file that an engine wrote as ``part``, and return it as a state.

        Raises OSError if that is not possible, for example if the file is larger than the budget;
        then nothing of it is left.
        """
        written = self.folder / part
        if written.stat().st_size > self._budget:
            raise OSError("it is larger than state_budget")
        written.chmod(0o600)
        state = SavedState(
            name=part.removesuffix(_PART),
            model=model,
            fingerprint=fingerprint,
            marks=tuple(marks),
            tokens=tokens,
            size=written.stat().st_size,
            used_at=time.time(),
            checksum=_checksum(written),
        )
        with self._changing:
            try:
                written.replace(self.path(state))
                self._note(state)
            except OSError:
                self._remove(state.name)
                raise
            for gone in self.index.add(state):
                self._remove(gone.name)
            self._shrink(self._budget)
        return state

    def path(self, state: SavedState) -> Path:
        """Return the path of the file that the engine reads."""
        return self.folder / f"{state.name}{_STATE}"

    def is_whole(self, state: SavedState) -> bool:
        """Return whether the file is the one that was saved. This reads the whole file."""
        try:
            path = self.path(state)
            return path.stat().st_size == state.size and _checksum(path) == state.checksum
        except OSError:
            return False

    def used(self, state: SavedState) -> None:
        """Note that the state has just helped: it becomes the most recently used one."""
        renewed = replace(state, used_at=time.time())
        with self._changing, contextlib.suppress(OSError):
            if self.path(state).exists():
                self.index.renew(renewed)
                self._note(renewed)
            else:
                # Another process has removed it.
                self.index.drop(state.name)

    def drop(self, state: SavedState) -> None:
        """Remove the state. Raises OSError if its files stay; no engine gets them any more."""
        with self._changing:
            self.index.drop(state.name)
            self._remove(state.name)

    def drop_kind(self, fingerprint: str) -> None:
        """Remove all states of this kind. Raises OSError if files stay, as ``drop`` does."""
        for state in self.index.states:
            if state.fingerprint == fingerprint:
                self.drop(state)

    def discard(self, part: str) -> None:
        """Remove a file that an engine may have begun to write, if that is possible."""
        with contextlib.suppress(OSError):
            (self.folder / part).unlink(missing_ok=True)

    def forget(self) -> tuple[int, int]:
        """Remove every state, also of running gateways; return their number and their bytes.

        This includes the files that engines are just writing. Raises OSError if a file stays.
        """
        files = self._files() if self.folder.exists() else []
        states, size = 0, 0
        # The metadata first: without them a state counts as incomplete.
        for path in sorted(files, key=lambda path: path.suffix != _KNOWN):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
                path.unlink()
                states += path.suffix == _STATE
        self.index = StateIndex()
        return states, size

    def _files(self) -> list[Path]:
        return [p for p in self.folder.iterdir() if p.suffix in (_STATE, _KNOWN, _PART)]

    def _shrink(self, budget: int) -> None:
        for state in self.index.over(max(0, budget)):
            self.drop(state)

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _note(self, state: SavedState) -> None:
        known = {
            "format": _FORMAT,
            "model": state.model,
            "fingerprint": state.fingerprint,
            "marks": [[mark.digest.hex(), mark.size] for mark in state.marks],
            "tokens": state.tokens,
            "size": state.size,
            "used_at": state.used_at,
            "checksum": state.checksum,
        }
        unfinished = self.folder / f"{state.name}-known{_PART}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(known))
        unfinished.replace(self.folder / f"{state.name}{_KNOWN}")

    def _remove(self, name: str) -> None:
        # The metadata first: without them a state counts as incomplete.
        for suffix in (_KNOWN, _STATE):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)


def _read(path: Path) -> SavedState | None:
    """Return the state with the metadata in ``path``, or None if it is not whole."""
    try:
        known = orjson.loads(path.read_bytes())
        if known["format"] != _FORMAT:
            return None
        state = SavedState(
            name=path.stem,
            model=str(known["model"]),
            fingerprint=str(known["fingerprint"]),
            marks=tuple(Mark(bytes.fromhex(digest), int(size)) for digest, size in known["marks"]),
            tokens=int(known["tokens"]),
            size=int(known["size"]),
            used_at=float(known["used_at"]),
            checksum=str(known["checksum"]),
        )
        whole = path.with_suffix(_STATE).stat().st_size == state.size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if whole else None


def _checksum(path: Path) -> str:
    hashed = xxhash.xxh3_64()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


def _owner_lives(name: str) -> bool:
    pid = name.partition("-")[0]
    return pid.isdecimal() and int(pid) != os.getpid() and psutil.pid_exists(int(pid))
