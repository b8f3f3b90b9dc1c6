"""Sound as the Realtime API carries it: base64 of PCM, or of telephones, to samples and back. Pure.

Inside a session samples have 16 bits, and ``SPOKEN`` of them make a second.
"""

from __future__ import annotations

import base64
import binascii

from engine.sound.resample import resampled
from voice import g711
from voice.realtime.options import PCM, ULAW
from voice.sound import SPOKEN


def data_of(text: str) -> bytes | None:
    """Return the bytes that a text in base64 holds; None if it is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def samples_of(data: bytes, form: str) -> bytes:
    """Return the samples of data in this format of the API."""
    if form == PCM:
        return data
    return resampled(g711.decoded(data, _law(form)), g711.RATE, SPOKEN)


def written(samples: bytes, form: str) -> str:
    """Return the samples in this format, as base64."""
    if form != PCM:
        samples = g711.encoded(resampled(samples, SPOKEN, g711.RATE), _law(form))
    return base64.b64encode(samples).decode()


def _law(form: str) -> g711.Law:
    return "ulaw" if form == ULAW else "alaw"
