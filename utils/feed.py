"""One publisher, many subscribers; the publisher never waits.

A subscriber that is too slow loses the oldest items and learns how many. It gets the rest in
order. A feed belongs to one event loop and is not thread-safe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class Subscription(Generic[_T]):
    """The items published since it was made. Leaving the ``with`` block ends it."""

    def __init__(self, feed: Feed[_T], room: int) -> None:
        self._feed = feed
        self._items: deque[_T] = deque(maxlen=room)
        self._lost = 0
        self._news = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._feed.forget(self)

    async def fetch(self) -> tuple[list[_T], int] | None:
        """Wait for items; return all of them, and how many were lost before them.

        Return None if the feed is closed and no item is left.
        """
        while not self._items:
            if self._feed.closed:
                return None
            self._news.clear()
            await self._news.wait()
        items, lost = list(self._items), self._lost
        self._items.clear()
        self._lost = 0
        return items, lost

    def put(self, item: _T) -> None:
        """Add an item; if there is no room, the oldest item is lost."""
        self._lost += len(self._items) == self._items.maxlen
        self._items.append(item)
        self._news.set()

    def wake(self) -> None:
        """Make a waiting ``fetch`` check again."""
        self._news.set()


class Feed(Generic[_T]):
    """Passes each published item to all current ``subscriptions``."""

    def __init__(self, room: int = 1000) -> None:
        self._room = room
        self.subscriptions: set[Subscription[_T]] = set()
        self.closed = False

    def publish(self, item: _T) -> None:
        """Pass the item to all subscriptions."""
        for subscription in self.subscriptions:
            subscription.put(item)

    def subscribe(self) -> Subscription[_T]:
        """Return a subscription to what is published from now on. It keeps ``room`` items."""
        subscription = Subscription(self, self._room)
        self.subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription[_T]) -> None:
        """Remove the subscription. Does nothing if it is already removed."""
        self.subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription, once its items are fetched."""
        self.closed = True
        for subscription in self.subscriptions:
            subscription.wake()
