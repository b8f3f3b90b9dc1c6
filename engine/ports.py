"""Loopback ports for engines."""

from __future__ import annotations

import errno
import socket
import sys
from urllib.parse import urlsplit


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
