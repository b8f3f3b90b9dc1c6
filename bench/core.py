"""What the gateway adds to a request, compared with no proxy and with a minimal proxy.

The targets take turns in each round, and a ratio is the median of the ratios of the rounds. So a
machine that is busy for a while slows all targets alike.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from bench import targets
from bench.load import Plan
from bench.report import number, percentile, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.targets import Target

HEADING = "The overhead of the gateway"
TARGETS = ("direct", "passthrough", "gateway")
READY_AFTER = 0.5


@dataclass(frozen=True)
class Scale:
    """The number of requests, streams and rounds."""

    rounds: int
    requests: int
    seconds: float
    streams: int
    chunks: int
    starts: int


FULL = Scale(rounds=7, requests=2000, seconds=1.5, streams=64, chunks=200, starts=7)
QUICK = Scale(rounds=1, requests=20, seconds=0.05, streams=4, chunks=10, starts=1)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    aim: str = ""  # the goal for the gateway, if there is one
    proxies_only: bool = False


LATENCY_P50 = Figure("latency p50, 1 connection", "ms", "≤ 0.9 of pass-through")
LATENCY_P99 = Figure("latency p99, 1 connection", "ms")
RATE = Figure("requests/s, 32 connections", "", "≥ 0.75 of pass-through")
REQUEST_CPU = Figure("CPU per request of those", "µs", proxies_only=True)
FIRST_TOKEN = Figure("first token, 1 connection", "ms")
CHUNK_CPU = Figure("CPU per SSE chunk", "µs", "≤ 0.75 of pass-through", proxies_only=True)
FIRST_OF_MANY = Figure("first token, those streams", "ms", "≤ 0.9 of pass-through")
STREAM_WALL = Figure("time of those streams", "s")
MEMORY = Figure("resident memory after all that", "MB", "≤ 62 MB", proxies_only=True)
READY = Figure("engine ready → first content", "ms", "≤ 30 ms", proxies_only=True)
FIGURES = (
    LATENCY_P50,
    LATENCY_P99,
    RATE,
    REQUEST_CPU,
    FIRST_TOKEN,
    CHUNK_CPU,
    FIRST_OF_MANY,
    STREAM_WALL,
    MEMORY,
    READY,
)

# By figure and by the target's name: the value of each round.
Samples = dict[Figure, dict[str, list[float]]]


def measure(target: Target, scale: Scale) -> dict[Figure, float]:
    """Measure one target in one round, and return its figures."""
    port = target.port
    single = targets.load(Plan(port, 1, scale.requests, seconds=20))
    before = target.cpu_seconds() if target.is_proxied else 0.0
    many = targets.load(Plan(port, 32, 1_000_000, scale.seconds))
    busy = (target.cpu_seconds() if target.is_proxied else 0.0) - before
    # The rest of each answer comes later than its first token, so that the figures show a proxy
    # that waits for more.
    answers = Plan(port, 1, scale.requests // 4, 20, stream=True, chunks=2, delay=0.002)
    first = targets.load(answers)

    plan = Plan(port, scale.streams, 1, 20, stream=True, chunks=scale.chunks, delay=0.005)
    before = target.cpu_seconds()
    streams = targets.load(plan)
    cpu = target.cpu_seconds() - before

    figures = {
        LATENCY_P50: percentile(single.whole, 0.5) * 1e3,
        LATENCY_P99: percentile(single.whole, 0.99) * 1e3,
        RATE: len(many.whole) / many.wall,
        FIRST_TOKEN: percentile(first.first, 0.5) * 1e3,
        FIRST_OF_MANY: percentile(streams.first, 0.5) * 1e3,
        STREAM_WALL: streams.wall,
    }
    if target.is_proxied:
        figures[REQUEST_CPU] = busy / len(many.whole) * 1e6
        figures[CHUNK_CPU] = cpu / (scale.streams * scale.chunks) * 1e6
        figures[MEMORY] = target.resident_bytes() / 1e6
    return figures


def measure_start(folder: Path) -> float:
    """Return the milliseconds from an engine's readiness to the client's first content."""
    ready_file = folder / "ready"
    ready_file.unlink(missing_ok=True)
    engine_args = ("--ready-after", str(READY_AFTER), "--ready-file", str(ready_file))
    with targets.gateway(folder, *engine_args) as target:
        result = targets.load(Plan(target.port, 1, 1, seconds=20, stream=True, chunks=2))
    ready_at = float(ready_file.read_text(encoding="ascii"))
    return (result.first_at - ready_at) * 1e3


def sampled(scale: Scale, names: Sequence[str], folder: Path) -> Samples:
    """Return every figure of every named target, in every round."""
    samples: Samples = {figure: {name: [] for name in names} for figure in FIGURES}
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(targets.direct(folder))
        running = [engine]
        if "passthrough" in names:
            running.append(stack.enter_context(targets.passthrough(folder, engine)))
        if "gateway" in names:
            running.append(stack.enter_context(targets.gateway(folder)))
        for target in running:
            # This starts the gateway's engine, and uses every path once.
            targets.load(Plan(target.port, 8, 25, seconds=20))
        for each in range(scale.rounds):
            say(f"round {each + 1} of {scale.rounds}")
            # The order changes, so that no target always follows the same other one.
            turn = each % len(running)
            for target in running[turn:] + running[:turn]:
                for figure, value in measure(target, scale).items():
                    samples[figure][target.name].append(value)
    if "gateway" in names:
        say(f"{scale.starts} starts from cold")
        cold = folder / "cold"
        cold.mkdir()
        samples[READY]["gateway"] = [measure_start(cold) for _ in range(scale.starts)]
    return samples


def ratio(samples: dict[str, list[float]], name: str, base: str) -> str:
    """Return the median of the ratios of the rounds; a dash if one side has no figure."""
    above, below = samples.get(name, []), samples.get(base, [])
    if name == base or not above or len(above) != len(below):
        return "-"
    return f"{median(a / b for a, b in zip(above, below, strict=True)):.2f}"


def table(samples: Samples, names: Sequence[str]) -> list[list[str]]:
    """Return the samples as rows of cells; the first row is the heading."""
    proxies = [name for name in names if name != "direct"]
    heading = ["", *names, *(f"{name} / direct" for name in proxies)]
    compared = "passthrough" in names and "gateway" in names
    if compared:
        heading += ["gateway / passthrough", "aim"]
    rows = [heading]
    for figure in FIGURES:
        values = samples[figure]
        unit = f", {figure.unit}" if figure.unit else ""
        row = [figure.name + unit]
        row += [number(median(values[name])) if values[name] else "-" for name in names]
        row += [ratio(values, name, "direct") for name in proxies]
        if compared:
            row += [ratio(values, "gateway", "passthrough"), figure.aim]
        rows.append(row)
    return rows


def run(
    folder: Path, *, quick: bool, rounds: int | None = None, only: Sequence[str] = TARGETS
) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    scale = QUICK if quick else FULL
    if rounds:
        scale = replace(scale, rounds=rounds)
    names = [name for name in TARGETS if name == "direct" or name in only]
    rows = table(sampled(scale, names, folder), names)
    return rows, NOTES.format(
        rounds=scale.rounds,
        streams=scale.streams,
        chunks=scale.chunks,
        ready=READY_AFTER,
        starts=scale.starts,
    )


NOTES = """
- Ratios are medians over {rounds} round(s) in which the targets take turns.
- *direct*: the load generator sends requests to a fake engine that answers at once. *passthrough*:
  a minimal proxy with aiohttp and uvloop (`bench/passthrough.py`) between them. *gateway*:
  `main.py` with everything on, in front of its own engine of the same kind.
- CPU per request: of the proxy process, over all of its requests at 32 connections.
- CPU per SSE chunk: {streams} streams of {chunks} chunks, 5 ms apart, run through the proxy
  process; its CPU time is divided by the number of chunks.
- Engine ready → first content: a gateway without an engine gets one request; the new engine answers
  503 for {ready} s. The time from the end of the 503s to the first content at the client, over
  {starts} starts.
"""
