"""The fake engine as tests use it: its paths, its faults as an environment, its journal.

A journal is what a fake did, one JSON line an event. A test waits for an event
instead of sleeping, and asserts on what stands there afterwards:

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
    """The events that fakes wrote into one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self, name: str | None = None, **facts: object) -> list[Event]:
        """The events so far, of that name (or all) and with those facts, in order."""
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
        self, name: str, count: int = 1, timeout: float = 10.0, **facts: object
    ) -> list[Event]:
        """Any moment → *count* such events have happened; they are returned."""
        deadline = time.monotonic() + timeout
        while len(found := self.events(name, **facts)) < count:
            self._give_up_after(deadline, name)
            await asyncio.sleep(0.003)
        return found

    def wait_blocking(
        self, name: str, count: int = 1, timeout: float = 10.0, **facts: object
    ) -> list[Event]:
        """As `wait`, for tests without an event loop."""
        deadline = time.monotonic() + timeout
        while len(found := self.events(name, **facts)) < count:
            self._give_up_after(deadline, name)
            time.sleep(0.003)
        return found

    def _give_up_after(self, deadline: float, name: str) -> None:
        if time.monotonic() > deadline:
            seen = "\n".join(map(str, self.events()))
            raise AssertionError(f"no such event in time: {name}; so far:\n{seen}")


def faults(journal: Journal | None = None, **knobs: object) -> dict[str, str]:
    """Knobs by their lower-case names → the environment that gives them to a fake."""
    env = {f"FAKE_{name.upper()}": str(value) for name, value in knobs.items()}
    if journal is not None:
        env["FAKE_JOURNAL"] = str(journal.path)
        # Beside the journal, so that "once" holds for all incarnations of one test.
        env.setdefault("FAKE_COUNTER_FILE", f"{journal.path}.counter")
    return env
