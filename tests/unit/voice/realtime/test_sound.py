"""Sound as the Realtime API carries it."""

from __future__ import annotations

import pytest

from voice.realtime.options import ALAW, PCM, ULAW
from voice.realtime.sound import data_of, samples_of, written

SAMPLES = b"\1\0" * 240


def test_samples_are_base64_and_back() -> None:
    assert data_of(written(SAMPLES, PCM)) == SAMPLES
    assert samples_of(SAMPLES, PCM) == SAMPLES
    assert data_of("%") is None


@pytest.mark.parametrize("form", [ULAW, ALAW])
def test_telephones_have_a_third_of_the_samples(form: str) -> None:
    data = data_of(written(SAMPLES, form))
    assert data is not None
    assert len(data) == 80
    assert abs(len(samples_of(data, form)) - len(SAMPLES)) <= 6
