"""inference/continuation/counts.py: what engines counted of parts, told as of one answer."""

from __future__ import annotations

from typing import Any

from inference.continuation.counts import Counts, counts_of, recount

FIRST = Counts(prompt=10, written=30, cached=4, reading=6.0, writing=60.0)
TIMINGS = {"cache_n": 38, "prompt_n": 2, "prompt_ms": 6.0, "predicted_n": 10, "predicted_ms": 20.0}


def test_timings_say_more_than_usage() -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 10}
    assert counts_of({"timings": TIMINGS, "usage": usage}) == Counts(40, 10, 38, 6.0, 20.0)
    assert counts_of({"timings": {}, "usage": usage}) == Counts(40, 10)
    assert counts_of({"usage": {"prompt_tokens": 40}}) is None
    assert counts_of({"usage": None}) is None
    assert Counts(40, 10).total == 50


def test_later_parts_add_what_they_wrote() -> None:
    answer: dict[str, Any] = {
        "timings": {**TIMINGS, "draft_n": 3},
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 10,
            "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 38},
        },
    }
    recount(answer, FIRST)
    assert answer["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 40,
        "total_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert answer["timings"] == {
        "draft_n": 3,
        "cache_n": 4,
        "prompt_n": 6,
        "prompt_ms": 12.0,
        "prompt_per_token_ms": 2.0,
        "prompt_per_second": 500.0,
        "predicted_n": 40,
        "predicted_ms": 80.0,
        "predicted_per_token_ms": 2.0,
        "predicted_per_second": 500.0,
    }


def test_other_apis_count_by_other_names() -> None:
    read = {"cache_read_input_tokens": 38, "input_tokens": 2}
    message: dict[str, Any] = {"usage": {**read, "output_tokens": 10}}
    assert counts_of(message) == Counts(40, 10, 38)
    recount(message, FIRST)
    assert message["usage"] == {
        "cache_read_input_tokens": 4,
        "input_tokens": 6,
        "output_tokens": 40,
    }
    # In a stream the prompt was told before.
    end: dict[str, Any] = {"usage": {"output_tokens": 10}}
    assert counts_of(end) == Counts(0, 10)
    recount(end, FIRST)
    assert end["usage"] == {"output_tokens": 40}
    response: dict[str, Any] = {
        "usage": {
            "input_tokens": 40,
            "output_tokens": 10,
            "total_tokens": 50,
            "input_tokens_details": {"cached_tokens": 38},
        }
    }
    assert counts_of(response) == Counts(40, 10, 38)
    recount(response, FIRST)
    assert response["usage"] == {
        "input_tokens": 10,
        "output_tokens": 40,
        "total_tokens": 50,
        "input_tokens_details": {"cached_tokens": 4},
    }


def test_the_last_word_on_each_count_counts() -> None:
    begun, ended = Counts(40, 0, 38), Counts(0, 10)
    assert begun.completed(ended) == Counts(40, 10, 38)
    assert begun.completed(Counts(41, 5, 39)) == Counts(41, 5, 39)


def test_what_is_missing_stays_missing() -> None:
    bad: dict[str, Any] = {"usage": None, "timings": [1]}
    nothing: list[dict[str, Any]] = [{}, {"usage": {}}, {"timings": {}}, bad]
    for answer in nothing:
        before = dict(answer)
        recount(answer, FIRST)
        assert answer == before
    bare: dict[str, Any] = {"usage": {"completion_tokens": 1}, "timings": {"predicted_n": 0}}
    recount(bare, Counts(0, 0))
    assert bare["usage"]["total_tokens"] == 1
    assert bare["timings"]["predicted_per_second"] == 0.0
