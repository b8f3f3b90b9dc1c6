"""The voices of espeak-ng, by what the program prints."""

from __future__ import annotations

import pytest

from engine.espeak.voices import EspeakVoices, voices_in, voices_of
from utils.errors import BadRequest

VOICES = """Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  de              --/M      German             gmw/de
 2  en-gb           --/M      English_(Great_Britain) gmw/en               (en 2)
 5  en-us           --/M      us-mbrola-2        mb/mb-us2            (en 7)
"""
VARIANTS = """Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  variant         --/F      female3            !v/f3
"""
KNOWN = voices_in(VOICES, VARIANTS)


def test_what_the_program_lists() -> None:
    assert KNOWN.languages == ("de", "en-gb")
    assert [*KNOWN.others, *KNOWN.variants] == ["en", "f3"]
    assert [voice.name for voice in KNOWN.listed()] == ["en", "de", "en-gb"]


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("", "en"),
        ("nova", "en"),
        ("de", "de"),
        ("de+f3", "de+f3"),
        ("en", "en"),
        ("en-gb", "en-gb"),
    ],
)
def test_a_voice_that_it_has(asked: str, chosen: str) -> None:
    assert KNOWN.chosen(asked) == chosen


@pytest.mark.parametrize("asked", ["bob", "en-us", "de+x", "+f3", "-v"])
def test_a_voice_that_it_does_not_have(asked: str) -> None:
    with pytest.raises(BadRequest, match=r"no voice '.*'\. Its voices are: de, en-gb\.") as refused:
        KNOWN.chosen(asked)
    assert refused.value.param == "voice"


def test_many_voices_are_not_all_named() -> None:
    many = EspeakVoices(tuple(f"l{number}" for number in range(20)))
    with pytest.raises(BadRequest, match=r"l11 and 8 more: see /v1/audio/voices\.$"):
        many.chosen("bob")


def test_pace_and_voice_of_a_request() -> None:
    assert KNOWN.options("de", 1) == {"voice": "de"}
    assert KNOWN.options("", 2.0) == {"voice": "en", "length_scale": 0.5}


def test_a_program_that_cannot_be_asked() -> None:
    for program in ("/none", "false"):
        unknown = voices_of(program, "de")
        assert (unknown.chosen(""), unknown.chosen("bob")) == ("de", "bob")
