"""Tell how long a sound is by what its file says of itself, without decoding it. Pure.

* WAV and FLAC say it in their first bytes, and MP4 in the box of the movie, wherever that is.
* Ogg: by the times of the first page of sound and of the last one.
* MP3: by the frames that the encoder has counted, where that agrees with the size of the file.
* WebM and Matroska: if their head says it. That of a browser's recorder does not.
* AAC, and what is damaged or written as a stream, say nothing.

It is what a file claims: who must be sure decodes it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from engine.sound.wav import wav_of

if TYPE_CHECKING:
    from collections.abc import Callable

    # Returns so many bytes from a place of a file on, or fewer where it ends.
    Read = Callable[[int, int], bytes]

_HEAD: Final = 4096
# Boxes, elements and pages that are looked at, at most.
_MOST: Final = 64
# A page of Ogg is never longer.
_PAGE: Final = 65307
_OPUS_RATE: Final = 48000
# Samples of a frame of MP3, and its rates, by the two bits of the version: 2.5, none, 2 and 1.
_FRAME: Final = (576, 0, 576, 1152)
_RATES: Final = ((11025, 12000, 8000), (), (22050, 24000, 16000), (44100, 48000, 32000))
# How far behind the frame's start its count of frames is, with two channels and with one.
_XING: Final = ((21, 13), (0, 0), (21, 13), (36, 21))
_SEGMENT: Final = 0x18538067
_INFO, _SCALE, _DURATION = 0x1549A966, 0x2AD7B1, 0x4489


def seconds_of(read: Read, size: int) -> float | None:
    """Return the seconds that a file of ``size`` bytes claims to have; None if it does not."""
    head = read(0, _HEAD)
    try:
        if head.startswith(b"fLaC"):
            found = _of_flac(head)
        elif head.startswith(b"RIFF"):
            wav = wav_of(head, size)
            found = None if wav is None else wav.seconds
        elif head.startswith(b"OggS"):
            found = _of_ogg(read, head, size)
        elif head.startswith(b"\x1a\x45\xdf\xa3"):
            found = _of_webm(read, size)
        elif head[4:8] == b"ftyp":
            found = _of_mp4(read, size)
        else:
            found = _of_mp3(read, size)
    except (struct.error, IndexError):
        # It ends before what it should have.
        return None
    return found if found is not None and 0 < found < float("inf") else None


def _of_flac(head: bytes) -> float | None:
    # The description of the stream always comes first. One that was written as a stream has no end.
    if head[4] & 0x7F:
        return None
    # The rate (20 bits), the channels (3), the bits of a sample (5), the number of samples (36).
    (numbers,) = struct.unpack_from(">Q", head, 18)
    rate, samples = numbers >> 44, numbers & ((1 << 36) - 1)
    return samples / rate if rate else None


def _of_ogg(read: Read, head: bytes, size: int) -> float | None:
    if head.startswith(b"OpusHead", 28):
        rate = _OPUS_RATE
    elif head.startswith(b"\x01vorbis", 28):
        (rate,) = struct.unpack_from("<I", head, 40)
    else:
        return None
    serial = head[14:18]
    start, last = max(0, size - _PAGE - 27), 0
    tail = read(start, size - start)
    at = tail.rfind(b"OggS")
    while at >= 0 and last <= 0:
        if tail[at + 14 : at + 18] == serial:
            (last,) = struct.unpack_from("<q", tail, at + 6)
        at = tail.rfind(b"OggS", 0, at)
    first = _first_sound(read, serial)
    if first is None or not rate:
        return None
    # One that was recorded from a station begins where the station was. Else a second is enough for
    # the first page.
    return (last - (first if first > rate * 2 else 0)) / rate


def _first_sound(read: Read, serial: bytes) -> int | None:
    """Return the time at the end of the first page with sound, in samples."""
    at = 0
    for _ in range(_MOST):
        page = read(at, 27 + 255)
        if page[:4] != b"OggS":
            return None
        (time,) = struct.unpack_from("<q", page, 6)
        if time > 0 and page[14:18] == serial:
            return int(time)
        at += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return None


def _of_mp3(read: Read, size: int) -> float | None:
    at = 0
    head = read(0, 10)
    if head.startswith(b"ID3"):
        # The size of the tags has seven bits in each byte.
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0)))  # noqa: B905 - it may be cut short
    frame = read(at, _HEAD)
    if frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - the mark of a frame, layer 3
        return None
    version, rate_at = frame[1] >> 3 & 3, frame[2] >> 2 & 3
    is_mono = frame[3] >> 6 == 3  # noqa: PLR2004 - two bits
    xing = _XING[version][is_mono]
    if frame[xing : xing + 4] in (b"Xing", b"Info"):
        flags, frames, bytes_ = struct.unpack_from(">III", frame, xing + 4)
        known = flags & 3 == 3  # noqa: PLR2004 - two bits: it counts both
    elif frame[36:40] == b"VBRI":
        bytes_, frames = struct.unpack_from(">II", frame, 46)
        known = True
    else:
        return None
    # Who cuts a file often leaves the count as it was.
    agrees = known and abs(size - at - bytes_) <= max(_HEAD, bytes_ // 20)
    return frames * _FRAME[version] / _RATES[version][rate_at] if agrees else None


def _of_mp4(read: Read, size: int) -> float | None:
    found = _box(read, 0, size, b"moov")
    movie = None if found is None else _box(read, *found, b"mvhd")
    if movie is None:
        return None
    head = read(movie[0], 32)
    form = ">IQ" if head[0] else ">II"
    rate, length = struct.unpack_from(form, head, 20 if head[0] else 12)
    # All bits set mean that it is not known.
    unknown = (1 << 64 if head[0] else 1 << 32) - 1
    return length / rate if rate and length != unknown else None


def _box(read: Read, at: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Return where the content of a box begins and ends."""
    for _ in range(_MOST):
        if at + 8 > end:
            return None
        head = read(at, 16)
        (length,) = struct.unpack_from(">I", head)
        begin = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", head, 8)
            begin = 16
        length = length or end - at
        if length < begin:
            return None
        if head[4:8] == wanted:
            return at + begin, min(end, at + length)
        at += length
    return None


def _of_webm(read: Read, size: int) -> float | None:
    _, begin, length = _element(read, 0)
    kind, at, length = _element(read, begin + length)
    if kind != _SEGMENT:
        return None
    for _ in range(_MOST):
        kind, begin, length = _element(read, at)
        if kind == _INFO:
            return _of_info(read(begin, min(length, _HEAD)))
        at = begin + length
        if at >= size:
            return None
    return None


def _of_info(info: bytes) -> float | None:
    at, scale, ticks = 0, 1_000_000, None
    while at < len(info):
        kind, begin, length = _element(lambda a, count: info[a : a + count], at)
        value = info[begin : begin + length]
        if kind == _SCALE:
            scale = int.from_bytes(value[:8])
        elif kind == _DURATION:
            (ticks,) = struct.unpack(">f" if length == 4 else ">d", value)  # noqa: PLR2004 - bytes
        at = begin + length
    return None if ticks is None else float(ticks) * scale / 1e9


def _element(read: Read, at: int) -> tuple[int, int, int]:
    """Return the kind of an element, where its content begins, and how long that is."""
    head = read(at, 12)
    width = 9 - head[0].bit_length()
    kind = int.from_bytes(head[:width])
    long = 9 - head[width].bit_length()
    mask = (1 << 7 * long) - 1
    length = int.from_bytes(head[width : width + long]) & mask
    # All bits set mean a stream: it goes on to the end, or at least beyond this file.
    return kind, at + width + long, length if length != mask else 1 << 62
