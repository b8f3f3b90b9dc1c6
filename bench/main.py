"""Measure the gateway beside no proxy and beside the barest one, and print ratios.

Targets are measured in turn, round after round, and a ratio is the median of the
ratios within rounds: a machine that is busy for a while is busy for all of them.

    ./bench/run.sh                              every figure, in about two minutes
    ./bench/run.sh --quick                      a smoke test, its figures mean nothing
    ./bench/run.sh --write bench/RESULTS.md     and write them down
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from bench import targets
from bench.load import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.targets import Target

TARGETS = ("direct", "passthrough", "gateway")
READY_AFTER = 0.5


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    requests: int
    seconds: float
    streams: int
    chunks: int
    starts: int


FULL = Scale(rounds=7, requests=2000, seconds=1.5, streams=64, chunks=200, starts=7)
QUICK = Scale(rounds=1, requests=20, seconds=0.2, streams=4, chunks=10, starts=1)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    aim: str = ""  # for the gateway, where there is one
    proxies_only: bool = False


LATENCY_P50 = Figure("latency p50, 1 connection", "ms", "≤ 1.2 of pass-through")
LATENCY_P99 = Figure("latency p99, 1 connection", "ms")
RATE = Figure("requests/s, 32 connections", "", "≥ 0.8 of pass-through")
FIRST_TOKEN = Figure("first token, 1 connection", "ms")
CHUNK_CPU = Figure("CPU per SSE chunk", "µs", "≤ 1.2 of pass-through", proxies_only=True)
STREAM_WALL = Figure("time of those streams", "s")
MEMORY = Figure("resident memory after all that", "MB", "≤ 70 MB", proxies_only=True)
READY = Figure("engine ready → first content", "ms", "≤ 30 ms", proxies_only=True)
FIGURES = (
    LATENCY_P50,
    LATENCY_P99,
    RATE,
    FIRST_TOKEN,
    CHUNK_CPU,
    STREAM_WALL,
    MEMORY,
    READY,
)

# Figure → target's name → its value in each round.
Samples = dict[Figure, dict[str, list[float]]]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that *share* of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def measure(target: Target, scale: Scale) -> dict[Figure, float]:
    """One round of one target → its figures."""
    port = target.port
    single = targets.load(Plan(port, 1, scale.requests, seconds=20))
    many = targets.load(Plan(port, 32, 1_000_000, scale.seconds))
    # The rest of each answer comes later than its first token, so that a proxy that
    # waited for more would be seen.
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
        STREAM_WALL: streams.wall,
    }
    if target.is_proxied:
        figures[CHUNK_CPU] = cpu / (scale.streams * scale.chunks) * 1e6
        figures[MEMORY] = target.resident_bytes() / 1e6
    return figures


def measure_start(folder: Path) -> float:
    """Nothing → milliseconds from an engine's readiness to the first content at the client."""
    ready_file = folder / "ready"
    ready_file.unlink(missing_ok=True)
    engine_args = ("--ready-after", str(READY_AFTER), "--ready-file", str(ready_file))
    with targets.gateway(folder, *engine_args) as target:
        result = targets.load(Plan(target.port, 1, 1, seconds=20, stream=True, chunks=2))
    ready_at = float(ready_file.read_text(encoding="ascii"))
    return (result.first_at - ready_at) * 1e3


def run(scale: Scale, names: Sequence[str], folder: Path) -> Samples:
    """Nothing → every figure of every target named, in every round."""
    samples: Samples = {figure: {name: [] for name in names} for figure in FIGURES}
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(targets.direct(folder))
        running = [engine]
        if "passthrough" in names:
            running.append(stack.enter_context(targets.passthrough(folder, engine)))
        if "gateway" in names:
            running.append(stack.enter_context(targets.gateway(folder)))
        for target in running:
            # Starts the gateway's engine, and warms up every path once.
            targets.load(Plan(target.port, 8, 25, seconds=20))
        for number in range(scale.rounds):
            say(f"round {number + 1} of {scale.rounds}")
            # Who goes first changes, so that no one always follows the same other.
            turn = number % len(running)
            for target in running[turn:] + running[:turn]:
                for figure, value in measure(target, scale).items():
                    samples[figure][target.name].append(value)
    if "gateway" in names:
        say(f"{scale.starts} starts from cold")
        cold = folder / "cold"
        cold.mkdir()
        samples[READY]["gateway"] = [measure_start(cold) for _ in range(scale.starts)]
    return samples


def say(what: str) -> None:
    """Progress, beside the results."""
    print(what, file=sys.stderr, flush=True)


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(samples: dict[str, list[float]], name: str, base: str) -> str:
    """The median of the ratios within rounds; a dash where one side has no figure."""
    above, below = samples.get(name, []), samples.get(base, [])
    if name == base or not above or len(above) != len(below):
        return "-"
    return f"{median(a / b for a, b in zip(above, below, strict=True)):.2f}"


def table(samples: Samples, names: Sequence[str]) -> list[list[str]]:
    """Samples → rows of cells, the first one the heading."""
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


def as_text(rows: list[list[str]]) -> str:
    """Rows → columns that line up, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i > 0 and rows[0][i] != "aim" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(rows: list[list[str]]) -> str:
    """Rows → a Markdown table."""
    rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def machine() -> str:
    """The machine and the versions that the figures belong to, without its name."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "orjson"))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{targets.cpu_model()}, {os.cpu_count()} cores, {memory:.0f} GB; {platform.system()} "
        f"{platform.machine()}; {platform.python_implementation()} {platform.python_version()}; "
        f"{packages}"
    )


RESULTS = """# What the gateway costs

Written by `./bench/run.sh --write bench/RESULTS.md`. Ratios are medians over {rounds} rounds in
which the targets take turns; load generator, proxy and engine share the machine's cores, so
absolute figures mean little elsewhere.

Machine: {machine}

{table}

- *direct*: the load generator asks the engine, a fake that answers at once. *passthrough*: aiohttp
  and uvloop with nothing in between (`bench/passthrough.py`). *gateway*: `main.py` with everything
  on, in front of its own engine of the same kind.
- CPU per SSE chunk: CPU time of the proxy process while {streams} streams of {chunks} chunks, 5 ms
  apart, run through it, divided by their number.
- Engine ready → first content: a cold gateway gets one request; its engine answers 503 for
  {ready} s. From the moment that ends to the first content at the client, over {starts} starts.
"""


def report(rows: list[list[str]], scale: Scale) -> str:
    """Rows → the text of RESULTS.md."""
    return RESULTS.format(
        rounds=scale.rounds,
        machine=machine(),
        table=as_markdown(rows),
        streams=scale.streams,
        chunks=scale.chunks,
        ready=READY_AFTER,
        starts=scale.starts,
    )


def main(argv: list[str] | None = None) -> int:
    """Command line → the table on standard output, exit status."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="minimal counts: only whether it runs")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument(
        "--only", nargs="+", choices=TARGETS, default=TARGETS, help="targets; direct always runs"
    )
    args = parser.parse_args(argv)
    scale = QUICK if args.quick else FULL
    if args.rounds:
        scale = Scale(**vars(scale) | {"rounds": args.rounds})
    names = [name for name in TARGETS if name == "direct" or name in args.only]
    with tempfile.TemporaryDirectory() as folder:
        samples = run(scale, names, Path(folder))
    rows = table(samples, names)
    print(as_text(rows))
    print(f"\n{machine()}")
    if args.write is not None:
        args.write.write_text(report(rows, scale), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
