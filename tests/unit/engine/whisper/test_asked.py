"""What a form asks for, and what whisper-server is asked for it."""

from __future__ import annotations

import pytest

from engine.whisper.asked import Asked, asked_of, context_for, fit, form_for
from utils.errors import BadRequest


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        ([], Asked()),
        ([("response_format", "")], Asked()),
        ([("response_format", "srt"), ("stream", "false")], Asked("srt")),
        ([("stream", "true")], Asked("json", stream=True)),
        ([("response_format", "text"), ("stream", "true")], Asked("text", stream=True)),
        (
            [("response_format", "verbose_json"), ("timestamp_granularities[]", "word")],
            Asked("verbose_json", words=True, segments=False),
        ),
        (
            [
                ("timestamp_granularities[]", "word"),
                ("timestamp_granularities[]", "segment"),
                ("response_format", "verbose_json"),
            ],
            Asked("verbose_json", words=True),
        ),
    ],
)
def test_what_is_asked(texts: list[tuple[str, str]], asked: Asked) -> None:
    assert asked_of(texts, translate=False) == asked
    assert asked_of(texts, translate=True) == asked._replace(translate=True)


@pytest.mark.parametrize(
    ("texts", "param"),
    [
        ({"response_format": "mp3"}, "response_format"),
        ({"response_format": "vtt", "stream": "true"}, "response_format"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        (
            {"timestamp_granularities[]": "line", "response_format": "verbose_json"},
            "timestamp_granularities",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"include[]": "logprobs"}, "include"),
        ({"chunking_strategy": "auto"}, "chunking_strategy"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_by_name(texts: dict[str, str], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        fit(texts, translate=False)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("seconds", "context"), [(0.0, 512), (9.0, 512), (9.1, 768), (19.0, 1024), (30.0, 0), (None, 0)]
)
def test_a_short_sound_has_a_short_context_with_room(seconds: float | None, context: int) -> None:
    assert context_for(seconds) == context
    if context and seconds is not None:
        assert context * 0.02 > seconds + 1


def test_the_form_for_the_engine() -> None:
    texts = [("model", "m"), ("language", "en"), ("prompt", ""), ("response_format", "srt")]
    assert dict(form_for(Asked("srt"), texts, 3.0)) == {
        "language": "en",
        "audio_ctx": "512",
        "temperature_inc": "0.0",
        "response_format": "verbose_json",
        "no_language_probabilities": "true",
        "token_timestamps": "false",
        "translate": "false",
    }
    long = dict(form_for(Asked("json", stream=True, translate=True, words=True), texts, 60.0))
    assert long["token_timestamps"] == long["translate"] == long["stream"] == "true"
    assert not {"audio_ctx", "temperature_inc"} & long.keys()


def test_what_is_configured_or_sent_counts_more_than_the_length() -> None:
    own = dict(form_for(Asked(), [("audio_ctx", "1500"), ("temperature_inc", "0.2")], 3.0))
    assert (own["audio_ctx"], own["temperature_inc"]) == ("1500", "0.2")
