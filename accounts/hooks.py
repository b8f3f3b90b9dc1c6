"""What accounts do around each call to a model: admit it, hold money, settle it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from accounts.admission import Ask, Now, admit, affordable, headers_of
from accounts.charging import charge_of, is_charged
from accounts.parties import Key
from accounts.sink import MeteredSink, PayingSink
from accounts.store.rows import Hold, Settlement
from inference.call import Hooks
from models.requests.endpoints import PASSTHROUGH
from utils.errors import (
    AccountsUnavailable,
    GatewayError,
    InsufficientQuota,
    KeyRefused,
    NotPermitted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accounts.book import Book
    from accounts.money import Price
    from accounts.store.writer import Writer
    from accounts.ticket import Ticket
    from inference.call import Call, Sink
    from inference.usage import Usage
    from models.selection import Selection

# The last settlements, which are told before the database is asked.
_RECENT = 1000
_LONGEST_PATH = 200


@dataclass(slots=True, eq=False)
class _Admitted:
    """What is known of an admitted call; ``covered`` is as in ``PayingSink``."""

    ticket: Ticket
    since: float
    covered: int | None
    headers: Mapping[str, str]
    stored: asyncio.Future[bool] | None = None
    settled: asyncio.Future[None] | None = None


@dataclass(slots=True)
class _Bound:
    """The most tokens of a call: of its prompt, of its answer, and of that, those held for."""

    prompt: int
    output: int
    held: int


@dataclass
class Effects:
    """What a call would do to engines: whether one must be loaded, and another evicted for it."""

    loads: Callable[[Selection], bool] = field(default=lambda _selection: False)
    evicts: Callable[[Selection], bool] = field(default=lambda _selection: False)


class AccountHooks(Hooks):
    """Admits calls of keys by ``book``, and lets ``writer`` record them.

    ``now`` returns the time. Calls by the admin token are admitted and not recorded.
    """

    def __init__(
        self, book: Book, writer: Callable[[], Writer], now: Callable[[], Now], effects: Effects
    ) -> None:
        # Whether money was missing since the database was last looked at: others may have given
        # some back.
        self.doubted = False
        self.recent: OrderedDict[str, Settlement] = OrderedDict()
        self._book = book
        self._writer = writer
        self._now = now
        self._effects = effects

    async def admit(self, call: Call, selection: Selection) -> None:
        """Take from the limits and the balance of the caller; see ``accounts.admission.admit``.

        AccountsUnavailable if the caller pays and the database cannot be written.
        """
        record = call.record
        caller = record.caller
        if caller is None:
            raise KeyRefused
        if not isinstance(caller, Key):
            return
        now, book, writer = self._now(), self._book, self._writer()
        pays = caller.pays and is_charged(call)
        price = book.price(call.model.name)
        if writer.full or (pays and writer.late > book.settings.hold_wait):
            raise _unavailable()
        self._check_engines(caller, selection)
        bound = self._bound(call, selection, caller, price, now)
        ask = Ask(
            record.id if not record.parts else f"{record.id}.{record.parts + 1}",
            call.model.name,
            bound.prompt + bound.held,
            price.bound(bound.prompt, bound.held) if pays else None,
            price,
            selection.minimum.capacity,
            begun=record.parts > 0,
        )
        try:
            ticket = admit(caller, ask, now)
        except GatewayError as error:
            self.doubted = self.doubted or isinstance(error, InsufficientQuota)
            # Good or bad, an answer tells what is left of the limits.
            error.headers = {**headers_of(caller, now.monotonic), **error.headers}
            raise
        record.parts += 1
        covered = bound.held if bound.held < bound.output else None
        headers = headers_of(caller, now.monotonic)
        admitted = _Admitted(ticket, now.monotonic / 1e9, covered, headers)
        call.admitted = admitted
        if ticket.held:
            admitted.stored = writer.hold(self._hold(call, ticket, now))

    def _check_engines(self, key: Key, selection: Selection) -> None:
        if not key.may_load and self._effects.loads(selection):
            raise NotPermitted(f"The key may not load '{selection.model.name}', and it must be.")
        if not key.may_evict and self._effects.evicts(selection):
            raise NotPermitted(
                f"The key may not end another model's engine to load '{selection.model.name}'."
            )

    def _bound(self, call: Call, selection: Selection, key: Key, price: Price, now: Now) -> _Bound:
        """Return how large the call can be; an answer in one piece may be limited by the money."""
        facts, endpoint, usual = call.facts, call.facts.endpoint, self._book.settings.hold_tokens
        if endpoint is PASSTHROUGH:
            # A token has a byte at least.
            return _Bound(len(facts.body), usual, usual)
        prompt = selection.size.tokens
        if not endpoint.generates:
            return _Bound(prompt, 0, 0)
        limit = facts.max_output or endpoint.default_output
        capacity = selection.model.largest.capacity
        room = max(1, capacity - prompt) if capacity else None
        output = min((most for most in (limit, room) if most), default=usual)
        least = min(output, usual)
        if facts.stream and call.conversation is None:
            return _Bound(prompt, output * facts.answers, least * facts.answers)
        whole = _Bound(prompt, output * facts.answers, output * facts.answers)
        if not key.pays or facts.upload is not None or facts.answers > 1:
            return whole
        left = price.tokens_for(affordable(key, now.wall) - price.bound(prompt, 0))
        if least <= left < output:
            call.facts = facts._replace(body=_limited(facts.body, endpoint.limits, left))
            return _Bound(prompt, left, left)
        return whole

    def wrapped(self, call: Call, sink: Sink) -> Sink:
        """Return a sink that tells of limits and prices, and ends what cannot be paid."""
        admitted = call.admitted
        if not isinstance(admitted, _Admitted):
            return sink
        ticket = admitted.ticket
        if ticket.held is None:
            return MeteredSink(sink, admitted.headers)
        return PayingSink(
            sink,
            admitted.headers,
            call,
            ticket,
            admitted.covered,
            partial(self._ready, admitted),
            lambda: self._now().wall,
        )

    async def _ready(self, admitted: _Admitted) -> None:
        """Return when the hold is on disk, or where others use the database, when that has it.

        InsufficientQuota if another gateway has taken the money; AccountsUnavailable if the
        database does not take the hold in time.
        """
        if (stored := admitted.stored) is None:
            return
        if not stored.done():
            patience = admitted.since + self._book.settings.hold_wait
            await _within(stored, patience - self._now().monotonic / 1e9)
            if not stored.done():
                raise _unavailable()
        if stored.exception() is not None:
            raise _unavailable()
        if not stored.result():
            raise InsufficientQuota("The balance of the account is too small for this request.")

    def settle(self, call: Call, usage: Usage) -> None:
        """Charge the call by what it used and how it ended."""
        admitted = call.admitted
        if not isinstance(admitted, _Admitted):
            return
        ticket, now = admitted.ticket, self._now()
        paid = None if ticket.held is None else ticket.price
        charge = charge_of(call, usage, paid, cut=ticket.cut)
        ticket.settle(charge.cost, charge.prompt + charge.completion, *now)
        key, record = ticket.key, call.record
        row = Settlement(
            request_id=ticket.request_id,
            account_id=key.account.id,
            key_id=key.id,
            key_name=key.name,
            model=call.model.name,
            variant=record.variant,
            path=_path(call),
            streamed=call.facts.stream,
            price_id=ticket.price.id,
            queue_ms=_ms(record.queued),
            load_ms=_ms(record.loading),
            first_ms=_ms(record.first),
            total_ms=_ms(now.monotonic / 1e9 - record.started),
            at=now.wall,
            account_from=key.account.limits.budget.since,
            key_from=key.limits.budget.since,
            **charge._asdict(),
        )
        admitted.settled = self._writer().settle(row, urgent=ticket.held is not None)
        self.recent[row.request_id] = row
        if len(self.recent) > _RECENT:
            self.recent.popitem(last=False)

    async def finish(self, call: Call, sink: Sink) -> None:
        """Pass on the end of an answer once what it cost is on disk.

        A database that fails keeps no client from its answer: the row is written later.
        """
        admitted = call.admitted
        if not isinstance(admitted, _Admitted) or not isinstance(sink, PayingSink):
            return
        if admitted.settled is not None and not admitted.settled.done():
            await _within(admitted.settled, self._book.settings.hold_wait)
        await sink.finish()

    def _hold(self, call: Call, ticket: Ticket, now: Now) -> Hold:
        return Hold(
            request_id=ticket.request_id,
            account_id=ticket.key.account.id,
            key_id=ticket.key.id,
            key_name=ticket.key.name,
            amount=ticket.held or 0,
            model=call.model.name,
            path=_path(call),
            at=now.wall,
        )


def _limited(body: bytes, limits: tuple[str, ...], tokens: int) -> bytes:
    """Return the body of a request with a limit of its answer."""
    request = orjson.loads(body)
    named = [name for name in limits if request.get(name) is not None] or limits[:1]
    return orjson.dumps({**request, **dict.fromkeys(named, tokens)})


def _path(call: Call) -> str:
    """Return the path, as far as its column holds it."""
    return (call.record.path or call.path)[:_LONGEST_PATH]


def _unavailable() -> AccountsUnavailable:
    return AccountsUnavailable("The accounts cannot be charged now; try again soon.")


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


async def _within(future: asyncio.Future[Any], seconds: float) -> None:
    """Wait for the future, but no longer; what comes later is not lost."""
    await asyncio.wait((future,), timeout=max(0.0, seconds))
