"""voice/outbox.py: order, a limit, and speech that nobody wants any more."""

from __future__ import annotations

import asyncio

import pytest
from raw_client import PATIENCE

from voice.outbox import Outbox
from voice.told import Speech, SpeechStarted

MANY = 65


def speech(turn: int) -> Speech:
    return Speech(turn, b"", "", 1.0)


async def waiting_for_room(box: Outbox) -> asyncio.Task[None]:
    """Fill the box with the speech of turn 1, and wait for room."""
    for _ in range(MANY):
        box.put(speech(1))
    waits = asyncio.create_task(box.room())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waits), 0.01)
    return waits


async def test_there_is_room_once_half_was_taken() -> None:
    box = Outbox()
    waits = await waiting_for_room(box)
    while not waits.done():
        assert await box.take() == speech(1)
        await asyncio.wait({waits}, timeout=0.001)
    await waits


async def test_there_is_room_once_speech_was_dropped() -> None:
    box = Outbox()
    waits = await waiting_for_room(box)
    box.put(SpeechStarted(2))
    box.silence(1)
    await asyncio.wait_for(waits, PATIENCE)
    assert await box.take() == SpeechStarted(2)
