"""Sounds as clients record them: in pieces, as they are written."""

from __future__ import annotations

import io
from typing import Any

_LIVE = {"live": "1", "cluster_time_limit": "250", "flush_packets": "1"}
# A page for each 100 ms, as of a recorder whose sound is sent at once.
_PAGES = {"page_duration": "100000", "flush_packets": "1"}
_FORMATS: dict[str, tuple[str, int, dict[str, str]]] = {
    "webm": ("libopus", 48000, _LIVE),
    "ogg": ("libopus", 48000, _PAGES),
    "mp3": ("libmp3lame", 16000, {"flush_packets": "1"}),
}


class _Slices(io.RawIOBase):
    """What is written, in its pieces; like a microphone, it cannot go back."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.pieces.append(bytes(data))
        return len(data)


def encoded(samples: bytes, rate: int, kind: str = "webm") -> list[bytes]:
    """Return samples as a recorder gives them, in pieces: ``webm``, ``ogg`` or ``mp3``.

    The first piece alone has the head. WebM is that of a browser's MediaRecorder.
    """
    import av  # noqa: PLC0415 - only few tests need it

    codec, own_rate, options = _FORMATS[kind]
    slices = _Slices()
    with av.open(slices, "w", format=kind, options=options, buffer_size=1024) as out:
        stream: Any = out.add_stream(codec, rate=own_rate, layout="mono")
        for at in range(0, len(samples) // 2, rate // 10):
            part = samples[at * 2 : (at + rate // 10) * 2]
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(part) // 2)
            frame.sample_rate, frame.pts = rate, at
            frame.planes[0].update(part)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return slices.pieces
