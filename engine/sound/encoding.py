"""Encode speech by a program beside the gateway, while it is made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.sound.tools import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIECE = 16 * 1024


class Encoder:
    """A running encoder: feed it, finish it, and read it until b"". Kill it in any case."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, command: Sequence[str]) -> Encoder:
        """Return a running encoder; OSError if it cannot be run."""
        return cls(
            await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(),
            )
        )

    async def feed(self, samples: bytes) -> None:
        """Give it more; return once it has taken most of it. ConnectionError if it has ended."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write(samples)
            await stdin.drain()

    def finish(self) -> None:
        """Tell it that nothing follows."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def read(self) -> bytes:
        """Return what it has encoded, b"" at its end; ConnectionError if it failed."""
        stdout = self._process.stdout
        piece = b"" if stdout is None else await stdout.read(_PIECE)
        if not piece and await self._process.wait():
            raise ConnectionError("the encoder failed")
        return piece

    def kill(self) -> None:
        """End it and close its pipes; nothing happens if it has ended."""
        # Its transport alone closes the pipes at once; left to the loop, they would stay open until
        # the process was reaped.
        transport: Any = self._process._transport  # type: ignore[attr-defined]  # noqa: SLF001
        transport.close()
