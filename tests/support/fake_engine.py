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
from typing import Any

FAKES = Path(__file__).resolve().parent / "fakes"
LLAMA_SERVER = str(FAKES / "llama-server")
LLAMA_TOKENIZE = str(FAKES / "llama-tokenize")

Event = dict[str, Any]


class Journal:
    """The events that fakes wrote to one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self, name: str | None = None, **facts: object) -> list[Event]:
        """Return the events so far, of that name (or all) and with those facts, in order."""
        if not self.path.exists():
            return []
        # A line without its end is still being written.
        lines = self.path.read_bytes().rpartition(b"\n")[0].splitlines()
        return [
            event
            for event in map(json.loads, lines)
            if name in {None, event["event"]}
            and all(event.get(key) == value for key, value in facts.items())
        ]

    async def wait(
        self, name: str, count: int = 1, timeout: float = 30.0, **facts: object
    ) -> list[Event]:
        """Wait for *count* such events, and return them."""
        deadline = time.monotonic() + timeout
        while len(found := self.events(name, **facts)) < count:
            self._give_up_after(deadline, name)
            await asyncio.sleep(0.003)
        return found

    def wait_blocking(
        self, name: str, count: int = 1, timeout: float = 30.0, **facts: object
    ) -> list[Event]:
        """Like `wait`, for tests without an event loop."""
        deadline = time.monotonic() + timeout
        while len(found := self.events(name, **facts)) < count:
            self._give_up_after(deadline, name)
            time.sleep(0.003)
        return found

    def let_go(self, what: str) -> None:
        """Let what the knob HOLD holds go on, in all fakes, now and later."""
        self._gate(what).touch()

    def hold(self, what: str) -> None:
        """Hold it again, from now on."""
        self._gate(what).unlink(missing_ok=True)

    def _gate(self, what: str) -> Path:
        return Path(f"{self.path}.gate.{what}")

    def _give_up_after(self, deadline: float, name: str) -> None:
        if time.monotonic() > deadline:
            seen = "\n".join(map(str, self.events()))
            raise AssertionError(f"no such event in time: {name}; so far:\n{seen}")


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
