"""Samples out of what clients send, and the length of what they are sent. Pure."""

from __future__ import annotations

from array import array

from engine.sound.resample import resampled
from engine.sound.wav import wav_of
from utils.errors import BadRequest

SPOKEN = 24000
"""Samples a second of speech without a head, as OpenAI's API has it."""
_SAMPLE = 2
# An Ogg page tells in these bytes how many samples the stream has until its end; Opus has so many
# a second, whatever was encoded.
_PAGE, _GRANULE, _OPUS_RATE = b"OggS", slice(6, 14), 48000


class Samples:
    """Makes mono samples of 16 bits at ``rate`` of pieces of a sound, which may be WAV files."""

    def __init__(self, rate: int, *, wav: bool) -> None:
        self._rate = rate
        self._wav = wav
        self._has_rate, self._channels = rate, 1
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the samples in the next piece; BadRequest for a WAV file that cannot be read.

        A piece that begins with the head of a WAV file begins a file; others go on with the last.
        """
        if self._wav and piece[:4] == b"RIFF":
            found = wav_of(piece, len(piece))
            if found is None or not found.plain or not found.rate or not found.channels:
                raise BadRequest("The sound must be a WAV file of 16 bits.", param="audio")
            self._has_rate, self._channels, self._rest = found.rate, found.channels, b""
            piece = piece[found.start :]
        piece = self._rest + piece
        whole = len(piece) - len(piece) % (_SAMPLE * self._channels)
        piece, self._rest = piece[:whole], piece[whole:]
        if self._channels > 1:
            piece = array("h", piece)[:: self._channels].tobytes()
        return resampled(piece, self._has_rate, self._rate)


def seconds_of_opus(sound: bytes) -> float:
    """Return the length of an Ogg file of Opus; 0 if it cannot be told."""
    last = sound.rfind(_PAGE)
    granule = sound[last:][_GRANULE] if last >= 0 else b""
    return int.from_bytes(granule, "little") / _OPUS_RATE


def seconds_of_samples(samples: bytes, rate: int) -> float:
    """Return the length of samples."""
    return len(samples) / (rate * _SAMPLE)
