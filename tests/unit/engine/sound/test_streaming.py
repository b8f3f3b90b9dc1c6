"""The process that decodes recordings as they come: its faults and its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from encoded import encoded
from recorded import RATE, recorded

from engine.sound.streaming import StreamDecoder

if TYPE_CHECKING:
    from utils.errors import GatewayError


class Listener:
    """Takes what a decoder tells."""

    def __init__(self) -> None:
        self.samples = bytearray()
        self.faults: list[str] = []
        self.told = asyncio.Event()
        self.decoder = StreamDecoder(self.heard, self.failed)

    async def heard(self, samples: bytes) -> None:
        self.samples += samples

    def failed(self, error: GatewayError) -> None:
        self.faults.append(error.message)
        self.told.set()

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE / 2


async def test_recordings_at_fault_and_good_ones() -> None:
    it = Listener()
    speech = recorded()
    webm = encoded(speech, RATE)
    assert it.decoder.is_unused
    try:
        # Nothing of this is known, which is told once; no process runs for it.
        for _ in range(3):
            await it.decoder.feed(b"no sound at all")
        assert len(it.faults) == 1
        await it.decoder.caught_up()
        assert it.decoder._process is None
        for piece in webm:
            await it.decoder.feed(piece)
        await it.decoder.caught_up()
        assert it.seconds == pytest.approx(len(speech) / RATE / 2, abs=0.1)
        # A head alone says that there will be sound, and none can be made of what follows.
        await it.decoder.feed(b"OggS\0\2\0\0\0\0\0\0\0\0" + bytes(range(256)) * 40 + webm[0])
        await it.decoder.feed(b"".join(webm[1:]))
        await it.decoder.caught_up()
        assert it.seconds == pytest.approx(2 * len(speech) / RATE / 2, abs=0.2)
        # The process dies: the recording is lost, and the next one has another process.
        process = it.decoder._process
        assert process is not None
        it.told.clear()
        process.kill()
        await it.told.wait()
        assert "its decoder failed" in it.faults[-1]
        before = it.seconds
        await it.decoder.feed(b"".join(webm))
        await it.decoder.caught_up()
        assert it.seconds > before
    finally:
        await it.decoder.close()
    assert it.decoder._process is None
    await it.decoder.caught_up()
