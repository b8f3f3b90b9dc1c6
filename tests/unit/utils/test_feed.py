"""utils/feed.py: many listeners; none of them makes the publisher wait."""

from __future__ import annotations

import asyncio

from utils.feed import Feed, Subscription


async def rest(subscription: Subscription[int]) -> list[tuple[list[int], int]]:
    batches = []
    while (batch := await subscription.fetch()) is not None:
        batches.append(batch)
    return batches


async def test_each_listener_gets_what_was_told_since_it_came() -> None:
    feed: Feed[int] = Feed()
    feed.publish(0)
    with feed.subscribe() as early:
        feed.publish(1)
        with feed.subscribe() as late:
            feed.publish(2)
            feed.close()
            assert await rest(early) == [([1, 2], 0)]
            assert await rest(late) == [([2], 0)]
    assert not feed.subscriptions


async def test_a_slow_listener_loses_the_oldest_and_is_told() -> None:
    feed: Feed[int] = Feed(room=3)
    with feed.subscribe() as slow:
        for number in range(10):
            feed.publish(number)
        assert await slow.fetch() == ([7, 8, 9], 7)
        feed.publish(10)
        assert await slow.fetch() == ([10], 0)


async def test_a_listener_that_waits_is_woken_by_news_and_by_the_end() -> None:
    feed: Feed[int] = Feed()
    with feed.subscribe() as subscription:
        listening = asyncio.create_task(rest(subscription))
        await asyncio.sleep(0)
        feed.publish(1)
        await asyncio.sleep(0)
        feed.publish(2)
        await asyncio.sleep(0)
        assert not listening.done()
        feed.close()
        assert await listening == [([1], 0), ([2], 0)]


async def test_of_a_thousand_that_leave_nothing_is_left() -> None:
    feed: Feed[int] = Feed()
    subscriptions = [feed.subscribe() for _ in range(1000)]
    feed.publish(1)
    tasks = [asyncio.create_task(rest(subscription)) for subscription in subscriptions]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for subscription in subscriptions:
        with subscription:
            pass
        feed.forget(subscription)
    assert not feed.subscriptions
