"""The command lines that convert sound: ffmpeg if it is installed, else PyAV."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_PROJECT = Path(__file__).resolve().parents[2]
# The longest sound that is decoded, in seconds: a small file may hold days of silence.
_LONGEST = 4 * 3600
RATE = 16000
"""Samples a second of decoded sound."""

# The container of each kind of file. It is always named: of a file that only looks like a sound,
# ffmpeg would take a playlist, and open the files or addresses in it.
_CONTAINERS = {
    "wav": "wav",
    "mp3": "mp3",
    "flac": "flac",
    "vorbis": "ogg",
    "opus": "ogg",
    "webm": "matroska",
    "mp4": "mov",
    "aac": "aac",
}
# The container and the encoder of each format of speech.
_FORMATS = {
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "aac": ("adts", "aac"),
}
ENCODED = (*_FORMATS,)
"""The formats of speech that need an encoder."""


def container_of(kind: str) -> str:
    """Return the name that ffmpeg and PyAV have for the container of a kind of file."""
    return _CONTAINERS[kind]


class Tool(NamedTuple):
    """A program that converts sound; it reads standard input and writes standard output.

    ``command`` is ffmpeg's beginning, or that of PyAV.
    """

    command: tuple[str, ...]
    is_ffmpeg: bool

    def decode(self, kind: str) -> list[str]:
        """Return the command that makes mono samples of 16 bits at ``RATE`` of a file."""
        container = container_of(kind)
        if not self.is_ffmpeg:
            return [*self.command, "decode", container]
        source = ["-f", container, "-i", "/dev/stdin", "-map", "0:a:0", "-t", str(_LONGEST)]
        return [*self.command, *source, *_raw(RATE), "pipe:1"]

    def encode(self, wanted: str, rate: int) -> list[str]:
        """Return the command that encodes mono samples of 16 bits."""
        container, codec = _FORMATS[wanted]
        if not self.is_ffmpeg:
            return [*self.command, "encode", container, str(rate)]
        made = ["-c:a", codec, "-f", container, "-flush_packets", "1", "pipe:1"]
        return [*self.command, *_raw(rate), "-i", "pipe:0", *made]


def _raw(rate: int) -> list[str]:
    return ["-f", "s16le", "-ac", "1", "-ar", str(rate)]


@cache
def tool() -> Tool | None:
    """Return the program of this machine, None if it has none."""
    if (found := shutil.which("ffmpeg")) is not None:
        return Tool((found, "-hide_banner", "-loglevel", "error"), is_ffmpeg=True)
    if find_spec("av") is not None:
        return Tool((sys.executable, "-P", "-m", "engine.sound.pyav"), is_ffmpeg=False)
    return None


def environment() -> dict[str, str]:
    """Return the variables of a tool, which needs none of the gateway's."""
    return {"PYTHONPATH": str(_PROJECT)}
