"""Wake words are found in the sound, where the phrase has a model and the package is installed."""

from __future__ import annotations

import sys

import pytest
from recorded import RATE, music, noise, recorded

from engine.sound.resample import resampled
from voice.hearing.kit import Hearing
from voice.hearing.spotter import models_of

SECOND = RATE * 2


def test_which_phrases_have_models() -> None:
    assert models_of(["Hey, Jarvis!", "OK Nabu", "okay nabu"]) == frozenset(
        {"hey_jarvis", "okay_nabu"}
    )
    assert models_of(["alexa", "computer"]) is None
    assert models_of([]) == frozenset()


@pytest.mark.parametrize("rate", [RATE, 24000])
async def test_a_phrase_is_found_where_it_is_said(rate: int) -> None:
    spotter = (await Hearing().lend(model=False, words=["hey jarvis"])).spotter(rate)
    assert spotter is not None
    # "Turn on the light" comes after the first second.
    sound = noise(300, 2) + recorded() + music(1) + recorded()[SECOND:] + recorded()
    made = resampled(sound, RATE, rate)
    for at in range(0, len(made), rate // 10):
        spotter.feed(made[at : at + rate // 10])
    said = 2 * rate
    assert spotter.has_found(said, said + rate)
    assert not spotter.has_found(said + rate, said + 3 * rate)
    assert spotter.has_found(said + 3 * rate, said + 5 * rate)
    # What was before is forgotten.
    assert not spotter.has_found(0, said + rate)


async def test_other_phrases_and_a_missing_package(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hearing = Hearing()
    assert (await hearing.lend(model=False, words=["alexa", "computer"])).spotter(RATE) is None
    assert (await hearing.lend(model=False)).spotter(RATE) is None
    monkeypatch.setitem(sys.modules, "pymicro_wakeword", None)
    caplog.set_level("INFO")
    for _ in range(2):
        assert (await hearing.lend(model=False, words=["alexa"])).spotter(RATE) is None
    [said] = caplog.messages
    assert "in the transcript" in said
