"""What is written for requests: a hold before an answer, a settlement after it. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# How an answer ended: these are counted as errors.
FAILED = frozenset({"failed", "cancelled", "crashed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Money that a request may cost, kept until it is settled."""

    request_id: str
    account_id: int
    key_id: int | None
    key_name: str
    amount: int
    model: str
    path: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a request: the columns of its row in ``usage``.

    ``account_from`` and ``key_from`` are the beginnings of the present periods of their budgets.
    """

    request_id: str
    account_id: int
    key_id: int | None
    key_name: str
    model: str
    variant: str | None
    path: str
    ended: str
    streamed: bool
    prompt: int
    cached: int
    completion: int
    counted: str
    price_id: int | None
    cost: int
    queue_ms: int | None
    load_ms: int | None
    first_ms: int | None
    total_ms: int | None
    at: int
    account_from: int = 0
    key_from: int = 0


class Funds(NamedTuple):
    """The money of an account as the database has it: all of it, and what holds keep of that."""

    balance: int
    held: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit did: holds for which there was no money, and the funds that changed."""

    refused: frozenset[str]
    funds: dict[int, Funds]
