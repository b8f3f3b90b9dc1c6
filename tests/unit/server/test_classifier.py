"""server/classifier.py: what a small model is asked, and how its answer is read."""

from __future__ import annotations

import json

import pytest

from server.classifier import answer_in, classify_request, label_in
from utils.config.routes import ClassifyTable

CLASSIFY = ClassifyTable(model="tiny", labels={"code": ("a",), "talk": ("b",)}, default="talk")


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("code", "code"),
        (' "Code".\n', "code"),
        ("The label is talk", "talk"),
        ("code or talk", None),
        ("neither", None),
        ("", None),
    ],
)
def test_a_label_is_taken_only_if_it_is_clear(said: str, label: str | None) -> None:
    assert label_in(said, CLASSIFY.labels) == label


def test_a_label_that_is_part_of_another_is_found_by_its_whole() -> None:
    assert label_in("code", ["code", "code-review"]) == "code"


def test_the_model_may_write_nothing_but_a_label() -> None:
    asked = classify_request(CLASSIFY, "x" * 5000)
    schema = asked["response_format"]["json_schema"]["schema"]
    assert schema["enum"] == ["code", "talk"]
    assert len(asked["messages"][1]["content"]) == 4000
    assert asked["messages"][0]["content"].endswith("Labels: code, talk.")
    assert (asked["model"], asked["stream"], asked["max_tokens"]) == ("tiny", False, 16)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"choices": [{"message": {"content": "code"}}]}, "code"),
        ({"choices": [{"message": {"content": None}}]}, ""),
        ({"choices": []}, ""),
        ([], ""),
    ],
)
def test_the_text_of_an_answer(body: object, text: str) -> None:
    assert answer_in(json.dumps(body).encode()) == text


def test_what_is_no_answer() -> None:
    assert answer_in(b"<html>") == ""
