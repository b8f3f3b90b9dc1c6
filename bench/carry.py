"""A conversation that needs larger variants, in three ways.

With saved prompt caches, without them, and always in the largest variant.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import targets
from bench.alternation import engines
from bench.picture import Chart
from bench.report import number, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEADING = "A conversation that outgrows its variants"
PICTURE = "carry.svg"
WAYS = ("with saved caches", "without", "always the largest")
LINE = "Turn {turn}, line {line}: a fox walks through the snow and meets a bear with honey. "
PATIENCE = 900.0


@dataclass(frozen=True)
class Scale:
    """The length of the conversation, and the contexts of the variants."""

    turns: int
    lines: int
    contexts: tuple[int, ...]


FULL = Scale(12, 10, (1024, 2048, 4096))
QUICK = Scale(3, 2, (128, 192, 320))


@dataclass(frozen=True)
class Turn:
    """Seconds to the first and the last token, prefilled tokens, and the variant's context.

    ``reading`` is the time of the prefill in milliseconds.
    """

    waited: float
    whole: float
    read: int
    reading: float
    variant: str


def configuration(folder: Path, port: int, binary: str, contexts: Sequence[int], way: str) -> str:
    def variant(context: int) -> str:
        args = ["-m", targets.real_model(), "-c", str(context), "-np", "1", "-t", "1"]
        args.append("--no-warmup")
        return (
            f"{{ binary = {json.dumps(binary)}, context = {context}, "
            f"args = {targets.lua_list(args)} }}"
        )

    chosen = contexts[-1:] if way == WAYS[2] else contexts
    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", {targets.ADMIN_LUA}, '
        f"state_carry = {json.dumps(way == WAYS[0])}, "
        f"state_dir = {json.dumps(str(folder / 'state'))} }}\n"
        f'models = {{ {{ name = "talk", variants = {{ {", ".join(map(variant, chosen))} }} }} }}\n'
    )


def one(port: int, messages: list[dict[str, str]]) -> tuple[Turn, str]:
    """Send the next turn of the conversation, and return its figures. The answer has 16 tokens."""
    body = {
        "model": "talk",
        "messages": messages,
        "max_tokens": 16,
        "temperature": 0,
        "stream": True,
        "ignore_eos": True,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    begin = time.perf_counter()
    waited, said = 0.0, ""
    timings: dict[str, Any] = {}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    if response.status != http.HTTPStatus.OK:
        raise ConnectionError(f"not answered: {response.read()!r}")
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        timings = event.get("timings") or timings
        for choice in event["choices"]:
            if content := choice["delta"].get("content"):
                waited = waited or time.perf_counter() - begin
                said += content
    whole = time.perf_counter() - begin
    connection.close()
    turn = Turn(waited, whole, timings["prompt_n"], timings["prompt_ms"], running(port))
    return turn, said


def running(port: int) -> str:
    """Return the context of the running engine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/running", headers=targets.ADMIN)
    (engine,) = json.load(connection.getresponse())["engines"]
    connection.close()
    return str(engine["context"])


class Talk:
    """One conversation through its own gateway, from a cold start."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.turns: list[Turn] = []
        self._messages: list[dict[str, str]] = []

    def go_on(self, lines: int) -> None:
        """Send one more turn with this number of lines."""
        turn = len(self.turns) + 1
        self.say("".join(LINE.format(turn=turn, line=line) for line in range(1, lines + 1)))

    def return_after_unload(self) -> None:
        """Send a short turn after an unload, so that an engine starts for it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        body = json.dumps({"model": "talk"})
        connection.request("POST", "/admin/unload", body, targets.ADMIN)
        connection.getresponse().read()
        connection.close()
        self.say("Thank you.")

    def say(self, text: str) -> None:
        """Send one more turn."""
        self._messages.append({"role": "user", "content": text})
        done, said = one(self.port, self._messages)
        self._messages.append({"role": "assistant", "content": said})
        self.turns.append(done)


def conversations(folder: Path, binary: str, scale: Scale) -> list[list[Turn]]:
    """Run the conversation in every way; the ways take turns."""
    with contextlib.ExitStack() as running:
        talks = []
        for way in WAYS:
            own = folder / way.replace(" ", "-")
            own.mkdir(parents=True)
            port = targets.free_port()
            text = configuration(own, port, binary, scale.contexts, way)
            running.enter_context(targets.configured(own, port, text))
            talks.append(Talk(port))
        for turn in range(1, scale.turns + 1):
            say(f"  turn {turn} of {scale.turns}")
            for talk in talks:
                talk.go_on(scale.lines)
        say("  a short turn after an unload")
        for talk in talks:
            talk.return_after_unload()
    return [talk.turns for talk in talks]


def changes(turns: Sequence[Turn]) -> list[int]:
    """Return the turns, from 0, whose variant differs from the one before."""
    return [i for i in range(1, len(turns)) if turns[i].variant != turns[i - 1].variant]


def picture(name: str, found: Sequence[Sequence[Turn]]) -> str:
    """Return a chart of the time to the first token of each turn, as SVG."""
    crossed = changes(found[0])
    return Chart(
        title="Time to the first token, turn by turn, as a conversation outgrows its variants",
        across="turn",
        up=f"seconds ({name}, SmolLM2-135M, one thread)",
        ticks=[str(turn) for turn in range(1, len(found[0]) + 1)],
        series={
            way: [each.waited for each in turns] for way, turns in zip(WAYS, found, strict=True)
        },
        events={i: f"context {found[0][i].variant} →" for i in crossed},
    ).svg()


def rows_of(name: str, found: Sequence[Sequence[Turn]]) -> list[list[str]]:
    """Return the figures of one engine; the last turn is the one after an unload."""
    returns = [turns[-1] for turns in found]
    found = [turns[:-1] for turns in found]
    crossed = changes(found[0])
    calm = [i for i in range(1, len(found[0])) if i not in crossed]

    def row(what: str, values: Sequence[float]) -> list[str]:
        return [f"{name}: {what}", *map(number, values)]

    def typical(what: str, places: Sequence[int]) -> list[str]:
        if not places:
            return [f"{name}: {what}", *("-" for _ in found)]
        return row(what, [median(turns[i].waited for i in places) for turns in found])

    rows = [
        row("the whole conversation, s", [sum(each.whole for each in turns) for turns in found]),
        row("prompt tokens read", [sum(each.read for each in turns) for turns in found]),
        typical("first token after a change of variant, p50, s", crossed),
        typical("first token of other turns but the first, p50, s", calm),
        row("a short turn after an unload: prompt tokens read", [each.read for each in returns]),
        row("a short turn after an unload: reading them, ms", [each.reading for each in returns]),
        row("a short turn after an unload: first token, s", [each.waited for each in returns]),
    ]
    for i in range(len(found[0])):
        rows.append(row(f"turn {i + 1}: first token, s", [turns[i].waited for turns in found]))
        rows.append(row(f"turn {i + 1}: prompt tokens read", [turns[i].read for turns in found]))
    return rows


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md; write the chart."""
    scale = QUICK if quick else FULL
    rows = [["", *WAYS]]
    chosen = list(engines().items())
    for name, binary in chosen[-1:] if quick else chosen:
        say(f"{name}, a conversation in {len(WAYS)} ways")
        found = conversations(folder / name, binary, scale)
        rows += rows_of(name, found)
        shown = [turns[:-1] for turns in found]
        (folder / PICTURE).write_text(picture(name, shown), encoding="utf-8")
    contexts = ", ".join(map(str, scale.contexts))
    return rows, NOTES.format(turns=scale.turns, contexts=contexts, picture=PICTURE)


NOTES = """
![Time to the first token, turn by turn]({picture})

- SmolLM2-135M, one thread, a conversation of {turns} turns in variants with contexts of
  {contexts}; 16 tokens an answer. Each way has its own gateway, which starts without an
  engine; the ways take turns.
- *with saved caches*: the defaults. *without*: `state_carry = false`. *always the largest*: a
  model with only the largest variant, which has its full memory from the first turn on.
- First token: the time from the request to the first text of its answer, with the change of the
  engine. After the last turn each engine is unloaded, and the user says "Thank you."; the largest
  variant saves no prompt cache, so it prefills everything again.
"""
