"""Ports of this machine that no two tests get, in whatever process they run."""

from __future__ import annotations

import random
import socket
import sys
from itertools import cycle, islice

# Below those that gateways give to engines, and systems to outgoing connections.
_FIRST, _END, _BLOCK = 10000, 16384, 48


def _own_block() -> tuple[range, socket.socket | None]:
    """Return ports that no other process with tests uses until this one ends, and their lock."""
    blocks = [range(first, first + _BLOCK) for first in range(_FIRST, _END, _BLOCK)]
    random.SystemRandom().shuffle(blocks)
    for block in blocks if sys.platform == "linux" else ():
        lock = socket.socket(socket.AF_UNIX)
        try:
            # A name that is no file.
            lock.bind(f"\0llm-gateway tests {block.start}")
        except OSError:
            lock.close()
        else:
            return block, lock
    return blocks[0], None


# Taken with the import: tests count the open files of this process.
_block, _lock = _own_block()
_turns = cycle(_block)


def quiet_port() -> int:
    """Return a free port that nothing else gets before the test listens on it.

    One with connections in TIME_WAIT is taken only if there is no other.
    """
    for reuse in (0, 1):
        for port in islice(_turns, _BLOCK):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
    raise AssertionError(f"{_BLOCK} ports are in use")
