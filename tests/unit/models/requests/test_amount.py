"""The size of a request in seconds of sound or in characters."""

from __future__ import annotations

import dataclasses

import pytest
from builders import variant

from models.requests.amount import Amount, Unit, check_seconds, of_sound
from models.requests.endpoints import SPEECH
from models.requests.reader import parse
from models.spec import ModelSpec
from utils.errors import BadRequest

FREE = ModelSpec("m", (variant(None),))
STRICT = dataclasses.replace(FREE, max_seconds=2.5, max_characters=4)


def test_characters_are_those_of_the_text() -> None:
    assert parse(SPEECH, '{"input": "grüß"}'.encode()).amount == Amount(4, Unit.CHARACTERS)
    assert parse(SPEECH, b'{"input": 4}').amount is None


def test_how_it_is_told() -> None:
    assert of_sound(None) is None
    assert Amount(3.24567, Unit.SECONDS).value == 3.246
    assert str(Amount(5, Unit.CHARACTERS).value) == "5"


@pytest.mark.parametrize("amount", [Amount(4, Unit.CHARACTERS), Amount(2.5, Unit.SECONDS)])
def test_what_a_model_takes(amount: Amount) -> None:
    amount.within(STRICT)
    Amount(1e9, amount.unit).within(FREE)
    limit = "max_seconds" if amount.unit is Unit.SECONDS else "max_characters"
    with pytest.raises(BadRequest, match=rf"'m' takes at most .* \({limit}\)") as refused:
        Amount(amount.number + 1, amount.unit).within(STRICT)
    assert refused.value.param == ("file" if amount.unit is Unit.SECONDS else "input")


def test_a_length_that_is_known_late() -> None:
    check_seconds(9, None, "m")
    with pytest.raises(BadRequest, match=r"has 9\.0 seconds; 'm' takes at most 2\.5 "):
        check_seconds(9, 2.5, "m")
