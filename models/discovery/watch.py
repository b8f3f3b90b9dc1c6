"""Tell when the stores of models may have changed, so that they are looked at again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from models.discovery.stores import Store

_log = get_logger("models")
# Seconds between two looks without a sign: not every system and not every share tells of changes.
EVERY = 600.0
# Seconds without a change before a look: a download changes files all the time.
QUIET = 1.0
_LONGEST_MS = 60_000


async def changed_stores(
    stores: Sequence[Store], *, watch: bool, every: float = EVERY, quiet: float = QUIET
) -> AsyncGenerator[None, None]:
    """Yield every ``every`` seconds, and with ``watch`` also ``quiet`` seconds after a change.

    Which file has changed is not told, because the system does not tell it of new folders: all
    stores are to be listed again.
    """
    while True:
        there = await asyncio.to_thread(_there, stores) if watch else []
        if not there:
            await asyncio.sleep(every)
            yield
            continue
        from watchfiles import awatch  # noqa: PLC0415 - few watch, and its import takes a while

        try:
            signs = awatch(
                *there,
                watch_filter=None,
                debounce=_LONGEST_MS,
                step=int(quiet * 1000),
                rust_timeout=int(every * 1000),
                yield_on_timeout=True,
                ignore_permission_denied=True,
            )
            async with aclosing(signs):
                async for _ in signs:
                    yield
                    if await asyncio.to_thread(_there, stores) != there:
                        # A program has made its folder, and it is watched from now on.
                        break
        except OSError as error:
            _log.warning("the stores of models are not watched: %s", error)
            watch = False


def _there(stores: Sequence[Store]) -> list[str]:
    return [store.path for store in stores if Path(store.path).is_dir()]
