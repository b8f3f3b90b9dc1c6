"""A gateway that records the path of a request: ``traced.py FILE main.py's …``.

SIGUSR1 starts the trace: from then on it records each function of the project that is entered.
SIGUSR2 records how deep the request's task waits. A second SIGUSR1 ends the trace and writes it to
FILE as JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from types import CodeType, FrameType

_NOT_OURS = {"venv", ".venv", "tests", "bench"}
# A task in this function serves a request.
_ANSWERS = "server/"
_SERVES_ALL = ("server/gateway.py", "server/admin/", "server/records/")
# What looks at the gateway once a second.
_BACKGROUND = ("Recorder._follow",)


def place(code: CodeType) -> str | None:
    """Return the file of a function relative to the project's root; None outside the project."""
    path = Path(code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT)
    return None if name.parts[0] in _NOT_OURS else name.as_posix()


class Trace:
    """What was entered since ``begin``, and how deep the request's task waited."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[CodeType, str | None] = {}
        self._entered: dict[CodeType, str] = {}
        self._on = False
        self._frames: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def toggle(self, *_signal: object) -> None:
        """Start the trace; if it runs, end it and write it."""
        self._on = not self._on
        sys.setprofile(self._profile if self._on else None)
        if not self._on:
            functions = sorted(
                {f"{file}:{code.co_qualname}" for code, file in self._entered.items()}
            )
            files = sorted(set(self._entered.values()))
            found = {"files": files, "functions": functions, "frames": self._frames}
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(found), encoding="utf-8")
            part.replace(self._file)

    def look(self, *_signal: object) -> None:
        """Record the coroutines that wait for the engine, as soon as all tasks wait."""
        if self._loop is not None:
            # The signal may interrupt the very task that this looks for.
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            chain = awaiting(task.get_coro())
            serves = any(frame.startswith(_ANSWERS) for frame in chain)
            if serves and not any(frame.startswith(_SERVES_ALL) for frame in chain):
                self._frames = chain

    def _profile(self, frame: FrameType, event: str, _arg: object) -> None:
        if event != "call":
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        code = frame.f_code
        if code not in self._known:
            self._known[code] = place(code)
        file = self._known[code]
        if file is not None and code not in self._entered and not in_background(frame):
            self._entered[code] = file


def in_background(frame: FrameType | None) -> bool:
    """Return whether the function was called by a task that runs whether requests come or not."""
    while frame is not None:
        if frame.f_code.co_qualname in _BACKGROUND:
            return True
        frame = frame.f_back
    return False


def awaiting(coroutine: Any) -> list[str]:  # noqa: ANN401 - whatever can be awaited
    """Return the coroutines from this one to the innermost waiting one, also of libraries."""
    chain = []
    while coroutine is not None:
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "ag_code", None)
        if code is not None:
            file = place(code) or "/".join(Path(code.co_filename).parts[-2:])
            chain.append(f"{file}:{code.co_qualname}")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return chain


def main() -> int:
    """Run the gateway with the arguments after the first."""
    trace = Trace(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, trace.toggle)
    signal.signal(signal.SIGUSR2, trace.look)
    from main import main as gateway  # noqa: PLC0415 - a signal may come while modules load

    return gateway(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
