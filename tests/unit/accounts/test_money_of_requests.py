"""Money is neither made nor lost: requests, crashes, retries and other gateways in any order.

The memory of a gateway and a real database are driven together, and compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from account_rows import add_account, add_key, check_books, hold, settlement
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import create_engine, func, select

from accounts.admission import Ask, Now, admit
from accounts.book import Book
from accounts.keys import digest_of
from accounts.money import FREE
from accounts.store.booking import book
from accounts.store.changes import Actor, add_money
from accounts.store.recovery import dead_boots, rebook, release
from accounts.store.snapshot import snapshot
from accounts.tables import HOLDS, METADATA, STATE
from utils.config.accounts import AccountsSettings
from utils.errors import InsufficientQuota

if TYPE_CHECKING:
    from accounts.store.rows import Hold, Settlement
    from accounts.ticket import Ticket

AMOUNTS = st.integers(0, 60)
SHARES = st.floats(0, 1)
COUNTS = st.integers(1, 5)


class Gateways(RuleBasedStateMachine):
    """One gateway, whose memory is tested, and what others do to the same account."""

    @initialize(money=st.integers(0, 200))
    def begin(self, money: int) -> None:
        # One connection to a database in memory is shared by all that use it.
        self.engine = create_engine("sqlite://")
        self.connection = self.engine.connect()
        METADATA.create_all(self.connection)
        self.connection.execute(STATE.insert().values(name="revision", value=0))
        self.account = add_account(self.connection, money)
        add_key(self.connection, self.account, digest_of("k"))
        self.connection.commit()
        self.number, self.boot, self.sources = 0, 0, 0
        self.queue: list[Hold | Settlement] = []
        # What a request must have cost, if it was charged.
        self.costs: dict[str, int] = {}
        self.foreign: list[Hold] = []
        self.start()

    def start(self) -> None:
        """Begin with an empty memory, as after a crash; the rows that waited are in a file."""
        self.boot += 1
        for _ in range(2):
            # The gateway that books them may be killed, too.
            rebook(self.engine, self.queue)
        self.queue = []
        # How many rows were tried together by a commit that failed: they stay together.
        self.tried = 0
        self.open: list[Ticket] = []
        self.book = Book(AccountsSettings(), lambda: 0, lambda: 0)
        with self.connection.begin():
            mine = [b for b in dead_boots(self.connection, f"{self.boot}") if b != "other"]
            release(self.connection, mine, 0)
            news = snapshot(self.connection)
            assert not release(self.connection, mine, 0), "twice"
        self.book.apply(news)

    @property
    def memory(self) -> Any:
        return self.book.accounts[self.account]

    def teardown(self) -> None:
        self.connection.close()

    # -- requests of this gateway ----------------------------------------------------

    @rule(amount=AMOUNTS)
    def ask(self, amount: int) -> None:
        key = self.book.key("k")
        assert key is not None
        # The limits of the tier are another test's.
        key.account.limits.requests = None
        before = key.account.available
        self.number += 1
        asked = Ask(f"r{self.number}", "m", 1, amount, FREE)
        try:
            ticket = admit(key, asked, Now(0, 0))
        except InsufficientQuota:
            assert before < amount
            return
        assert before >= amount or not amount
        self.open.append(ticket)
        if amount:
            self.queue.append(hold(ticket.request_id, self.account, amount))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 100), amount=AMOUNTS)
    def grow(self, which: int, amount: int) -> None:
        before = self.memory.available
        assert self.open[which % len(self.open)].grow(amount, 0) is (before >= amount)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 100), share=SHARES)
    def settle(self, which: int, share: float) -> None:
        """In any order, and with any end: complete, left, broken or cancelled."""
        ticket = self.open.pop(which % len(self.open))
        assert ticket.held is not None
        cost = int(ticket.held * share)
        ticket.settle(cost, 1, 0, 0)
        self.costs[ticket.request_id] = cost
        self.queue.append(settlement(ticket.request_id, self.account, cost))

    # -- the database ----------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule(count=COUNTS)
    def commit(self, count: int) -> None:
        count = max(count, self.tried)
        group, self.queue = self.queue[:count], self.queue[count:]
        with self.connection.begin():
            outcome = book(self.connection, f"{self.boot}", group, again=self.tried > 0)
        self.tried = 0
        self.book.booked(group, outcome)

    @precondition(lambda self: self.queue)
    @rule(count=COUNTS, happened=st.booleans())
    def commit_fails(self, count: int, happened: bool) -> None:
        """Nobody knows whether it has happened; the rows stay, and are tried again."""
        count = max(count, self.tried)
        transaction = self.connection.begin()
        book(self.connection, f"{self.boot}", self.queue[:count], again=self.tried > 0)
        if happened:
            transaction.commit()
        else:
            transaction.rollback()
        self.tried = count

    @rule()
    def crash(self) -> None:
        self.start()

    # -- others ----------------------------------------------------------------------

    @rule(amount=st.integers(1, 50))
    def top_up(self, amount: int) -> None:
        self.sources += 1
        source = f"more:{self.sources}"
        with self.connection.begin():
            for _ in range(2):
                add_money(self.connection, Actor(0), self.account, amount, source=source)
            news = snapshot(self.connection)
        self.book.apply(news)

    @rule(amount=AMOUNTS)
    def other_holds(self, amount: int) -> None:
        self.number += 1
        row = hold(f"o{self.number}", self.account, amount)
        with self.connection.begin():
            if not book(self.connection, "other", [row]).refused:
                self.foreign.append(row)

    @precondition(lambda self: self.foreign)
    @rule(share=SHARES)
    def other_settles(self, share: float) -> None:
        row = self.foreign.pop()
        cost = int(row.amount * share)
        self.costs[row.request_id] = cost
        with self.connection.begin():
            book(self.connection, "other", [settlement(row.request_id, self.account, cost)])

    # -- what always holds -----------------------------------------------------------

    @invariant()
    def the_books_are_right(self) -> None:
        with self.connection.begin():
            check_books(self.connection)
            ask = self.connection.exec_driver_sql
            balance, held = ask("SELECT balance, held FROM accounts").one()
            rows = ask("SELECT request_id, cost FROM usage WHERE ended != 'crashed'")
            charged = {each.request_id: each.cost for each in rows}
            count = ask("SELECT COUNT(*) FROM ledger WHERE kind = 'usage'").scalar_one()
        assert charged.items() <= self.costs.items()
        waiting = {row.request_id for row in self.queue}
        assert self.costs.keys() - charged.keys() <= waiting, "what is settled is never lost"
        assert count == sum(cost > 0 for cost in charged.values())
        assert held >= 0
        memory = self.memory
        assert memory.held == sum(ticket.held or 0 for ticket in self.open)
        if not self.queue and not self.foreign_news(balance, held):
            assert memory.pending == 0
            stored = select(func.coalesce(func.sum(HOLDS.c.amount), 0))
            own = stored.where(HOLDS.c.boot_id == f"{self.boot}")
            with self.connection.begin():
                assert memory.stored == self.connection.execute(own).scalar_one()

    def foreign_news(self, balance: int, held: int) -> bool:
        """Whether others have changed something that this gateway was not told of yet."""
        memory = self.memory
        return bool(memory.base != balance or memory.foreign + memory.stored != held)


TestGateways = Gateways.TestCase
# To shorten a failing case takes minutes, as each step asks a database.
TestGateways.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, phases=[Phase.generate]
)
