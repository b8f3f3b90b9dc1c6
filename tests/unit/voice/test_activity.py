"""Where a turn begins and ends in the samples."""

from __future__ import annotations

import random
from array import array

import pytest

from voice.activity import FRAME, SAMPLE, Endpointer, Heard, Loudness, Pace

RATE = 1000
PACE = Pace(silence=0.5, least=0.12, sure=0.3, before=0.3, longest=5.0)
STEP = int(RATE * FRAME)


class Marked:
    """Takes for speech what has a mark, and ``lag`` seconds behind it."""

    lag = 0.0

    def is_speech(self, frame: bytes) -> bool:
        return frame[0] != 0


def sound(*parts: tuple[str, float]) -> bytes:
    """Return samples: "s" is speech, "." is silence."""
    return b"".join(
        (b"\1\0" if kind == "s" else b"\0\0") * round(seconds * RATE) for kind, seconds in parts
    )


def told(samples: bytes, piece: int) -> tuple[list[Heard], list[float]]:
    """Return what is told of the samples, fed in pieces, and the seconds of each turn."""
    ears, said, turns = Endpointer(RATE, Marked(), PACE), [], []
    for at in range(0, len(samples), piece):
        more = samples[at : at + piece]
        while heard := ears.feed(more):
            said += heard
            more = b""
            if heard[-1] is not Heard.ENDED:
                break
            turns.append(len(ears.take()) / RATE / SAMPLE)
    return said, turns


@pytest.mark.parametrize("piece", [2, 7 * SAMPLE, 10**6])
def test_a_turn_begins_with_what_was_before_it_and_ends_by_silence(piece: int) -> None:
    said, turns = told(sound((".", 2.0), ("s", 1.0), (".", 2.0), ("s", 0.4), (".", 0.6)), piece)
    assert said == [Heard.BEGAN, Heard.SURE, Heard.ENDED] * 2
    assert turns == pytest.approx([1.84, 1.24], abs=0.05)


def test_a_cough_is_dropped_and_short_speech_is_not_sure() -> None:
    said, turns = told(sound((".", 1.0), ("s", 0.08), (".", 1.0), ("s", 0.2), (".", 1.0)), 100)
    assert said == [Heard.BEGAN, Heard.DROPPED, Heard.BEGAN, Heard.ENDED]
    assert len(turns) == 1


def test_a_turn_has_a_longest() -> None:
    said, turns = told(sound(("s", 12.0)), 10**6)
    assert said.count(Heard.ENDED) == 2
    assert turns == pytest.approx([5.0, 5.0], abs=0.05)


def test_silence_is_forgotten_and_taking_takes_all() -> None:
    ears = Endpointer(RATE, Marked(), PACE)
    assert ears.feed(sound((".", 60.0))) == []
    assert ears.seconds < 0.5
    ears.clear()
    ears.feed(sound(("s", 1.0)) + b"\1")
    assert ears.speaking
    assert len(ears.take()) == RATE * SAMPLE
    assert not ears.speaking
    assert ears.take() == b"\1"


def test_what_was_heard_so_far() -> None:
    ears = Endpointer(RATE, Marked(), PACE)
    ears.feed(sound((".", 1.0), ("s", 0.1)))
    assert (ears.speaking, ears.counts) == (True, False)
    ears.feed(sound(("s", 0.1), (".", 0.2)))
    assert (ears.counts, ears.sure) == (True, False)
    assert ears.silent == pytest.approx(0.2)
    # The sound is that of the turn, with what was before it, and stays.
    assert len(ears.so_far()) == len(ears.so_far()) == pytest.approx(0.74 * RATE * SAMPLE, abs=200)
    mark = ears.mark
    ears.feed(sound((".", 0.2)))
    assert ears.mark == mark
    ears.feed(sound(("s", FRAME)))
    assert (ears.mark, ears.silent) == (mark + 1, 0)
    ears.take()
    assert ears.mark == mark + 1


def test_after_what_sounds_complete_less_silence_is_enough() -> None:
    ears = Endpointer(RATE, Marked(), PACE)
    ears.feed(sound(("s", 0.5), (".", 0.2)))
    ears.sounds_complete(ears.mark)
    assert ears.feed(sound((".", 0.08))) == []
    assert ears.feed(sound((".", 0.02))) == [Heard.ENDED]
    ears.take()
    # It is said of that speech alone.
    ears.feed(sound(("s", 0.5), (".", 0.2)))
    ears.sounds_complete(ears.mark)
    ears.feed(sound(("s", 0.1)))
    assert ears.feed(sound((".", 0.48))) == []
    assert ears.feed(sound((".", 0.02))) == [Heard.ENDED]


def test_after_words_that_must_go_on_more_silence_is_needed() -> None:
    ears = Endpointer(RATE, Marked(), PACE)
    ears.feed(sound(("s", 0.5), (".", 0.2)))
    ears.sounds_complete(ears.mark)
    ears.reads_unfinished(ears.mark)
    assert ears.feed(sound((".", 0.58))) == []
    assert ears.feed(sound((".", 0.02))) == [Heard.ENDED]


def test_silence_that_was_taken_for_speech_counts() -> None:
    judge = Marked()
    judge.lag = 0.1
    ears = Endpointer(RATE, judge, PACE)
    ears.feed(sound(("s", 0.5), (".", 0.02)))
    assert ears.silent == pytest.approx(0.12)
    assert ears.feed(sound((".", 0.36))) == []
    assert ears.feed(sound((".", 0.02))) == [Heard.ENDED]


def noise(loud: float, seconds: float, dice: random.Random) -> bytes:
    count = int(16000 * seconds)
    return array("h", (int(dice.gauss(0, loud)) for _ in range(count))).tobytes()


def test_speech_is_louder_than_the_noise_of_the_room() -> None:
    dice = random.Random(1)
    judge = Loudness()
    frame = int(16000 * FRAME) * SAMPLE

    def share(samples: bytes) -> float:
        frames = [samples[at : at + frame] for at in range(0, len(samples), frame)]
        return sum(map(judge.is_speech, frames)) / len(frames)

    assert share(bytes(32000)) == 0
    assert share(noise(2000, 1, dice)) == 1
    assert share(bytes(32000)) == 0
    # A fan that goes on is no speech after some seconds, and a speaker is louder.
    share(noise(600, 6, dice))
    assert share(noise(600, 1, dice)) == 0
    assert share(noise(4000, 1, dice)) == 1
    # A higher threshold takes less for speech.
    assert not Loudness(0.9).is_speech(noise(400, FRAME, dice))
    assert Loudness(0.1).is_speech(noise(400, FRAME, dice))
