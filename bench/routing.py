"""What a route costs: its decision, and a request by it beside one that names the model."""

from __future__ import annotations

import contextlib
import time
from statistics import median
from typing import TYPE_CHECKING

from bench import targets
from bench.load import Plan
from bench.report import number, percentile
from models.capabilities import Capabilities
from models.catalog import Catalog
from models.routing.asked import LONGEST_TEXT, Asked
from models.routing.book import RouteBook
from models.routing.decide import decide
from models.routing.pick import Seen
from models.spec import ModelSpec, Timeouts, VariantSpec
from utils.config.routes import RouteTable, RuleTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADING = "Routes"
# By the name that requests have: the model's own, a route without rules, one with three of them.
NAMES = {"bench": "model", "plain": "route", "ruled": "route with rules"}
ROUTES = """
routes = {
  plain = { to = { "bench" } },
  ruled = {
    rules = {
      { parts = { "image" }, to = { "bench" } },
      { min_tokens = 4000, to = { "bench" } },
      { matches = "(?i)python|rust|sql", to = { "bench" } },
    },
    to = { "bench" }, pick = "warm",
  },
}
"""
_MODELS, _DEEP = 10, 5
_TEXT = frozenset({"text"})


class _Running:
    """Each second model runs."""

    def seen(self, model: str) -> Seen:
        """Return what runs of the model."""
        return Seen(ready=model in "02468", free=1)


def decisions() -> dict[str, Callable[[], object]]:
    """Return what is decided, by its name in the notes."""
    variant = VariantSpec(
        model="",
        context=8192,
        binary="",
        timeouts=Timeouts(health_check=1, startup=1, idle=1, stop=1),
    )
    models = [ModelSpec(name=str(number), variants=(variant,)) for number in range(_MODELS)]
    names = tuple(model.name for model in models)
    able = dict.fromkeys(names, Capabilities(_TEXT, _TEXT))
    rules = tuple(RuleTable(to=names, min_tokens=10**6) for _ in range(20))
    deep = [
        RouteTable(name=f"deep{n}", to=(f"deep{n + 1}" if n + 1 < _DEEP else "0", str(n)))
        for n in range(_DEEP)
    ]
    routes = [
        RouteTable(name="ruled", rules=rules, to=names, pick="warm"),
        RouteTable(name="matched", rules=(RuleTable(to=names, matches="(?i)python|rust|sql"),)),
        *deep,
    ]
    book, running = RouteBook(Catalog(models, routes=routes), able), _Running()
    asked = Asked("chat", _TEXT, tokens=100, text="Say hello.")
    long = asked._replace(text="Say hello. " * (LONGEST_TEXT // 11))
    return {
        "auto": lambda: decide(book, running, None, asked, {}),
        "ruled": lambda: decide(book, running, "ruled", asked, {}),
        "matched": lambda: decide(book, running, "matched", long, {}),
        "deep": lambda: decide(book, running, "deep0", asked, {}),
    }


def microseconds(decision: Callable[[], object], count: int) -> float:
    """Return the CPU time of one decision, the median of five runs of ``count``."""
    times = []
    for _ in range(5):
        before = time.process_time()
        for _ in range(count):
            decision()
        times.append((time.process_time() - before) / count * 1e6)
    return median(times)


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the costs of a request by each name, and below them those of decisions."""
    rounds, count = (1, 64) if quick else (9, 1600)
    cpu: dict[str, list[float]] = {name: [] for name in NAMES}
    busy: dict[str, list[float]] = {name: [] for name in NAMES}
    late: dict[str, list[float]] = {name: [] for name in NAMES}
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(targets.gateway(folder, more=ROUTES))
        for name in NAMES:
            targets.load(Plan(target.port, 8, 50, seconds=20, model=name))
        for each in range(rounds):
            turn = each % len(NAMES)
            for name in [*NAMES][turn:] + [*NAMES][:turn]:
                before = target.cpu_seconds()
                done = targets.load(Plan(target.port, 1, count, seconds=30, model=name)).whole
                cpu[name].append((target.cpu_seconds() - before) / len(done) * 1e6)
                late[name].append(percentile(done, 0.5) * 1e6)
                before = target.cpu_seconds()
                done = targets.load(
                    Plan(target.port, 32, count // 32, seconds=30, model=name)
                ).whole
                busy[name].append((target.cpu_seconds() - before) / len(done) * 1e6)
    rows = [["", *NAMES.values(), "route / model", "route with rules / model"]]
    for title, values in (
        ("CPU per request, 1 connection, µs", cpu),
        ("CPU per request, 32 connections, µs", busy),
        ("latency p50, 1 connection, µs", late),
    ):
        base, *others = values.values()
        ratios = [median(a / b for a, b in zip(other, base, strict=True)) for other in others]
        each_one = [number(median(own)) for own in values.values()]
        rows.append([title, *each_one, *(f"{ratio:.2f}" for ratio in ratios)])
    spent = {name: microseconds(each, 20 if quick else 2000) for name, each in decisions().items()}
    shown = {name: number(value) for name, value in spent.items()}
    return rows, NOTES.format(rounds=rounds, models=_MODELS, levels=_DEEP, **shown)


NOTES = """
- The same gateway, engine and request of 200 bytes in each column, and the request
  names the model, or a route that leads to it. The median of {rounds} round(s) that take turns.
- A request that names a model is decided nothing for. One by a route is read a second time for the
  model that was chosen, and does not go by the shortest way through the gateway.
- The decision itself, CPU time: without a model, among {models} of them {auto} µs; by a route with
  20 rules of which none holds {ruled} µs; by a regular expression over the longest text that is
  read, 32 KiB, {matched} µs; by routes that lead to each other over {levels} levels {deep} µs.
"""
