"""Conversations: lists of items that responses read and go on with."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.codecs.responses.items import new_id
from utils.errors import NotStored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from models.requests.fields import Json
    from server.responses.store import ResponseStore


class Conversations:
    """Keeps conversations in the store; ``now`` tells the time in seconds since 1970."""

    def __init__(self, store: ResponseStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        # What two requests add at the same time is added one after the other.
        self._changing = asyncio.Lock()

    async def create(self, owner: str, items: Sequence[Json], metadata: Json) -> Json:
        """Return a new conversation."""
        conversation = {
            "id": new_id("conv"),
            "object": "conversation",
            "created_at": int(self._now()),
            "metadata": metadata,
        }
        await self._put(owner, {"conversation": conversation, "items": list(items)})
        return conversation

    async def find(self, key: str, owner: str) -> Json:
        """Return the conversation, or raise NotStored."""
        found: Json = (await self._find(key, owner))["conversation"]
        return found

    async def items(self, key: str, owner: str) -> list[Json]:
        """Return all items, oldest first, or raise NotStored."""
        found: list[Json] = (await self._find(key, owner))["items"]
        return found

    async def item(self, key: str, item: str, owner: str) -> Json:
        """Return one item, or raise NotStored."""
        for each in await self.items(key, owner):
            if each["id"] == item:
                return each
        raise NotStored(f"Item with id '{item[:80]}' not found.")

    async def add(self, key: str, owner: str, items: Sequence[Json]) -> None:
        """Add items at the end, or raise NotStored."""
        async with self._changed(key, owner) as document:
            document["items"] += items

    async def describe(self, key: str, owner: str, metadata: Json) -> Json:
        """Replace the metadata; return the conversation, or raise NotStored."""
        async with self._changed(key, owner) as document:
            document["conversation"]["metadata"] = metadata
        found: Json = document["conversation"]
        return found

    async def drop(self, key: str, item: str, owner: str) -> Json:
        """Remove an item; return the conversation, or raise NotStored."""
        async with self._changed(key, owner) as document:
            left = [each for each in document["items"] if each["id"] != item]
            if len(left) == len(document["items"]):
                raise NotStored(f"Item with id '{item[:80]}' not found.")
            document["items"] = left
        found: Json = document["conversation"]
        return found

    async def remove(self, key: str, owner: str) -> None:
        """Forget the conversation, or raise NotStored."""
        await self._find(key, owner)
        await self._store.remove(key, owner)

    @asynccontextmanager
    async def _changed(self, key: str, owner: str) -> AsyncIterator[Json]:
        async with self._changing:
            document = await self._find(key, owner)
            yield document
            await self._put(owner, document)

    async def _find(self, key: str, owner: str) -> Json:
        document = await self._store.get(key, owner)
        if document is None or "conversation" not in document:
            raise NotStored(f"Conversation with id '{key[:80]}' not found.", param="conversation")
        return document

    async def _put(self, owner: str, document: Json) -> None:
        ids = tuple(item["id"] for item in document["items"])
        await self._store.put(document["conversation"]["id"], owner, document, ids)
