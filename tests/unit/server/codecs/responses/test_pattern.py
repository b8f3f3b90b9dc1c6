"""server/codecs/responses/pattern.py: whatever a pattern matches, its expression matches."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.codecs.responses.pattern import UnknownPatternError, pattern_of


@pytest.mark.parametrize(
    ("expression", "pattern"),
    [
        ("abc", "^(abc)$"),
        ("^a|b$", "^(a|b)$"),
        (r"\d{4}-\d{2}", "^([0-9]{4}-[0-9]{2})$"),
        (r"(?:a|b)+c?", "^((a|b)+c?)$"),
        (r"[a-f\d_]*", "^([a-f0-9_]*)$"),
        (r"\w+@\w+\.de", r"^([A-Za-z0-9_]+@[A-Za-z0-9_]+\.de)$"),
        (r"\$[^x]", r'^(\$[^x"\\\x00-\x1F])$'),
        (".", r'^([^"\\\x00-\x1F])$'),
        ("", "^()$"),
        (r"a\$", r"^(a\$)$"),
    ],
)
def test_what_can_be_written(expression: str, pattern: str) -> None:
    assert pattern_of(expression) == pattern


@pytest.mark.parametrize(
    "expression",
    ["(", "a(?=b)", "(?P<n>a)", r"\bword", r"a\n", 'say "a"', "a*?", "a++", "a^b", r"\\", "[\\n]"],
)
def test_what_cannot_be_written_is_refused(expression: str) -> None:
    with pytest.raises(UnknownPatternError):
        pattern_of(expression)


PIECES = st.sampled_from(
    [
        "a",
        "b",
        " ",
        ".",
        r"\d",
        r"\w",
        r"\s",
        "[a-c]",
        "[^a]",
        "(",
        ")",
        "|",
        "*",
        "+",
        "?",
        "{1,2}",
    ]
)


@given(pieces=st.lists(PIECES, max_size=6), data=st.data())
def test_all_that_matches_was_wanted(pieces: list[str], data: st.DataObject) -> None:
    expression = "".join(pieces)
    try:
        pattern = pattern_of(expression)
    except UnknownPatternError:
        assume(False)
    text = data.draw(st.from_regex(re.compile(pattern), fullmatch=True))
    assert re.fullmatch(expression, text)
    assert json.dumps(text, ensure_ascii=False) == f'"{text}"'
