"""inference/in_flight.py: a request is ended from outside, once, and only while that can be."""

from __future__ import annotations

import asyncio

import pytest

from inference.call import CallRecord
from inference.in_flight import Ongoing, RequestRegistry
from utils.errors import RequestCancelled, UnknownRequest


def ongoing(registry: RequestRegistry) -> Ongoing:
    return Ongoing(CallRecord(started=0.0, id=registry.new_id()))


async def waits(request: Ongoing, outcome: list[str]) -> None:
    try:
        with request:
            await asyncio.Event().wait()
    except RequestCancelled:
        # Whatever is awaited now is not cancelled any more.
        await asyncio.sleep(0)
        outcome.append("told")


async def test_a_request_that_waits_is_ended_and_can_tell_it() -> None:
    registry = RequestRegistry()
    request = ongoing(registry)
    registry.add(request)
    outcome: list[str] = []
    task = asyncio.create_task(waits(request, outcome))
    await asyncio.sleep(0)
    registry.cancel(request.record.id)
    with pytest.raises(UnknownRequest):
        registry.cancel(request.record.id)
    await task
    assert outcome == ["told"]
    assert task.cancelling() == 0
    with pytest.raises(UnknownRequest):
        registry.cancel(request.record.id)
    registry.remove(request)
    registry.remove(request)
    assert len(registry) == 0


async def test_a_client_that_leaves_at_the_same_time_is_not_told() -> None:
    registry = RequestRegistry()
    request = ongoing(registry)
    outcome: list[str] = []
    task = asyncio.create_task(waits(request, outcome))
    await asyncio.sleep(0)
    assert request.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcome == []


async def test_another_failure_at_the_same_time_is_told_as_it_is() -> None:
    registry = RequestRegistry()
    request = ongoing(registry)

    async def fails() -> None:
        with request:
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("its own")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    assert request.cancel()
    with pytest.raises(ValueError, match="its own"):
        await task
    assert task.cancelling() == 0


def test_ids_are_never_used_twice() -> None:
    one, other = RequestRegistry(), RequestRegistry()
    ids = [registry.new_id() for registry in (one, other) for _ in range(1000)]
    assert len(set(ids)) == 2000


def test_what_is_not_in_flight_cannot_be_cancelled() -> None:
    registry = RequestRegistry()
    with pytest.raises(UnknownRequest, match="'x'"):
        registry.cancel("x")
    request = ongoing(registry)
    registry.add(request)
    assert list(registry) == [request]
    with pytest.raises(UnknownRequest):
        registry.cancel(request.record.id)


def test_only_a_task_answers_requests() -> None:
    with pytest.raises(RuntimeError), ongoing(RequestRegistry()):
        pass
