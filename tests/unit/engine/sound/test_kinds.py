"""Kinds of sound files by their first bytes."""

from __future__ import annotations

import pytest

from engine.sound.kinds import kind_of


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\x24\0\0\0AVI LIST", ""),
        (b"ID3\x04\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x60\x40", "aac"),
        (b"fLaC\0\0", "flac"),
        (b"OggS" + bytes(24) + b"\x01vorbis", "vorbis"),
        (b"OggS" + bytes(24) + b"OpusHead", "opus"),
        (b"\x1a\x45\xdf\xa3\x01", "webm"),
        (b"\0\0\0\x20ftypM4A ", "mp4"),
        (b"#EXTM3U\nhttp://example.com/a", ""),
        (b"", ""),
    ],
)
def test_kinds(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind
