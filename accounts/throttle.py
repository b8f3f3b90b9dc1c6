"""How often somebody may try: logins, signups and bad tickets, by address and by account. Pure."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from accounts.limits import Bucket
from utils.errors import TooManyLogins

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_SECOND = 10**9
# One customer of a provider has at least so much of its IPv6 network.
_OF_ONE = 64


class Throttle:
    """Lets each ``who`` try ``limit`` times in a period, and the rest one after another.

    ``monotonic`` returns nanoseconds. Of more than ``room`` names the one that tried longest ago is
    forgotten, which gives it all its tries again.
    """

    def __init__(
        self, limit: int, period: int, monotonic: Callable[[], int], room: int = 10_000
    ) -> None:
        self._limit = limit
        self._period = period
        self._now = monotonic
        self._room = room
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def take(self, *who: Hashable) -> None:
        """Count a try of all of these; TooManyLogins, and nothing is counted, if one has none."""
        now = self._now()
        buckets = [self._bucket(each) for each in who]
        waits = [bucket.wait(now) for bucket in buckets]
        if max(waits) > 0:
            raise TooManyLogins("There were too many tries; wait a while.", max(waits) / _SECOND)
        for bucket in buckets:
            bucket.take(now)

    def forgive(self, *who: Hashable) -> None:
        """Forget the tries of these, because the last one was right."""
        for each in who:
            self._buckets.pop(each, None)

    def _bucket(self, who: Hashable) -> Bucket:
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = Bucket(self._limit, self._period)
            if len(self._buckets) > self._room:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        return bucket


def place_of(address: str | None) -> str:
    """Return the same text for all addresses that one client may use as it likes."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if found.version == 4:  # noqa: PLR2004 - IPv4
        return str(found)
    return str(ip_network((found, _OF_ONE), strict=False))
