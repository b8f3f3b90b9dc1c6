"""``Book``: the accounts, keys and prices in memory, kept equal with the database. Pure.

Memory decides about requests, and the database records them. What the database tells comes in the
order in which it happened there, so both agree when nothing is on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.admission import ACTIVE
from accounts.keys import digest_of, patterns
from accounts.money import Price
from accounts.parties import Account, Budget, Key
from accounts.prices import PriceList
from accounts.store.rows import Hold
from accounts.tiers import tier_of, tiers_of
from engine.scheduling.queue import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accounts.parties import Limits
    from accounts.store.rows import Outcome, Settlement
    from accounts.store.snapshot import Snapshot
    from utils.config.accounts import AccountsSettings


class Book:
    """Knows who has which key, and what accounts have.

    ``monotonic`` returns nanoseconds, ``wall`` milliseconds since 1970.
    """

    def __init__(
        self, settings: AccountsSettings, monotonic: Callable[[], int], wall: Callable[[], int]
    ) -> None:
        self.accounts: dict[int, Account] = {}
        self.settings = settings
        self._keys: dict[bytes, Key] = {}
        self._by_id: dict[int, Key] = {}
        self._tiers = tiers_of(settings)
        self._prices = PriceList(settings)
        self._price_rows: list[dict[str, Any]] = []
        # When a price that is known already begins to hold.
        self._prices_until = 0
        self._monotonic = monotonic
        self._wall = wall
        # What each request of this gateway holds in the database.
        self._stored: dict[str, int] = {}
        self._snapshot: Snapshot | None = None

    # -- for requests ----------------------------------------------------------------

    def key(self, text: str) -> Key | None:
        """Return the key with this text; None where there is none, or where it has expired."""
        key = self._keys.get(digest_of(text))
        if key is None or (key.expires_at is not None and key.expires_at <= self._wall()):
            return None
        return key

    def has(self, key: Key) -> bool:
        """Return whether a key is still good, and its account active."""
        account = key.account
        if self.accounts.get(account.id) is not account or account.status != ACTIVE:
            return False
        if key.id is None:
            # Who asks by a session or a ticket has no key.
            return True
        current = key.expires_at is None or key.expires_at > self._wall()
        return current and self._by_id.get(key.id) is key

    def price(self, model: str) -> Price:
        """Return the price of a model now."""
        if self._prices_until and self._wall() >= self._prices_until:
            self._make_prices()
        return self._prices.of(model)

    # -- what the database tells -----------------------------------------------------

    def booked(self, rows: Sequence[Hold | Settlement], outcome: Outcome) -> None:
        """Take in a group of rows that was committed."""
        for row in rows:
            account = self.accounts.get(row.account_id)
            if account is None:
                continue
            if isinstance(row, Hold):
                if row.request_id not in outcome.refused:
                    self._stored[row.request_id] = row.amount
                    account.stored += row.amount
            else:
                account.stored -= self._stored.pop(row.request_id, 0)
                account.pending -= row.cost
        for number, funds in outcome.funds.items():
            if (account := self.accounts.get(number)) is not None:
                _fund(account, funds.balance, funds.held)

    def apply(self, news: Snapshot) -> None:
        """Take in all accounts, keys and prices; what requests have taken stays taken."""
        self._snapshot = news
        now = self._monotonic()
        accounts: dict[int, Account] = {}
        for row in news.accounts:
            tier = tier_of(self._tiers, row["tier"])
            priority = Priority[row["priority"].upper()] if row["priority"] else tier.priority
            account = self.accounts.get(row["id"])
            if account is None:
                account = Account(row["id"], row["name"], tier, row["status"], priority)
            account.name, account.tier, account.status = row["name"], tier, row["status"]
            account.priority, account.models = priority, patterns(row["models"])
            account.limits.change(
                row["rpm"] or tier.rpm,
                row["tpm"] or tier.tpm,
                row["concurrency"] or tier.concurrency,
                now,
            )
            _budget(account.limits, row)
            _fund(account, row["balance"], row["held"])
            accounts[account.id] = account
        self.accounts = accounts
        self._apply_keys(news, now)
        self._price_rows = news.prices
        self._make_prices()

    def configure(self, settings: AccountsSettings) -> None:
        """Use other tiers, limits and prices from now on."""
        self.settings = settings
        self._tiers = tiers_of(settings)
        if self._snapshot is not None:
            self._apply_again(self._snapshot)

    def _apply_again(self, news: Snapshot) -> None:
        # The money in it is old.
        known = {row["id"]: row for row in news.accounts}
        for number, account in self.accounts.items():
            if number in known:
                known[number]["balance"] = account.base
                known[number]["held"] = account.foreign + account.stored
                known[number]["spent"] = account.limits.budget.spent
                known[number]["spent_from"] = account.limits.budget.since
        self.apply(news)

    def _apply_keys(self, news: Snapshot, now: int) -> None:
        keys: dict[bytes, Key] = {}
        by_id: dict[int, Key] = {}
        for row in news.keys:
            account = self.accounts[row["account_id"]]
            scopes = frozenset(row["scopes"].split())
            key = self._by_id.get(row["id"])
            if key is None:
                key = Key(row["id"], account, row["name"], row["prefix"], scopes)
            key.account, key.name, key.scopes = account, row["name"], scopes
            key.models, key.max_context = patterns(row["models"]), row["max_context"]
            key.may_load, key.may_evict = row["may_load"], row["may_evict"]
            key.expires_at = row["expires_at"]
            key.limits.change(row["rpm"], row["tpm"], row["concurrency"], now)
            _budget(key.limits, row)
            keys[row["digest"]] = by_id[row["id"]] = key
        self._keys, self._by_id = keys, by_id

    def _make_prices(self) -> None:
        now = self._wall()
        valid: dict[str, Price] = {}
        self._prices_until = 0
        for row in self._price_rows:
            if row["valid_from"] > now:
                self._prices_until = row["valid_from"]
                break
            amounts = row["input"], row["cached"], row["output"], row["per_request"]
            valid[row["model"]] = Price(*amounts, row["id"])
        self._prices = PriceList(self.settings, valid)


def _fund(account: Account, balance: int, held: int) -> None:
    account.base = balance
    account.foreign = held - account.stored


def _budget(limits: Limits, row: dict[str, Any]) -> None:
    """Set the budget of a row; what was spent here and is not booked yet stays spent."""
    known = limits.budget
    if (known.amount, known.period) == (row["budget"], row["budget_period"]):
        known.spent = (
            max(known.spent, row["spent"]) if row["spent_from"] >= known.since else known.spent
        )
        return
    held = known.held
    limits.budget = Budget(row["budget"], row["budget_period"], row["spent"], row["spent_from"])
    limits.budget.held = held
