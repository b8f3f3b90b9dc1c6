"""The names of this machine, and the addresses of its interfaces."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psutil

from server.browsers import host_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from utils.clock import Clock

# Seconds to keep the list of interfaces. Without a limit, requests with strange Host headers would
# make the gateway read it each time.
_FRESH = 5.0


class Machine:
    """The names and addresses of this machine; addresses may change at any time.

    ``listening`` are the hosts that the gateway listens on.
    """

    def __init__(self, clock: Clock, listening: Iterable[str]) -> None:
        self._clock = clock
        self._listening = frozenset(
            host for each in listening if (host := host_of(f"[{each}]" if ":" in each else each))
        )
        self._known: frozenset[str] = frozenset()
        self._seen_at = float("-inf")

    def own(self) -> frozenset[str]:
        """Return the names and addresses, in the form of ``host_of``."""
        now = self._clock.now()
        if now - self._seen_at >= _FRESH:
            self._seen_at = now
            self._known = self._listening | _names() | _addresses()
        return self._known


def _names() -> frozenset[str]:
    # The name without its domain: to ask DNS for that could block for seconds.
    name = socket.gethostname().lower().removesuffix(".")
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"}) if name else frozenset()


def _addresses() -> frozenset[str]:
    found = (
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    )
    hosts = (host_of(f"[{each}]" if ":" in each else each) for each in found)
    return frozenset(host for host in hosts if host is not None)
