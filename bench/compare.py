"""Compare the gateways of several checkouts with each other and with the minimal proxy, by turns.

    python -m bench.compare before=../other-checkout after=. --rounds 10

Each round measures every target once, in changing order. A figure is the quartile of its rounds,
and in brackets the best: what else the machine does can only make a figure worse.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench import targets
from bench.load import Plan
from bench.report import as_markdown, machine, number, percentile, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.targets import Target

FIGURES = (
    "latency p50, 1 connection, ms",
    "latency p99, 1 connection, ms",
    "CPU per request, 32 connections, µs",
    "time per request, 32 connections, µs",
    "CPU per SSE chunk, µs",
    "first token, 64 streams, ms",
    "resident memory, MB",
)
_CONNECTIONS, _STREAMS, _CHUNKS = 32, 64, 100


def measure(target: Target, seconds: float) -> tuple[float, ...]:
    """Return the figures of one target, in the order of ``FIGURES``; less is better."""
    single = targets.load(Plan(target.port, 1, 1_000_000, seconds))
    before = target.cpu_seconds()
    many = targets.load(Plan(target.port, _CONNECTIONS, 1_000_000, seconds))
    between = target.cpu_seconds()
    plan = Plan(target.port, _STREAMS, 1, 20, stream=True, chunks=_CHUNKS, delay=0.005)
    streams = targets.load(plan)
    after = target.cpu_seconds()
    return (
        median(single.whole) * 1e3,
        percentile(single.whole, 0.99) * 1e3,
        (between - before) / len(many.whole) * 1e6,
        many.wall / len(many.whole) * 1e6,
        (after - between) / (_STREAMS * _CHUNKS) * 1e6,
        median(streams.first) * 1e3,
        target.resident_bytes() / 1e6,
    )


def compared(checkouts: Mapping[str, Path], rounds: int, seconds: float) -> list[list[str]]:
    """Return the rows of the table; the first row is the heading."""
    samples: dict[str, list[tuple[float, ...]]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(targets.direct(folder))
        running = [stack.enter_context(targets.passthrough(folder, engine))]
        for name, root in checkouts.items():
            own = folder / name
            own.mkdir()
            running.append(stack.enter_context(targets.gateway(own, root=root, name=name)))
        for target in running:
            targets.load(Plan(target.port, 8, 25, seconds=20))
        for each in range(rounds):
            say(f"round {each + 1} of {rounds}")
            turn = each % len(running)
            for target in running[turn:] + running[:turn]:
                samples.setdefault(target.name, []).append(measure(target, seconds))
    names = [target.name for target in running]
    rows = [["", *names]]
    for at, figure in enumerate(FIGURES):
        values = {name: [sample[at] for sample in samples[name]] for name in names}
        shown = [f"{number(percentile(v, 0.25))} ({number(min(v))})" for v in values.values()]
        rows.append([figure, *shown])
    return rows


def main(argv: list[str] | None = None) -> int:
    """Print the table that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="bench.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkouts", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.7, help="of each load, per round")
    args = parser.parse_args(argv)
    pairs = [text.partition("=") for text in args.checkouts]
    checkouts = {name: Path(path).resolve() for name, _, path in pairs}
    rows = compared(checkouts, args.rounds, args.seconds)
    print(f"Machine: {machine()}\n\n{as_markdown(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
