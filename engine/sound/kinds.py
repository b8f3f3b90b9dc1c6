"""Tell the kind of a sound file by its first bytes. Pure."""

from __future__ import annotations

# So many bytes are enough.
NEEDED = 64
# Where the mark of each kind stands.
_MARKS = (
    (8, b"WAVE", "wav"),
    (0, b"ID3", "mp3"),
    (0, b"fLaC", "flac"),
    (28, b"OpusHead", "opus"),
    (0, b"OggS", "vorbis"),
    (0, b"\x1a\x45\xdf\xa3", "webm"),
    (4, b"ftyp", "mp4"),
    *((0, bytes([0xFF, second]), "aac") for second in (0xF0, 0xF1, 0xF8, 0xF9)),
    *((0, bytes([0xFF, second]), "mp3") for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3)),
)


def kind_of(head: bytes) -> str:
    """Return ``wav``, ``mp3``, ``flac``, ``vorbis``, ``opus``, ``webm``, ``mp4``, ``aac`` or ""."""
    return next((kind for at, mark, kind in _MARKS if head.startswith(mark, at)), "")
