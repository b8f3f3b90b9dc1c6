"""The command lines of the programs that convert sound."""

from __future__ import annotations

import sys

import pytest

from engine.sound.tools import ENCODED, Tool

FFMPEG = Tool(("/ffmpeg", "-loglevel", "error"), is_ffmpeg=True)
PYAV = Tool((sys.executable, "-m", "engine.sound.pyav"), is_ffmpeg=False)


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "vorbis", "opus", "webm", "mp4"])
def test_the_container_is_named_so_that_no_playlist_is_opened(kind: str) -> None:
    line = FFMPEG.decode(kind)
    assert line.index("-f") < line.index("-i")
    assert line[line.index("-i") + 1] == "/dev/stdin"
    assert PYAV.decode(kind)[-2:] == ["decode", line[line.index("-f") + 1]]


@pytest.mark.parametrize("wanted", ENCODED)
def test_encoders(wanted: str) -> None:
    line = FFMPEG.encode(wanted, 22050)
    assert line[-1] == "pipe:1"
    assert PYAV.encode(wanted, 22050)[-3:] == [
        "encode",
        line[line.index("-f", line.index("-c:a")) + 1],
        "22050",
    ]
