"""``TurnEnd``: a model's guess whether a person has said all, by how it sounds.

It is smart-turn of version 3: its input is the log-mel spectrogram of Whisper of the last eight
seconds. Half of what is cut in the middle sounds complete to it, so its guess only shortens the
silence that ends a turn. It takes 50 ms of a core, so it runs in a thread.
"""

from __future__ import annotations

from array import array
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.sound.resample import resampled

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16000
"""Samples a second."""
SECONDS = 8
"""The sound that is looked at: the end of what was said."""
BANDS = 80
LIKELY = 0.5
"""The probability from which a turn counts as complete."""
# Samples of a frame and from one to the next; frequencies of a frame.
_FRAME, _HOP = 400, 160
_BINS = _FRAME // 2 + 1
_SAMPLE = 2
# The mel scale is linear below 1000 Hz, in steps of 200 / 3 Hz, and logarithmic above.
_LINEAR, _STEP = 1000.0, 200 / 3
_BASE = 6.4 ** (1 / 27)
_QUIETEST = 1e-10


class TurnEnd:
    """A loaded model; ``likely`` may be called from several threads."""

    def __init__(self, path: Path) -> None:
        """Load the file; ImportError without the packages, RuntimeError for a file at fault."""
        import onnxruntime  # noqa: PLC0415 - an optional package

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._model = onnxruntime.InferenceSession(str(path), options)
            self._input = self._model.get_inputs()[0].name
        except Exception as error:
            # The package has exceptions of its own, which have no common base.
            raise RuntimeError(str(error)) from error

    def likely(self, samples: bytes, rate: int) -> float:
        """Return the probability, 0 to 1, that what was said is complete.

        RuntimeError if the model is another one than it should be.
        """
        last = samples[-SECONDS * rate * _SAMPLE :]
        features = log_mel(resampled(last, rate, RATE))
        try:
            return float(self._model.run(None, {self._input: features[None]})[0].reshape(-1)[0])
        except Exception as error:
            raise RuntimeError(str(error)) from error


def log_mel(samples: bytes) -> Any:  # noqa: ANN401 - numpy's array
    """Return Whisper's spectrogram of the samples, 80 bands by 800 frames, at ``RATE``.

    What is shorter than eight seconds has silence before it. The samples are scaled to a mean of 0
    and a deviation of 1, as the model has learnt them.
    """
    import numpy as np  # noqa: PLC0415 - as above

    count = SECONDS * RATE
    wave = np.zeros(count)
    said = np.array(array("h", samples[-count * _SAMPLE :])) / 32768
    if len(said):
        wave[-len(said) :] = said
    wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    padded = np.pad(wave, _FRAME // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP][: count // _HOP]
    window, filters = _tables()
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    loud = np.log10(np.maximum(filters @ power.T, _QUIETEST))
    return ((np.maximum(loud, loud.max() - 8) + 4) / 4).astype(np.float32)


@cache
def _tables() -> tuple[Any, Any]:
    """Return the window of a frame, and the share of each frequency in each band."""
    import numpy as np  # noqa: PLC0415 - as above

    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)
    top = _LINEAR / _STEP
    highest = top + np.log(RATE / 2 / _LINEAR) / np.log(_BASE)
    mels = np.linspace(0, highest, BANDS + 2)
    edges = np.where(mels < top, mels * _STEP, _LINEAR * _BASE ** (mels - top))
    bins = np.linspace(0, RATE / 2, _BINS)
    low, middle, high = (edges[at : at + BANDS, None] for at in range(3))
    rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
    # Each band has the same area.
    return window, np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
