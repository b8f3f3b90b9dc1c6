"""inference/continuation/parts.py: the request that continues an answer, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import chat, completion, message

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.counts import Counts
from inference.continuation.eligibility import CODECS
from inference.continuation.parts import LEAST, continuation
from models.requests import endpoints

TEXT = "Once upon a time, there was a fox."
COUNTS = Counts(20, 80)


def asked(*messages: object, **fields: object) -> Any:
    """The request that continues 80 tokens, of ``text``, decoded; None where there is none."""
    text = str(fields.pop("text", TEXT))
    found = continuation(CHAT, chat(*messages, **fields), text, 80, COUNTS)
    return None if found is None else json.loads(found.body)


def test_the_words_become_the_assistants_last() -> None:
    found = continuation(CHAT, chat("hi", temperature=0), TEXT, 80, COUNTS)
    assert found is not None
    assert (found.text, found.counts, found.left) == (TEXT, COUNTS, None)
    request = json.loads(found.body)
    assert request["messages"] == [message("hi"), message(TEXT, "assistant")]
    assert request["temperature"] == 0


def test_a_beginning_of_the_clients_own_is_part_of_the_words() -> None:
    request = asked("hi", message("Once ", "assistant"))
    assert request["messages"] == [message("hi"), message(TEXT, "assistant")]
    for begun in (
        message("Twice ", "assistant"),
        message([{"type": "text", "text": "Once "}], "assistant"),
        message("Once ", "assistant", reasoning_content="…"),
    ):
        assert asked("hi", begun) is None


def test_text_completions_go_on_after_their_prompt() -> None:
    found = continuation(COMPLETION, completion("A tale: ", max_tokens=100), TEXT, 80, COUNTS)
    assert found is not None
    assert json.loads(found.body) == {"prompt": f"A tale: {TEXT}", "max_tokens": 20}
    assert found.left == 20
    for prompt in (["A tale: "], [1, 2]):
        assert continuation(COMPLETION, completion(prompt), TEXT, 80, COUNTS) is None


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_what_was_written_counts_against_the_limit(name: str) -> None:
    assert asked("hi", **{name: 100})[name] == 20
    assert asked("hi", **{name: 100.0})[name] == 20
    assert asked("hi", **{name: 80}) is None
    assert asked("hi", **{name: None})[name] is None
    if name == "n_predict":
        assert asked("hi", n_predict=-1)["n_predict"] == -1


def test_the_least_limit_counts() -> None:
    assert asked("hi", max_tokens=100, n_predict=60) is None
    request = asked("hi", max_tokens=100, n_predict=90)
    assert (request["max_tokens"], request["n_predict"]) == (20, 10)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logprobs": True},
        {"top_logprobs": 3},
        {"grammar": 'root ::= "x"'},
        {"json_schema": {"type": "object"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"continue_final_message": True},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    ],
)
def test_more_than_words_is_not_continued(fields: dict[str, object]) -> None:
    assert asked("hi", **fields) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"response_format": {"type": "text"}},
        {"stop": None},
        {"tool_choice": "auto"},
    ],
)
def test_what_says_nothing_of_it_is_no_hindrance(fields: dict[str, object]) -> None:
    assert asked("hi", **fields) is not None


def test_a_stop_sequence_that_may_have_begun_ends_it() -> None:
    assert asked("hi", stop="fox. The end") is None
    assert asked("hi", stop=["x", ".\n"]) is None
    assert asked("hi", stop=["The end", 7, ""]) is not None


def test_words_that_cannot_be_told_apart_end_it() -> None:
    assert asked("hi", text="a" * (LEAST - 1)) is None
    assert asked("hi", text=" " * 100) is None
    assert asked("hi", text=TEXT + "\ufffd") is None
    assert asked("hi", text="ä" * LEAST) is not None


def test_other_endpoints_do_not_grow() -> None:
    assert endpoints.EMBEDDINGS not in CODECS
    for kind in endpoints.ENDPOINTS:
        assert (kind in CODECS) == kind.grows


def test_a_chat_is_tried_as_it_is() -> None:
    assert asked("hi") is not None
    own = continuation(CHAT, chat("hi"), TEXT, 80, COUNTS)
    assert own is not None
    assert own.trial == own.body
    plain = continuation(COMPLETION, completion("hi"), TEXT, 80, COUNTS)
    assert plain is not None
    assert plain.trial is None
