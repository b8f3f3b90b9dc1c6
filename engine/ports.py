"""Loopback ports for engines."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection


def free_port(within: tuple[int, int] | None = None, taken: Collection[int] = frozenset()) -> int:
    """A loopback port that nobody listens on at this moment, and none of ``taken``.

    ``within``: from the first to the last of these; OSError when none of them is free.
    """
    first, last = within or (0, 0)
    for wanted in range(first, last + 1):
        if wanted in taken:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            if within is not None and sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", wanted))
            port: int = probe.getsockname()[1]
            # The system may offer again what it gave to an engine that does not listen yet.
            return port if port not in taken else free_port(within, taken)
    raise OSError(errno.EADDRINUSE, f"every port from {first} to {last} is in use")


def port_holder(url: str) -> str | None:
    """Why an engine cannot listen at ``url``, in words; None when the port is free.

    Without this a stranger on the port would pass for the engine that just failed to bind it.
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
        if error.errno == errno.EADDRINUSE:
            return f"port {port} is in use by another process; change 'connect' or free the port"
    return None
