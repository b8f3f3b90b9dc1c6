"""models/discovery/watch.py: a change in a store is noticed, and time alone is enough, too."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from model_stores import put
from raw_client import PATIENCE

from models.discovery.stores import FOLDER, Store
from models.discovery.watch import changed_stores

if TYPE_CHECKING:
    from pathlib import Path


async def test_time_alone_is_a_reason_to_look_again(tmp_path: Path) -> None:
    for watch in (True, False):
        store = Store(FOLDER, str(tmp_path))
        async with aclosing(
            changed_stores([store], watch=watch, every=0.05, quiet=0.02)
        ) as changes:
            async with asyncio.timeout(PATIENCE):
                await anext(changes)
                await anext(changes)


async def test_a_new_file_in_a_new_folder_is_noticed(tmp_path: Path) -> None:
    stores = [Store(FOLDER, str(tmp_path)), Store(FOLDER, str(tmp_path / "absent"))]
    async with aclosing(changed_stores(stores, watch=True, every=60.0, quiet=0.1)) as changes:
        noticed = asyncio.ensure_future(anext(changes))
        number = 0
        async with asyncio.timeout(PATIENCE):
            # The watch begins some time after the call, so files come until one is noticed.
            while not noticed.done():
                number += 1
                put(tmp_path / f"new{number}" / "m.gguf")
                await asyncio.wait([noticed], timeout=0.3)
        await noticed


async def test_a_store_that_comes_later_is_watched(tmp_path: Path) -> None:
    store = Store(FOLDER, str(tmp_path / "later"))
    async with aclosing(changed_stores([store], watch=True, every=0.05, quiet=0.02)) as changes:
        async with asyncio.timeout(PATIENCE):
            await anext(changes)
            put(tmp_path / "later" / "m.gguf")
            await anext(changes)
            await anext(changes)
