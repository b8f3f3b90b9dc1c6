"""One who tells, many who listen, and nobody waits for a listener.

Whoever listens too slowly loses the oldest items and is told how many; the rest reach it in
order. Used on one event loop; not for several threads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class Subscription(Generic[_T]):
    """What was told since it was made; leave the block to stop listening."""

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
        """What has come, as soon as something has, and how many were lost before it.

        None when the feed is closed and all of it was handed out.
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
        """The item waits to be fetched; the oldest makes room for it."""
        self._lost += len(self._items) == self._items.maxlen
        self._items.append(item)
        self._news.set()

    def wake(self) -> None:
        """Whoever waits looks again."""
        self._news.set()


class Feed(Generic[_T]):
    """Hands what it is told to everybody who listens at that time."""

    def __init__(self, room: int = 1000) -> None:
        self._room = room
        self._subscriptions: set[Subscription[_T]] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    def publish(self, item: _T) -> None:
        """Everybody who listens will get the item."""
        for subscription in self._subscriptions:
            subscription.put(item)

    def subscribe(self) -> Subscription[_T]:
        """What is published from now on, for ``room`` items that were not fetched yet."""
        subscription = Subscription(self, self._room)
        self._subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription[_T]) -> None:
        """Nothing more is kept for the subscription; harmless when called again."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """Every subscription ends, as soon as what it holds was fetched."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.wake()
