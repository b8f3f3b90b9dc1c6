"""Convert sound by PyAV: ``python -m engine.sound.pyav decode KIND`` or ``encode FORMAT RATE``.

A program of its own, so that a fault of a decoder ends this process and not the gateway. It reads
its standard input and writes its standard output; status 1 and a line on stderr tell a failure.
"""

from __future__ import annotations

import sys
from typing import IO, Any, Final

import av

# Mono samples of 16 bits at this rate are what speech recognition reads.
_RATE: Final = 16000
_LONGEST: Final = 4 * 3600 * _RATE
_PIECE: Final = 8192
_SAMPLE: Final = 2
# The encoder and its rate, for each container; 0 keeps the rate of the voice.
_ENCODERS: Final = {
    "mp3": ("libmp3lame", 0),
    "ogg": ("libopus", 48000),
    "flac": ("flac", 0),
    "adts": ("aac", 0),
}


def decode(kind: str, source: IO[bytes], target: IO[bytes]) -> None:
    """Write the samples of a file whose container is ``kind``, until the longest length."""
    left = _LONGEST * _SAMPLE
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    with av.open(source, "r", format=kind) as container:
        if not container.streams.audio:
            raise ValueError("the file has no sound")
        for frame in container.decode(container.streams.audio[0]):
            for made in resampler.resample(frame):
                data = bytes(made.planes[0])[: min(left, made.samples * _SAMPLE)]
                left -= len(data)
                target.write(data)
            if left <= 0:
                return
        for made in resampler.resample(None):
            target.write(bytes(made.planes[0])[: min(left, made.samples * _SAMPLE)])


def encode(kind: str, rate: int, source: IO[bytes], target: IO[bytes]) -> None:
    """Write mono samples of 16 bits as a file of the container ``kind``, as they come."""
    codec, own_rate = _ENCODERS[kind]
    # Each packet is written at once: the listener hears it while the rest is made.
    with av.open(target, "w", format=kind, options={"flush_packets": "1"}, buffer_size=1024) as out:
        stream: Any = out.add_stream(codec, rate=own_rate or rate, layout="mono")
        at, rest = 0, b""
        while piece := source.read(_PIECE):
            data = rest + piece
            samples = len(data) // _SAMPLE
            rest = data[samples * _SAMPLE :]
            frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
            frame.sample_rate, frame.pts = rate, at
            frame.planes[0].update(data[: samples * _SAMPLE])
            at += samples
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    source, target = open(0, "rb", buffering=0), open(1, "wb", buffering=0)  # noqa: SIM115 - descriptors, open until the end
    try:
        if arguments[0] == "decode":
            decode(arguments[1], source, target)
        else:
            encode(arguments[1], int(arguments[2]), source, target)
    except (av.FFmpegError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
