"""Decode recordings by PyAV while they come: ``python -m engine.sound.pyav_stream``.

A program of its own, so that a fault of a decoder ends this process and not the gateway. Its
standard input and output have the messages of ``engine.sound.wire``.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

import av

from engine.sound.wire import BEGIN, DATA, FAULT, HEAD, MARK, SAMPLES, message

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATE: Final = 16000
_SAMPLE: Final = 2
_PIECE: Final = 32768
# So many packets at fault one after the other are no sound.
_BAD: Final = 20
# Each packet of a file is decoded when it is there: no more is read to learn what the file has.
_OPTIONS: Final = {"analyzeduration": "1"}
_MP3: Final = "mp3"
# A recorder that leaves out silence leaves a gap in the time, in seconds; so much of it is filled.
_GAP: Final = 0.1
_LONGEST_GAP: Final = 6.0


class Feed:
    """The data of one recording after the other, as a file that is read while it is written."""

    def __init__(self, source: IO[bytes], target: IO[bytes]) -> None:
        self._source = source
        self._target = target
        self._data = b""
        self._next: tuple[int, str] | None = None
        self._over = False
        self.number = 0

    def begin(self) -> str | None:
        """Go on to the next recording; return its container, None at the end."""
        while self._next is None and not self._over:
            self._data = b""
            self._receive()
        if self._next is None:
            return None
        (self.number, container), self._next = self._next, None
        return container

    def read(self, size: int = _PIECE) -> bytes:
        """Return the next bytes of the recording, b"" at its end."""
        while not self._data:
            if self._next is not None or self._over:
                return b""
            self._receive()
        data, self._data = self._data[:size], self._data[size:]
        return data

    def tell(self, letter: bytes, data: bytes) -> None:
        """Send a message about the recording."""
        self._target.write(message(letter, self.number, data))

    def _receive(self) -> None:
        head = self._source.read(HEAD.size)
        if len(head) < HEAD.size:
            self._over = True
            return
        letter, number, size = HEAD.unpack(head)
        data = self._source.read(size)
        if letter == BEGIN:
            self._next = (number, data.decode())
        elif letter == DATA:
            self._data = data
        elif letter == MARK:
            # More is read only when all before was decoded.
            self._target.write(message(MARK, number))


class _Samples:
    """Makes mono samples of 16 bits of frames, and tells them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._format: tuple[Any, ...] | None = None
        self._resampler = _resampler()
        # When the next frame should begin, in seconds.
        self._due: float | None = None

    def take(self, frame: Any) -> None:  # noqa: ANN401 - PyAV has no types
        """Tell the samples of the next frame."""
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._format not in (None, now):
            self.end()
            self._resampler = _resampler()
        self._format = now
        if frame.time is not None:
            gap = 0.0 if self._due is None else frame.time - self._due
            if gap > _GAP:
                self._feed.tell(SAMPLES, bytes(int(min(gap, _LONGEST_GAP) * _RATE) * _SAMPLE))
            self._due = frame.time + frame.samples / frame.sample_rate
        self._tell(self._resampler.resample(frame))

    def end(self) -> None:
        """Tell what is left."""
        if self._format is not None:
            self._tell(self._resampler.resample(None))

    def _tell(self, made: list[Any]) -> None:
        for each in made:
            self._feed.tell(SAMPLES, bytes(each.planes[0])[: each.samples * _SAMPLE])


def _resampler() -> Any:  # noqa: ANN401 - PyAV has no types
    return av.AudioResampler(format="s16", layout="mono", rate=_RATE)


def decode(container: str, feed: Feed) -> None:
    """Tell the samples of a recording; av.FFmpegError or ValueError if it is damaged."""
    samples, bad = _Samples(feed), 0
    for decoder, packet in _packets(container, feed):
        try:
            frames = decoder.decode(packet)
        except av.InvalidDataError:
            # A recording may begin in the middle of a frame.
            bad += 1
            if bad >= _BAD:
                raise
            continue
        for frame in frames:
            bad = 0
            samples.take(frame)
    samples.end()


def _packets(container: str, feed: Feed) -> Iterator[tuple[Any, Any]]:
    """Yield the packets of a recording as they come, each with what decodes it."""
    if container == _MP3:
        # A frame is whole by itself; the container would wait for those that follow it.
        decoder = av.CodecContext.create("mp3float", "r")
        while data := feed.read():
            for packet in decoder.parse(data):
                yield decoder, packet
        for packet in decoder.parse(None):
            yield decoder, packet
        yield decoder, None
        return
    with av.open(feed, "r", format=container, options=_OPTIONS) as file:
        if not file.streams.audio:
            raise ValueError("the file has no sound")
        stream = file.streams.audio[0]
        for packet in file.demux(stream):
            yield stream.codec_context, packet


def main() -> None:
    """Decode until the standard input ends."""
    # What is read is awaited as a whole; what is written goes at once.
    feed = Feed(open(0, "rb"), open(1, "wb", buffering=0))  # noqa: SIM115 - descriptors, open until the end
    while (container := feed.begin()) is not None:
        try:
            decode(container, feed)
        except (av.FFmpegError, ValueError) as error:
            feed.tell(FAULT, str(error).encode())


if __name__ == "__main__":
    main()
