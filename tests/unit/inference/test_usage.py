"""inference/usage.py: token counts from the end of an engine's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.usage import TAIL, Tally, Told, Usage, told_in, usage_of, usage_of_answer

USAGE = {"completion_tokens": 7, "prompt_tokens": 37, "total_tokens": 44}
TIMINGS = {"cache_n": 30, "prompt_n": 7, "prompt_ms": 1.5, "predicted_n": 9}


def written(answer: dict[str, Any], *, spaced: bool) -> bytes:
    return json.dumps(answer, indent=2 if spaced else None).encode()


@pytest.mark.parametrize("spaced", [True, False])
@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({}, Usage()),
        ({"usage": USAGE}, Usage(37, 7)),
        ({"timings": TIMINGS}, Usage(37, 9, 30, (7, 0.0015))),
        ({"timings": {"prompt_n": 7, "prompt_ms": 1.2e-05}}, Usage(7, read=(7, 1.2e-08))),
        ({"timings": {"prompt_n": 7, "prompt_ms": None}}, Usage(7)),
        ({"timings": {"prompt_ms": 3}}, Usage()),
        ({"timings": {"prompt_n": 7}}, Usage(7, None)),
        ({"timings": {"cache_n": 7}}, Usage(cached=7)),
        ({"usage": USAGE, "timings": TIMINGS}, Usage(37, 7, 30, (7, 0.0015))),
        ({"usage": {"input_tokens": 5, "output_tokens": 6}}, Usage(5, 6)),
        (
            {"usage": {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 30}},
            Usage(35, 6, 30),
        ),
        (
            {"usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 3}}},
            Usage(5, None, 3),
        ),
        ({"input_tokens": 37}, Usage(37, None)),
        ({"usage": {"prompt_tokens": 5}, "timings": TIMINGS}, Usage(5, 9, 30, (7, 0.0015))),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, Usage(0, 0)),
        ({"usage": {"prompt_tokens": None}}, Usage()),
        (
            {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 3}}},
            Usage(37, 7, 3),
        ),
    ],
)
def test_the_counts_of_an_answer(answer: dict[str, Any], usage: Usage, *, spaced: bool) -> None:
    assert usage_of(written(answer, spaced=spaced)) == usage


def test_the_last_chunk_of_a_stream_counts() -> None:
    chunks = [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, {"usage": USAGE}]
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    assert usage_of(stream + b"data: [DONE]\n\n") == Usage(37, 7)


@given(st.text())
def test_what_the_model_says_cannot_imitate_a_count(said: str) -> None:
    said = f'{said}"prompt_tokens": 9, "completion_tokens":9, \\"prompt_tokens\\":9{said}'
    answer = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
    for start in range(0, len(answer), 3):
        assert usage_of(answer[start:]) == Usage()


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(tail: bytes) -> None:
    assert usage_of(tail + b'"prompt_tokens":12') == Usage(12, usage_of(tail).completion)


def test_a_number_that_no_engine_could_mean_is_no_reason_to_fail() -> None:
    usage = usage_of(b'"prompt_tokens":' + b"9" * (TAIL - 20))
    assert usage.completion is None


@pytest.mark.parametrize(
    "answer",
    [
        {"usage": {"prompt_tokens": "7"}},
        {"usage": {"completion_tokens": 1.5}},
        {"timings": {"predicted_n": True}},
        {"timings": {"prompt_ms": "1"}},
    ],
)
def test_what_is_no_number_is_no_count(answer: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="is no number"):
        told_in(answer)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "usage": st.dictionaries(
                st.sampled_from(
                    ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"]
                ),
                st.integers(0, 10**6),
            ),
            "timings": st.dictionaries(
                st.sampled_from(["prompt_n", "cache_n", "predicted_n"]), st.integers(0, 10**6)
            ),
        },
    )
)
def test_bytes_and_decoded_answers_are_read_by_one_rule(answer: dict[str, Any]) -> None:
    by_bytes, decoded = usage_of(json.dumps(answer).encode()), told_in(answer)
    assert (by_bytes.prompt, by_bytes.completion, by_bytes.cached) == decoded[:3]
    assert isinstance(decoded, Told)


_odd: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 1e6).map(lambda number: round(number, 3)),
    st.sampled_from([None, True, -3, "7", [], {}]),
)


@given(
    st.one_of(
        st.sampled_from([[], 3, None, {"usage": 7}, {"usage": [{"prompt_tokens": 3}]}]),
        st.fixed_dictionaries(
            {},
            optional={
                "text": st.text(),
                "usage": st.dictionaries(
                    st.sampled_from(["prompt_tokens", "completion_tokens", "input_tokens"]), _odd
                ),
                "timings": st.dictionaries(
                    st.sampled_from(["prompt_n", "cache_n", "predicted_n", "prompt_ms"]), _odd
                ),
            },
        ),
    )
)
@example({"usage": {"input_tokens": True}})
@example({"timings": {"prompt_n": 0, "prompt_ms": True}})
@example({"timings": {"prompt_n": 0, "prompt_ms": []}})
@example({"usage": {"input_tokens": -3, "cache_read_input_tokens": 5}})
def test_a_whole_answer_is_read_by_the_same_rule(answer: Any) -> None:
    """Also one that is no object, or in which something else stands where a count should."""
    for body in (json.dumps(answer).encode(), json.dumps(answer).encode()[:-1]):
        assert usage_of_answer(body) == usage_of(body)


def test_a_large_answer_is_read_at_its_end() -> None:
    body = json.dumps({"data": [0.5] * TAIL, "usage": USAGE}).encode()
    assert usage_of_answer(body) == Usage(37, 7)


def test_a_tally_knows_what_was_relayed_so_far() -> None:
    tally = Tally()
    assert tally.so_far(40) == Usage(40, 0, estimated=True)
    for chunk in (b'data: {"role":1}\n\n', b"data: a\n\ndata: b\n\n", b": comment\n\n"):
        tally.add(chunk)
    assert (tally.chunks, tally.events) == (3, 3)
    assert tally.so_far(40) == Usage(40, 2, estimated=True)
    begun = Tally()
    begun.add(b'data: {"usage":{"input_tokens":7,"cache_read_input_tokens":30}}\n\n')
    assert begun.so_far(40) == Usage(37, 0, 30, estimated=True)


def test_a_tally_reads_the_counts_at_both_ends_of_a_stream() -> None:
    tally = Tally()
    tally.add(b'data: {"usage":{"input_tokens":7}}\n\n')
    for _ in range(10_000):
        tally.add(b"data: x\n\n")
    tally.add(b'data: {"usage":{"output_tokens":9}}\n\n')
    assert tally.usage() == Usage(7, 9)
    pieces = Tally()
    for byte in b'data: {"usage":{"input_tokens":7,"output_tokens":9}}\n\n' + b" " * 2000:
        pieces.add(bytes([byte]))
    assert pieces.usage() == Usage(7, 9)
