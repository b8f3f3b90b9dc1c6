"""What the client of whisper-server does before it asks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from builders import variant

from engine.sound.encoding import Encoder
from engine.sound.tools import tool
from engine.whisper.client import WhisperEngine
from engine.whisper.form import SoundForm
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = "/v1/audio/transcriptions"


async def test_a_file_that_tells_no_length_is_decoded_even_if_the_engine_reads_it() -> None:
    known = tool()
    assert known is not None
    encoder = await Encoder.started(known.encode("flac", 16000))
    await encoder.feed(bytes(2 * 16000))
    encoder.finish()
    sound = b"".join([piece async for piece in _pieces(encoder)])
    encoder.kill()
    strict = dataclasses.replace(variant(None), max_seconds=0.5)
    # Nothing listens there: it is refused before the engine is asked.
    engine = WhisperEngine(strict, "http://127.0.0.1:9", "/inference", frozenset({"flac"}))

    async def file() -> AsyncIterator[bytes]:
        yield sound

    asked: Any = SoundForm([], len(sound), file)
    with pytest.raises(BadRequest, match=r"1\.0 seconds; 'm' takes at most 0\.5"):
        await engine.forward(PATH, {}, asked)
    assert asked.seconds == pytest.approx(1.0)
    await engine.close()


async def _pieces(encoder: Encoder) -> AsyncIterator[bytes]:
    while piece := await encoder.read():
        yield piece
