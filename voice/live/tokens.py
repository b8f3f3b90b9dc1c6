"""The sessions that were asked for, by their tokens. Pure: ``now`` is a monotonic time.

A token opens one websocket, once. A session ends when its time is over, when it is deleted, or
when its websocket closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from utils.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.caller import Caller
    from voice.live.options import LiveOptions

_RETRY_AFTER = 5.0


@dataclass(slots=True, eq=False)
class Ticket:
    """One session. ``until`` is its end; ``expires_at`` says the same as a date.

    ``close`` ends its websocket by a code and a reason, if it has one; ``opened`` once it had one.
    """

    token: str
    owner: str
    caller: Caller | None
    options: LiveOptions
    created_at: str
    expires_at: str
    until: float
    opened: bool = False
    close: Callable[[int, str], None] | None = field(default=None)


class Tickets:
    """All sessions that have not ended."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, ticket: Ticket, now: float, most: int, most_of_one: int) -> None:
        """Add a session; RateLimited if there are ``most``, or ``most_of_one`` of its owner."""
        self._forget(now)
        mine = sum(each.owner == ticket.owner for each in self._tickets.values())
        if mine >= most_of_one or len(self._tickets) >= most:
            whose = "of yours " if mine >= most_of_one else ""
            raise RateLimited(
                f"{min(mine, len(self._tickets)) if whose else len(self._tickets)} live sessions "
                f"{whose}are open already; end one, or wait until one ends.",
                _RETRY_AFTER,
                {},
            )
        self._tickets[ticket.token] = ticket

    def find(self, token: str, owner: str, now: float) -> Ticket | None:
        """Return the owner's session; None if there is none, or it has expired."""
        self._forget(now)
        ticket = self._tickets.get(token)
        return ticket if ticket is not None and ticket.owner == owner else None

    def redeem(self, token: str, now: float) -> Ticket | None:
        """Return the session whose websocket is opened now; None if that cannot be."""
        self._forget(now)
        ticket = self._tickets.get(token)
        if ticket is None or ticket.opened:
            return None
        ticket.opened = True
        return ticket

    def revoke(self, good: Callable[[Caller], bool], code: int, reason: str) -> None:
        """End the sessions of callers that are not good any more."""
        for ticket in tuple(self._tickets.values()):
            if ticket.caller is not None and not good(ticket.caller):
                self.remove(ticket)
                if ticket.close is not None:
                    ticket.close(code, reason)

    def has(self, ticket: Ticket) -> bool:
        """Return whether the session has not ended."""
        return ticket.token in self._tickets

    def remove(self, ticket: Ticket) -> None:
        """Forget a session; harmless when repeated."""
        self._tickets.pop(ticket.token, None)

    def _forget(self, now: float) -> None:
        """Forget those that have expired and were never opened; others end themselves."""
        over = [each for each in self._tickets.values() if each.until <= now and not each.opened]
        for each in over:
            del self._tickets[each.token]
