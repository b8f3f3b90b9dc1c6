"""Replay the recorded trace on engines with real load times, with two settings of the queue."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import targets
from bench.asking import Timed, ask
from bench.report import number, percentile, say
from bench.trace import LOADS, TOKENS_PER_SECOND, Arrival, recorded

if TYPE_CHECKING:
    from pathlib import Path

HEADING = "A replayed trace of six models"
MOST_LOADED = 2
# The documentation recommends this for many models and clients; in seconds of the trace.
MAX_SWITCH_WAIT, MIN_RESIDENCY = 30.0, 5.0


@dataclass(frozen=True)
class Scale:
    """How fast the trace is replayed, and how much of it."""

    faster: float
    seconds: float


FULL = Scale(faster=20.0, seconds=1200.0)
QUICK = Scale(faster=60.0, seconds=12.0)


@dataclass(frozen=True)
class Outcome:
    """The result of a replay, in the seconds of the trace."""

    loads: int
    waited: list[float]
    end: float


def configuration(folder: Path, port: int, scale: Scale, wait: float, residency: float) -> str:
    def model(name: str) -> str:
        args = ["-m", "bench.gguf", "-c", "8192", "--ready-after", str(LOADS[name] / scale.faster)]
        return (
            f'{{ name = "{name}", variants = {{ {{ binary = {targets.engine_binary(folder)}, '
            f"context = 8192, args = {targets.lua_list(args)} }} }} }}"
        )

    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", '
        f"state_dir = {json.dumps(str(folder / 'state'))}, max_queue = 10000, "
        f"max_loaded_models = {MOST_LOADED}, shrink_after = 0, "
        f"max_switch_wait = {wait / scale.faster}, min_residency = {residency / scale.faster} }}\n"
        f"models = {{ {', '.join(map(model, LOADS))} }}\n"
    )


async def replayed(port: int, arrivals: list[Arrival], faster: float) -> tuple[list[Timed], float]:
    """Send every request at its time; return the outcomes and the time of the last answer."""
    begin = time.perf_counter()

    async def one(each: Arrival) -> Timed:
        await asyncio.sleep(each.at / faster - (time.perf_counter() - begin))
        body = {
            "model": each.model,
            "messages": [{"role": "user", "content": "Go on, please."}],
            "max_tokens": each.tokens,
            "bench_delay": 1 / TOKENS_PER_SECOND / faster,
            "stream": True,
        }
        return await ask(port, "/v1/chat/completions", body, each.client)

    times = await asyncio.gather(*map(one, arrivals))
    return times, time.perf_counter() - begin


def measure(folder: Path, scale: Scale, wait: float, residency: float) -> Outcome:
    """Replay the trace through a gateway with this setting of the queue."""
    folder.mkdir()
    arrivals = [each for each in recorded() if each.at < scale.seconds]
    port = targets.free_port()
    with targets.configured(folder, port, configuration(folder, port, scale, wait, residency)):
        times, end = asyncio.run(replayed(port, arrivals, scale.faster))
    waited = [each.waited * scale.faster for each in times]
    return Outcome(targets.engine_starts(folder), waited, end * scale.faster)


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    scale = QUICK if quick else FULL
    say("replaying the trace, first come, first served")
    plain = measure(folder / "plain", scale, 0, 0)
    say("replaying the trace with the collecting queue")
    ours = measure(folder / "ours", scale, MAX_SWITCH_WAIT, MIN_RESIDENCY)

    def row(name: str, before: float, after: float) -> list[str]:
        return [name, number(before), number(after), f"{after / before:.2f}" if before else "-"]

    rows = [
        ["", "first come, first served", "collecting", "ratio"],
        ["engines loaded", str(plain.loads), str(ours.loads), f"{ours.loads / plain.loads:.2f}"],
        row("waiting p50, s", percentile(plain.waited, 0.5), percentile(ours.waited, 0.5)),
        row("waiting p95, s", percentile(plain.waited, 0.95), percentile(ours.waited, 0.95)),
        row("waiting, longest, s", max(plain.waited), max(ours.waited)),
        row("waiting, mean, s", mean(plain.waited), mean(ours.waited)),
        row("until the last answer, s", plain.end, ours.end),
    ]
    return rows, NOTES.format(
        requests=len(plain.waited),
        seconds=scale.seconds,
        faster=scale.faster,
        most=MOST_LOADED,
        wait=MAX_SWITCH_WAIT,
        residency=MIN_RESIDENCY,
    )


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


NOTES = """
- {requests} requests of six clients in {seconds:g} s (`bench/trace.json`, written by
  `bench/trace.py`), with room for {most} engines. The trace is replayed {faster:g} times as fast,
  on fake engines that load and answer as much faster; the figures are in seconds of the trace. The
  start of a process is not faster, so it counts {faster:g}-fold, on both sides.
- *first come, first served*: `max_switch_wait = 0`, `min_residency = 0`.
  *collecting*: `max_switch_wait = {wait:g}`, `min_residency = {residency:g}`.
- Waiting: the time from the request to the first token of its answer, with loading.
"""
