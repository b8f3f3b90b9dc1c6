"""The fake engine for tests: its paths, its faults as an environment, its journal.

The journal is what a fake did, one JSON line for each event. A test waits for an event instead of
sleeping, and asserts on the journal:

    journal = Journal(tmp_path / "journal")
    variant_env = faults(journal, die_at=3, times=1)
    ...
    await journal.wait("aborted")
    assert not journal.events("request", path="/v1/chat/completions")
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FAKES = Path(__file__).resolve().parent / "fakes"
LLAMA_SERVER = str(FAKES / "llama-server")
LLAMA_TOKENIZE = str(FAKES / "llama-tokenize")

Event = dict[str, Any]


def pauses_until(deadline: float) -> Iterator[float]:
    """Yield seconds to wait between two looks until then; who waits for long looks less often."""
    pause = 0.002
    while time.monotonic() < deadline:
        yield pause
        pause = min(pause * 1.25, 0.015)


class Journal:
    """The events that fakes wrote to one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: list[Event] = []
        self._read = 0

    def events(self, name: str | None = None, **facts: object) -> list[Event]:
        """Return the events so far, of that name (or all) and with those facts, in order."""
        self._read_more()
        return [
            event
            for event in self._events
            if name in {None, event["event"]}
            and all(event.get(key) == value for key, value in facts.items())
        ]

    def _read_more(self) -> None:
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                more = file.read()
        except FileNotFoundError:
            return
        # A line without its end is still being written.
        whole = more[: more.rfind(b"\n") + 1]
        self._read += len(whole)
        self._events += map(json.loads, whole.splitlines())

    async def wait(
        self, name: str, count: int = 1, timeout: float = 30.0, **facts: object
    ) -> list[Event]:
        """Wait for *count* such events, and return them."""
        pauses = pauses_until(time.monotonic() + timeout)
        while len(found := self.events(name, **facts)) < count:
            await asyncio.sleep(self._next_of(pauses, name))
        return found

    def wait_blocking(
        self, name: str, count: int = 1, timeout: float = 30.0, **facts: object
    ) -> list[Event]:
        """Like `wait`, for tests without an event loop."""
        pauses = pauses_until(time.monotonic() + timeout)
        while len(found := self.events(name, **facts)) < count:
            time.sleep(self._next_of(pauses, name))
        return found

    def let_go(self, what: str) -> None:
        """Let what the knob HOLD holds go on, in all fakes, now and later."""
        self._gate(what).touch()

    def hold(self, what: str) -> None:
        """Hold it again, from now on."""
        self._gate(what).unlink(missing_ok=True)

    def _gate(self, what: str) -> Path:
        return Path(f"{self.path}.gate.{what}")

    def _next_of(self, pauses: Iterator[float], name: str) -> float:
        if (pause := next(pauses, None)) is None:
            seen = "\n".join(map(str, self.events()))
            raise AssertionError(f"no such event in time: {name}; so far:\n{seen}")
        return pause


def faults(journal: Journal | None = None, **knobs: object) -> dict[str, str]:
    """Return the environment that gives these knobs (by lower-case name) to a fake."""
    env = {f"FAKE_{name.upper()}": str(value) for name, value in knobs.items()}
    if journal is not None:
        env["FAKE_JOURNAL"] = str(journal.path)
        # Beside the journal, so that "once" holds for all incarnations of one test.
        env.setdefault("FAKE_COUNTER_FILE", f"{journal.path}.counter")
        if "FAKE_HOLD" in env:
            env["FAKE_GATE"] = f"{journal.path}.gate"
    return env
