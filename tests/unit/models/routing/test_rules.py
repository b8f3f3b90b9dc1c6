"""models/routing/rules.py: when the conditions of a rule hold."""

from __future__ import annotations

import time
from typing import Any

import pytest

from models.routing.asked import Asked
from models.routing.rules import BadPattern, holds, pattern_of
from utils.config.routes import RuleTable

ASKED = Asked(
    endpoint="chat",
    needs=frozenset({"text", "vision", "tools"}),
    tokens=100,
    text="Please write a Python function",
    headers={"X-Team": "blue"},
    tier="gold",
    hour=23,
    profile="night",
)


def rule(**conditions: Any) -> RuleTable:
    return RuleTable(to=("a",), **conditions)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"endpoints": ("messages", "chat")}, True),
        ({"endpoints": ("messages",)}, False),
        ({"parts": frozenset({"image"})}, True),
        ({"parts": frozenset({"image", "audio"})}, False),
        ({"tools": True}, True),
        ({"tools": False}, False),
        ({"min_tokens": 100, "max_tokens": 100}, True),
        ({"min_tokens": 101}, False),
        ({"max_tokens": 99}, False),
        ({"matches": "(?i)python|lua"}, True),
        ({"matches": "^write"}, False),
        ({"headers": {"X-Team": "blue"}}, True),
        ({"headers": {"X-Team": "red"}}, False),
        ({"headers": {"X-Other": "blue"}}, False),
        ({"tiers": ("silver", "gold")}, True),
        ({"tiers": ("silver",)}, False),
        ({"hours": (22, 6)}, True),
        ({"hours": (6, 22)}, False),
        ({"hours": (23, 24)}, True),
        ({"hours": (22, 23)}, False),
        ({"profile": "night"}, True),
        ({"profile": "day"}, False),
        ({"tools": True, "profile": "day"}, False),
    ],
)
def test_conditions(conditions: dict[str, Any], expected: bool) -> None:
    assert holds(rule(**conditions), ASKED) is expected


def test_an_expression_takes_time_only_for_the_length_of_the_text() -> None:
    asked = ASKED._replace(text="a" * 30_000)
    began = time.process_time()
    # In engines that go back, this takes longer than the age of the universe.
    assert not holds(rule(matches="(a|a)*(a|aa)*b"), asked)
    assert time.process_time() - began < 1.0


def test_an_expression_that_is_none() -> None:
    with pytest.raises(BadPattern, match="missing"):
        pattern_of("a(")
