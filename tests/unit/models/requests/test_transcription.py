"""models/requests/transcription.py: what a form says of the request."""

from __future__ import annotations

import pytest

from models.requests.transcription import output_of_form, stream_of_form, transcription
from utils.errors import BadRequest


def test_the_prompt_is_a_text_with_a_sound() -> None:
    prompt = transcription({"prompt": "Wörter", "language": "de", "model": "m"}, b"1")
    nothing, asked = prompt.segments
    assert (nothing.text, nothing.media, nothing.verbatim) == ("", 0, True)
    assert (asked.text, asked.size, asked.media, asked.sounds) == ("Wörter de", 10, 1, 1)
    # An engine writes more around it.
    assert not asked.verbatim
    assert prompt.needs == {"audio"}


def test_sounds_and_prompts_are_told_apart() -> None:
    forms = [({}, b"1"), ({}, b"2"), ({"prompt": "a"}, b"1"), ({"prompt": "b"}, b"1")]
    assert len({transcription(*form).segments[1].digest for form in forms}) == 4
    again = transcription({"prompt": "a", "temperature": "1"}, b"1")
    assert again.segments == transcription({"prompt": "a"}, b"1").segments


@pytest.mark.parametrize(
    ("fields", "stream"), [({}, False), ({"stream": "false"}, False), ({"stream": "true"}, True)]
)
def test_a_stream_is_asked_for_in_words(fields: dict[str, str], *, stream: bool) -> None:
    assert stream_of_form(fields) is stream
    with pytest.raises(BadRequest):
        stream_of_form({"stream": "yes"})


@pytest.mark.parametrize(
    ("text", "tokens"), [("", None), ("0", 0), ("12", 12), ("9999999999", 2**31 - 1)]
)
def test_the_output_that_is_asked_for(text: str, tokens: int | None) -> None:
    assert output_of_form({"max_tokens": text}) == tokens


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "²", "9" * 11])
def test_outputs_at_fault(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        output_of_form({"max_tokens": text})
    assert caught.value.param == "max_tokens"
