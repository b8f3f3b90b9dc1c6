"""The gateway, whose way through a request can be written down: ``traced.py FILE main.py's …``.

SIGUSR1 begins: each function of the project that is entered is noted from then on. SIGUSR2 notes
how deep the task waits that serves the request. A second SIGUSR1 ends, and writes what
was noted to FILE as JSON.
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
# A task that has come so far serves a request.
_ANSWERS = "server/"
_SERVES_ALL = ("server/gateway.py", "server/reload.py", "server/admin/")


def place(code: CodeType) -> str | None:
    """The file of a function of the project, relative to its root; None for those of others."""
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
        """The trace begins; it ends and is written if it had begun."""
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
        """The chain of coroutines that wait for the engine is noted, as soon as all tasks rest."""
        if self._loop is not None:
            # The signal may have come in the middle of the very task that is looked for.
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
        if (file := self._known[code]) is not None:
            self._entered[code] = file


def awaiting(coroutine: Any) -> list[str]:  # noqa: ANN401 - whatever can be awaited
    """The coroutines from this one to the innermost that waits, those of libraries too."""
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
