"""Loopback ports for engines."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


# The name of the lock of a port among the gateways of this machine: a socket without a file, which
# lives in the same network namespace as the port, and ends with its process.
_LOCK = "\0llm-gateway port {}"
# Below what systems give to outgoing connections (Linux from 32768 on, others from 49152): one of
# those could take an engine's port in the moment before the engine listens, and fail its start.
_QUIET = range(16384, 32768)
_TRIES = 100
# Seconds. On this machine it takes none.
_ANSWERS_WITHIN = 0.5


def free_port(within: tuple[int, int] | None = None, taken: Collection[int] = frozenset()) -> int:
    """Return a free loopback port that is not in ``taken``. Raises OSError if none is free.

    It is the first free one of ``within`` (first and last port), or any that no system gives to
    outgoing connections. A port where connections of an earlier server are in TIME_WAIT is taken
    only if there is no other: not all servers can listen there (with SO_REUSEADDR).
    """
    if within is not None:
        wanted: Sequence[int] = range(within[0], within[1] + 1)
        none = f"every port from {within[0]} to {within[1]} is in use"
    else:
        wanted = random.sample(_QUIET, min(_TRIES, len(_QUIET)))
        none = "no free port was found"
    # On Windows the option would let two servers have one port.
    for reuse in (0,) if sys.platform == "win32" else (0, 1):
        for port in wanted:
            if port in taken:
                continue
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                probe.bind(("127.0.0.1", port))
                return port
    raise OSError(errno.EADDRINUSE, none)


class PortClaim:
    """A free port for one engine, until ``release``.

    On Linux no other gateway of the machine claims it meanwhile. Two engines that are started on
    one port at the same time would pass for each other: the one that cannot listen takes a moment
    to say so.
    """

    def __init__(
        self, within: tuple[int, int] | None = None, taken: Collection[int] = frozenset()
    ) -> None:
        """Claim a port as ``free_port`` finds it. Raises OSError if none is free."""
        given = {*taken}
        while True:
            self.port = free_port(within, given)
            self._lock = socket.socket(socket.AF_UNIX) if sys.platform == "linux" else None
            if self._lock is None or self._is_ours(self._lock):
                return
            self._lock.close()
            given.add(self.port)

    def _is_ours(self, lock: socket.socket) -> bool:
        try:
            lock.bind(_LOCK.format(self.port))
        except OSError as error:
            # A machine that knows no such names has no such locks.
            return error.errno != errno.EADDRINUSE
        return True

    def release(self) -> None:
        """Let others have the port."""
        if self._lock is not None:
            self._lock.close()


def port_holder(url: str) -> str | None:
    """Return why an engine cannot listen at ``url``; None if the port is free.

    Without this check, another program on the port would pass for the engine that could not bind
    it.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            if sys.platform == "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                # As servers do: a connection in TIME_WAIT does not count as a holder.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _answers(family, host, port):
            return f"port {port} is in use by another process; change 'connect' or free the port"
    return None


def _answers(family: socket.AddressFamily, host: str, port: int) -> bool:
    """Return whether a server listens there.

    Connections in TIME_WAIT keep others from the port if their server had another option than the
    one that asks: some have SO_REUSEPORT. The next one of its kind can listen there.
    """
    with socket.socket(family) as probe:
        probe.settimeout(_ANSWERS_WITHIN)
        try:
            probe.connect((host, port))
        except TimeoutError:
            return True  # it is too busy to say so
        except OSError:
            return False
    return True
