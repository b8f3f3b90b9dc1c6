"""Speech begins with its first sentence, and ends whatever happens."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import TYPE_CHECKING

import pytest

from engine.piper.answer import SpeechAnswer, Spoken
from engine.piper.asked import Asked, asked_of
from engine.sound.encoding import Encoder
from engine.sound.tools import tool
from utils.errors import EngineUnreachable
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RATE = 22050
SECOND = Spoken(RATE, bytes(2 * RATE))
ENCODED = ("mp3",)


def asked(kind: str, sentences: int = 3, **more: object) -> Asked:
    return asked_of({"input": "Hi. " * sentences, "response_format": kind, **more}, ENCODED)


async def said(_text: str) -> Spoken:
    await asyncio.sleep(0)
    return SECOND


async def fails(_text: str) -> Spoken:
    await asyncio.sleep(0)
    raise EngineUnreachable("the engine is gone")


async def started(
    wanted: Asked, speak: Callable[[str], Awaitable[Spoken]], tasks: TaskOwner
) -> SpeechAnswer:
    encoder, known = None, tool()
    assert known is not None
    if wanted.format == "mp3":
        encoder = await Encoder.started(known.encode("mp3", RATE))
    return SpeechAnswer(wanted, SECOND, speak, tasks, encoder)


async def closed(answer: SpeechAnswer, tasks: TaskOwner) -> None:
    """Close it, and wait until its encoder is gone; the loop ends with the test."""
    answer.close()
    await tasks.cancel()
    if answer._encoder is not None:
        await answer._encoder._process.wait()
        for _ in range(20):
            await asyncio.sleep(0)


async def whole(answer: SpeechAnswer) -> bytes:
    pieces = []
    while piece := await answer.read():
        pieces.append(piece)
    assert len(pieces) > 2
    assert answer.ended
    assert await answer.read() == b""
    return b"".join(pieces)


async def test_sentences_are_one_file() -> None:
    answer = await started(asked("wav"), said, TaskOwner("test"))
    with wave.open(io.BytesIO(await whole(answer))) as file:
        assert len(file.readframes(10 * RATE)) == 3 * 2 * RATE


async def test_samples_without_a_head_have_the_rate_of_openai() -> None:
    answer = await started(asked("pcm"), said, TaskOwner("test"))
    assert len(await whole(answer)) == 3 * 2 * 24000


async def test_encoded_speech_as_events() -> None:
    tasks = TaskOwner("test")
    answer = await started(asked("mp3", stream_format="sse"), said, tasks)
    events = (await whole(answer)).split(b"\n\n")
    assert b"speech.audio.done" in events[-2]
    assert all(b"speech.audio.delta" in event for event in events[:-2])
    await closed(answer, tasks)


@pytest.mark.parametrize("kind", ["wav", "mp3"])
async def test_an_engine_that_ends_breaks_it_off(kind: str) -> None:
    tasks = TaskOwner("test")
    answer = await started(asked(kind), fails, tasks)
    with pytest.raises(ConnectionError, match="the engine is gone"):
        await whole(answer)
    await closed(answer, tasks)


async def test_a_listener_that_leaves_ends_encoder_and_feeder() -> None:
    tasks = TaskOwner("test")

    async def forever(_text: str) -> Spoken:
        await asyncio.Event().wait()
        return SECOND

    answer = await started(asked("mp3"), forever, tasks)
    reading = asyncio.create_task(whole(answer))
    while not tasks:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await closed(answer, tasks)
    assert not len(tasks)
