"""Who requests what, and when: twenty minutes of a workstation that several people share.

Two agents work in bursts: a plan by one model, then a series of steps by another, then a pause. Two
editors ask the small model for a few tokens while their users type. One user chats, and a job
writes summaries from time to time. Times are in seconds. ``python -m bench.trace`` wrote
``trace.json``, which stays as it is, so that figures can be compared.
"""

from __future__ import annotations

import json
import random
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).resolve().parent / "trace.json"
SEED = 1
SECONDS = 1200.0
TOKENS_PER_SECOND = 40.0
# How long each model takes to load.
LOADS = {
    "planner": 12.0,
    "coder": 9.0,
    "writer": 9.0,
    "editor": 3.0,
    "chat": 6.0,
    "summary": 5.0,
}


@dataclass(frozen=True)
class Arrival:
    """A request: its time, its model, its client, and the number of tokens in its answer."""

    at: float
    model: str
    client: str
    tokens: int


def recorded() -> list[Arrival]:
    """Return the recorded trace, in the order of its times."""
    return [Arrival(*each) for each in json.loads(FILE.read_text(encoding="utf-8"))]


def _agent(dice: random.Random, client: str, model: str) -> Iterator[Arrival]:
    now = dice.uniform(0, 30)
    while now < SECONDS:
        yield Arrival(now, "planner", client, dice.randint(80, 160))
        now += dice.uniform(6, 12)
        for _ in range(dice.randint(4, 9)):
            yield Arrival(now, model, client, dice.randint(30, 120))
            now += dice.uniform(2, 6)
        now += dice.uniform(60, 150)


def _editor(dice: random.Random, client: str) -> Iterator[Arrival]:
    now = dice.uniform(0, 60)
    while now < SECONDS:
        for _ in range(dice.randint(3, 10)):
            yield Arrival(now, "editor", client, dice.randint(6, 24))
            now += dice.uniform(3, 12)
        now += dice.uniform(30, 120)


def _steady(
    dice: random.Random, client: str, model: str, pause: float, longest: int
) -> Iterator[Arrival]:
    now = dice.uniform(0, pause)
    while now < SECONDS:
        yield Arrival(now, model, client, dice.randint(longest // 3, longest))
        now += dice.uniform(0.5, 1.5) * pause


def made(seed: int) -> list[Arrival]:
    """Return a trace of this kind; the same seed makes the same trace."""
    dice = random.Random(seed)
    arrivals = [
        *_agent(dice, "agent 1", "coder"),
        *_agent(dice, "agent 2", "writer"),
        *_editor(dice, "editor 1"),
        *_editor(dice, "editor 2"),
        *_steady(dice, "chat", "chat", 45, 240),
        *_steady(dice, "job", "summary", 100, 200),
    ]
    return sorted(
        (Arrival(round(each.at, 1), *astuple(each)[1:]) for each in arrivals if each.at < SECONDS),
        key=lambda each: each.at,
    )


def main() -> None:
    lines = (json.dumps(astuple(each)) for each in made(SEED))
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
