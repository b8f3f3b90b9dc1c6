"""Sound files are decoded by a program beside, into a file."""

from __future__ import annotations

import io
import tempfile
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.sound import decoding
from engine.sound.decoding import decoded
from engine.sound.encoding import Encoder
from engine.sound.tools import tool
from utils.errors import BadRequest, UnsupportedSound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


def open_temporaries() -> int:
    folder = str(Path(tempfile.gettempdir()).resolve())
    return sum(file.path.startswith(folder) for file in psutil.Process().open_files())


async def encoded(wanted: str, samples: bytes) -> bytes:
    known = tool()
    assert known is not None
    encoder = await Encoder.started(known.encode(wanted, 22050))
    try:
        await encoder.feed(samples)
        encoder.finish()
        made = b""
        while piece := await encoder.read():
            made += piece
        return made
    finally:
        encoder.kill()


@pytest.mark.parametrize(("wanted", "kind"), [("opus", "opus"), ("aac", "aac")])
async def test_what_was_encoded_is_decoded(wanted: str, kind: str) -> None:
    before = open_temporaries()
    sound = await decoded(pieces(await encoded(wanted, bytes(44100))), kind)
    assert sound.seconds == pytest.approx(1, abs=0.1)
    file = b"".join([piece async for piece in sound.file()])
    assert len(file) == sound.size
    with wave.open(io.BytesIO(file)) as read:
        assert (read.getframerate(), read.getnchannels()) == (16000, 1)
    sound.close()
    assert open_temporaries() == before


async def test_a_damaged_file_is_told_and_leaves_nothing() -> None:
    before = open_temporaries()
    with pytest.raises(BadRequest, match="cannot be decoded") as refused:
        await decoded(pieces(b"fLaC" + bytes(5000)), "flac")
    assert refused.value.param == "file"
    assert open_temporaries() == before


async def test_a_machine_without_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "tool", lambda: None)
    with pytest.raises(UnsupportedSound, match=r"webm.*ffmpeg, or PyAV"):
        await decoded(pieces(b""), "webm")


async def test_an_encoder_that_ends_early() -> None:
    encoder = await Encoder.started(["false"])
    with pytest.raises(ConnectionError):
        await encoder.read()
    encoder.kill()
