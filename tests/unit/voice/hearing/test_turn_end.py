"""The model of turn ends: what it is told of the sound, and that it can be missing."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

import numpy as np
import pytest
from recorded import recorded
from tiny_onnx import write_mean_model

from voice.hearing.kit import Hearing
from voice.hearing.turn_end import BANDS, RATE, SECONDS, TurnEnd, log_mel

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (BANDS, SECONDS * 100)


def tone(frequency: int) -> bytes:
    samples = (9000 * math.sin(math.tau * frequency * at / RATE) for at in range(SECONDS * RATE))
    return array("h", map(int, samples)).tobytes()


@pytest.mark.parametrize(("frequency", "band"), [(200, 4), (1000, 24), (4000, 59)])
def test_a_tone_is_loudest_in_its_band(frequency: int, band: int) -> None:
    """The bands lie evenly on the mel scale: 45.25 mel in 81 steps up to 8000 Hz."""
    features = log_mel(tone(frequency))
    assert features.shape == SHAPE
    assert abs(int(features[:, 400].argmax()) - band) <= 3


def test_the_end_of_the_sound_counts_and_silence_stands_before_it() -> None:
    short = log_mel(recorded())
    assert short[:, :600].max() < short[:, 640:].max()
    assert np.array_equal(log_mel(tone(300) + tone(1000)), log_mel(tone(1000)))
    # Of nothing, all bands are the same.
    assert np.ptp(log_mel(b"")) == 0


async def test_a_model_is_asked_and_one_that_cannot_be_had_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file, wrong = tmp_path / "turn.onnx", tmp_path / "wrong.onnx"
    write_mean_model(file, (1, *SHAPE))
    hearing = Hearing()
    first, second = [await hearing.lend(model=False, turn_model=str(file)) for _ in range(2)]
    model = first.turn_end
    assert model is not None
    assert model is second.turn_end
    mean = float(log_mel(recorded()).mean())
    assert model.likely(recorded(), RATE) == pytest.approx(1 / (1 + math.exp(-mean)), abs=1e-4)
    wrong.write_bytes(b"no model")
    for _ in range(2):
        assert (await hearing.lend(model=False, turn_model=str(wrong))).turn_end is None
    assert len(caplog.messages) == 2
    assert "only silence ends a turn" in caplog.messages[-1]
    write_mean_model(wrong, (1, 3, 3))
    with pytest.raises(RuntimeError, match="Got invalid dimensions"):
        TurnEnd(wrong).likely(recorded(), RATE)
