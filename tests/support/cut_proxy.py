"""A proxy whose connections a test can cut, as a network does that is lost."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Closing sends a reset, and no end of the stream.
_AT_ONCE = struct.pack("ii", 1, 0)
_PIECE = 65536


class CutProxy:
    """Passes every connection on to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._there = threading.Event()
        self._there.set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections of now; later ones wait for ``mend``."""
        self._there.clear()
        self._break()

    def _break(self) -> None:
        with self._lock:
            ends, self._ends = self._ends, set()
        for each in ends:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                # Close what another thread reads, and wake that.
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def mend(self) -> None:
        """Pass on connections again."""
        self._there.set()

    def close(self) -> None:
        """Listen no more, and break all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break()
        self.mend()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                self._there.wait()
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            with self._lock:
                self._ends |= {client, server}
            if self._listener.fileno() < 0:  # it was closed meanwhile
                self._break()
                return
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(_PIECE):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def cut_proxy(url: str) -> Iterator[CutProxy]:
    """Inside the block a proxy serves what is at ``url``."""
    proxy = CutProxy(int(url.rpartition(":")[2]))
    try:
        yield proxy
    finally:
        proxy.close()
