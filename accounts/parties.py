"""Accounts and keys in memory: what they may do, and what is taken of it. Pure.

The money of an account is counted in five parts. ``base`` is the balance as the database last told
it. ``foreign`` is what other gateways on the same database hold of it. ``held`` is what requests of
this gateway hold, and ``stored`` the part of that which the database has already. ``pending`` is
what requests cost that were settled here and not yet there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from accounts.limits import Bucket

if TYPE_CHECKING:
    from accounts.tiers import Tier
    from engine.scheduling.queue import Priority

PERIODS = ("day", "week", "month")
_FAR = 2**62


@dataclass(slots=True)
class Budget:
    """How much may be spent in a period; None: without limit. A period of None never ends.

    ``since`` and ``until`` are the bounds of the present period, ``held`` is what requests under
    way may spend.
    """

    amount: int | None = None
    period: str | None = None
    spent: int = 0
    since: int = 0
    until: int = 0
    held: int = 0

    def left(self, now: int) -> int | None:
        """Return what may still be spent at this time; None: without limit."""
        if self.amount is None:
            return None
        self.roll(now)
        return self.amount - self.spent - self.held

    def roll(self, now: int) -> None:
        """Begin the period of this time, unless it has begun, or the clock went back."""
        if now < self.until:
            return
        since, self.until = bounds(self.period, now)
        if since > self.since:
            self.since, self.spent = since, 0


def bounds(period: str | None, now: int) -> tuple[int, int]:
    """Return the first millisecond of the period in which ``now`` is, and of the next, in UTC."""
    if period not in PERIODS:
        return 0, _FAR
    day = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        first = day - timedelta(days=day.weekday())
        following = first + timedelta(days=7)
    elif period == "month":
        first = day.replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
    else:
        first, following = day, day + timedelta(days=1)
    return int(first.timestamp() * 1000), int(following.timestamp() * 1000)


@dataclass(slots=True)
class Limits:
    """The limits of an account or of a key; None: none. ``active``: requests under way."""

    requests: Bucket | None = None
    tokens: Bucket | None = None
    concurrency: int | None = None
    active: int = 0
    budget: Budget = field(default_factory=Budget)

    def change(self, rpm: int | None, tpm: int | None, concurrency: int | None, now: int) -> None:
        """Set other limits; what was taken stays taken."""
        self.requests = _changed(self.requests, rpm, now)
        self.tokens = _changed(self.tokens, tpm, now)
        self.concurrency = concurrency


def _changed(bucket: Bucket | None, limit: int | None, now: int) -> Bucket | None:
    if limit is None:
        return None
    if bucket is None:
        return Bucket(limit)
    bucket.change(limit, now)
    return bucket


@dataclass(slots=True, eq=False)
class Account:
    """An account; see the beginning of this file for its money. ``models``: None allows all."""

    id: int
    name: str
    tier: Tier
    status: str
    priority: Priority
    models: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    base: int = 0
    foreign: int = 0
    held: int = 0
    stored: int = 0
    pending: int = 0

    @property
    def balance(self) -> int:
        """What the account has, without what requests have cost that are settled."""
        return self.base - self.pending

    @property
    def available(self) -> int:
        """What a further request can hold."""
        return self.base - self.pending - self.foreign - self.held


@dataclass(slots=True, eq=False)
class Key:
    """A key of an account: who asks, for ``inference`` and ``server``, see ``Caller``.

    ``expires_at`` is in milliseconds; ``models``: None allows what the account allows.
    """

    id: int | None
    account: Account
    name: str
    prefix: str
    scopes: frozenset[str]
    models: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    max_context: int | None = None
    may_load: bool = True
    may_evict: bool = True
    expires_at: int | None = None

    @property
    def client(self) -> str:
        """The same text for all keys of an account: fairness is between accounts."""
        return f"account-{self.account.id}"

    @property
    def account_id(self) -> int | None:
        """The number of the account."""
        return self.account.id

    @property
    def key_id(self) -> int | None:
        """The number of the key."""
        return self.id

    @property
    def priority(self) -> Priority:
        """The place of its requests in the queue."""
        return self.account.priority

    @property
    def tier(self) -> str:
        """The name of the account's tier."""
        return self.account.tier.name

    @property
    def pays(self) -> bool:
        """Whether its requests are paid for."""
        return self.account.tier.pays

    def may(self, scope: str) -> bool:
        """Return whether the key has this scope; ``admin`` needs an account that is one.

        Of an account that is not active only ``inference`` is told, which admission refuses.
        """
        if scope not in self.scopes:
            return False
        if scope == "admin" and not self.account.tier.admin:
            return False
        return scope == "inference" or self.account.status == "active"
