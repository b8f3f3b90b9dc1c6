"""What accounts cost: a decision, the first byte, streams that pay, and a page of much usage."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from accounts.admission import Ask, Now, admit
from accounts.limits import Bucket
from accounts.money import Price
from accounts.parties import Account, Key, Limits
from accounts.store.changes import Actor, add_money, create_account, create_key
from accounts.store.database import address, open_database
from accounts.store.migrate import migrate
from accounts.tables import USAGE, USAGE_DAILY
from accounts.tiers import Tier
from bench import targets
from bench.load import Plan
from bench.report import number, say
from engine.scheduling.queue import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from bench.targets import Target

HEADING = "Accounts"
ACCOUNTS = "accounts = { tiers = { payg = { rpm = 1000000000 } } }\n"
# Seconds that the engine takes for a prompt.
PREFILL = 0.05
# Admissions of a round.
_ROUND = 500
_DAY = 24 * 3600 * 1000


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Measure everything; return the table and its explanation."""
    rounds, count, rows, accounts = (1, 1000, 500, 10) if quick else (4, 100_000, 1_000_000, 50)
    lines = [["", "off", "on", "ratio", "aim"]]
    say("accounts: decisions")
    lines.append(["µs to admit and settle", "-", number(decision(count) * 1e6), "-", "≤ 10"])
    with gateway(folder / "off") as free, paying(folder / "on") as paid:
        for what, plan, aim in figures(quick=quick):
            say(f"accounts: {what}")
            off, on, ratio = compared(free, paid, plan, rounds, rate=plan.connections > 1)
            lines.append([what, number(off), number(on), f"{ratio:.3f}", aim])
    say("accounts: a page of usage")
    first, days = pages(folder, rows, accounts)
    named = f"of {rows:,} rows"
    lines.append([f"page of an account, {named}, ms", "-", number(first * 1e3), "-", "≤ 20"])
    lines.append([f"30 days by model, {named}, ms", "-", number(days * 1e3), "-", "≤ 20"])
    return lines, NOTES


def figures(*, quick: bool) -> Iterator[tuple[str, Plan, str]]:
    """Yield what is compared: its name, its load, and the aim of its ratio."""
    seconds, chunks = (0.05, 10) if quick else (1.5, 200)
    one = Plan(0, 1, 10**6, seconds, stream=True, chunks=1)
    yield "first byte, no prefill, ms", one, "-"
    slow = Plan(0, 1, 10**6, seconds, stream=True, chunks=1, prefill=PREFILL)
    yield "first byte, 50 ms of prefill, ms", slow, "≤ 1.02"
    streams = 4 if quick else 64
    many = Plan(0, streams, 1, 60.0, stream=True, chunks=chunks)
    yield "tokens/s of 64 streams, 10 ms a token", replace(many, delay=0.01), "≥ 0.97"
    yield "the same, as fast as the engine can", many, "-"


def decision(count: int) -> float:
    """Return the seconds of an admission with all limits, and its settlement."""
    tier = Tier("payg", pays=True)

    def limits() -> Limits:
        return Limits(Bucket(10**9), Bucket(10**12), 1000)

    account = Account(1, "a", tier, "active", Priority.NORMAL, limits=limits(), base=10**15)
    key = Key(1, account, "k", "sk", frozenset({"inference"}), limits=limits())
    ask = Ask("r", "m", 100, 1000, Price(100, 100, 200))
    now = Now(time.monotonic_ns(), time.time_ns() // 10**6)
    rounds: list[float] = []
    for _ in range(count // _ROUND):
        begun = time.thread_time()
        for _ in range(_ROUND):
            admit(key, ask, now).settle(10, 50, *now)
        rounds.append((time.thread_time() - begun) / _ROUND)
    return median(rounds)


def compared(
    off: Target, paid: tuple[Target, str], plan: Plan, rounds: int, *, rate: bool
) -> tuple[float, float, float]:
    """Return the medians without and with accounts, and that of the ratios of the rounds."""
    found: list[tuple[float, float]] = []
    on, key = paid
    for number_of_round in range(rounds + 1):
        pair = measured(off, "", plan, rate=rate), measured(on, key, plan, rate=rate)
        if number_of_round:  # the first one starts the engines, or warms what this plan needs
            found.append(pair)
    middle = median(a for a, _ in found), median(b for _, b in found)
    return *middle, median(b / a for a, b in found)


def measured(target: Target, key: str, plan: Plan, *, rate: bool) -> float:
    """Return the events in a second, or the median milliseconds until the first content."""
    result = targets.load(replace(plan, port=target.port, key=key))
    return result.events / result.wall if rate else median(result.first) * 1e3


@contextlib.contextmanager
def gateway(folder: Path, more: str = "") -> Iterator[Target]:
    """Run a gateway in a folder of its own."""
    folder.mkdir(exist_ok=True)
    with targets.gateway(folder, more=more) as target:
        yield target


@contextlib.contextmanager
def paying(folder: Path) -> Iterator[tuple[Target, str]]:
    """Run a gateway with accounts; yield it and a key with much money."""
    database, actor = opened(folder / "state"), Actor(0)
    with database.begin() as connection:
        account = create_account(connection, actor, "bench", "payg")
        source = f"topup:{account}"
        add_money(connection, actor, account, 10**18, source=source)
        _, key = create_key(connection, actor, account, "bench")
    with gateway(folder, ACCOUNTS) as target:
        yield target, key.text


def opened(folder: Path) -> Engine:
    """Return the database in this folder, in its newest form."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_database(address(None, folder))
    migrate(engine)
    return engine


def pages(folder: Path, rows: int, accounts: int) -> tuple[float, float]:
    """Return the seconds of the first page of an account's usage, and of its sums by day."""
    engine, now = opened(folder / "many"), 90 * _DAY
    row = {
        "key_id": 1,
        "key_name": "k",
        "path": "/v1/chat/completions",
        "ended": "complete",
        "streamed": True,
        "prompt": 100,
        "cached": 0,
        "completion": 50,
        "counted": "engine",
        "cost": 20_000,
    }
    sums = {"requests": 9, "errors": 0, "prompt": 900, "cached": 0, "completion": 450}
    sums |= {"cost": 180_000, "load_ms": 0, "first_ms": 90}
    with engine.begin() as connection:
        for number_of_account in range(accounts):
            create_account(connection, Actor(0), f"a{number_of_account}", "payg")
        for start in range(0, rows, 10_000):
            values = [
                {
                    **row,
                    "request_id": f"r-{n}",
                    "account_id": n % accounts + 1,
                    "model": f"m{n % 5}",
                    "at": now * n // rows,
                }
                for n in range(start, min(rows, start + 10_000))
            ]
            connection.execute(insert(USAGE), values)
        days = [
            {**sums, "day": day, "account_id": account, "key_id": 1, "model": f"m{model}"}
            for day in range(90)
            for account in range(1, accounts + 1)
            for model in range(5)
        ]
        connection.execute(insert(USAGE_DAILY), days)
    page = select(USAGE).where(USAGE.c.account_id == 7).order_by(USAGE.c.at.desc()).limit(50)
    month = (
        select(USAGE_DAILY.c.day, USAGE_DAILY.c.model, func.sum(USAGE_DAILY.c.cost))
        .where(USAGE_DAILY.c.account_id == 7, USAGE_DAILY.c.day >= 60)
        .group_by(USAGE_DAILY.c.day, USAGE_DAILY.c.model)
    )
    times: list[float] = []
    with engine.connect() as connection:
        for query in (page, month):
            best = []
            for _ in range(5):
                begun = time.perf_counter()
                assert connection.execute(query).all()
                best.append(time.perf_counter() - begun)
            times.append(median(best))
    engine.dispose()
    first, second = times
    return first, second


NOTES = """
- `bench/accounts.py`: *off* and *on* are two gateways in one run, which take turns; *on* has a
  paying account in SQLite. Hold and settlement are appended to the backlog before the first byte
  and before the end; the database is written beside that, by a thread.
- *µs to admit and settle*: one admission and one settlement with all limits of a key and its
  account, in memory, without the database: CPU time, the median of short rounds.
- *as fast as the engine can*: 64 answers of 200 tokens in a tenth of a second, so it measures
  requests, not tokens.
- *page of an account*: the last 50 requests of one of 50 accounts; the days are read from
  `usage_daily`.
"""
