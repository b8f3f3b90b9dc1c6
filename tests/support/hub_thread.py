"""The tests' hub in a thread of its own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING

from fake_hub import FakeHub, fake_hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


class HubThread(threading.Thread):
    """A hub that answers until ``close``; ``go_on`` lets answers go on that it holds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.hub = FakeHub()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.start()
        self._ready.wait()

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with fake_hub() as self.hub:
            self._ready.set()
            await self._over.wait()

    def go_on(self) -> None:
        self._loop.call_soon_threadsafe(self.hub.go_on.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join()


@contextlib.contextmanager
def hub_for(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[HubThread]:
    """Inside the block, gateways that start ask this hub, and have no models but in ``folder``."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        patch.delenv(name)
    patch.delenv("LLAMA_CACHE", raising=False)
    patch.setenv("HOME", str(folder))
    thread = HubThread()
    patch.setenv("HF_ENDPOINT", thread.hub.url)
    try:
        yield thread
    finally:
        thread.close()
