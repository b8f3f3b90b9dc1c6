"""models/downloads/resume.py: continue a file where it stopped."""

from __future__ import annotations

import pytest

from models.downloads.resume import WrongBody, asked, begins_at, is_strong


def test_a_part_asks_for_the_rest_of_the_same_content() -> None:
    assert asked(0, '"x"') == {}
    assert asked(5, '"x"') == {"Range": "bytes=5-", "If-Range": '"x"'}
    # A weak mark does not say that the bytes are the same, and a missing one says nothing.
    for mark in ('W/"x"', ""):
        assert asked(5, mark) == {"Range": "bytes=5-"}
        assert not is_strong(mark)


@pytest.mark.parametrize(
    ("status", "headers", "at", "begin"),
    [
        (200, {"Content-Length": "10"}, 0, 0),
        (200, {}, 4, 0),
        (206, {"Content-Range": "bytes 4-9/10"}, 4, 4),
        (206, {"Content-Range": "bytes 4-9/*"}, 4, 4),
    ],
)
def test_where_the_body_begins(status: int, headers: dict[str, str], at: int, begin: int) -> None:
    assert begins_at(status, headers, at, 10) == begin


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"Content-Length": "11"}),
        (206, {"Content-Range": "bytes 3-9/10"}),
        (206, {"Content-Range": "bytes 4-9/11"}),
        (206, {}),
        (206, {"Content-Range": "bytes x-y/z"}),
        (204, {}),
        (416, {"Content-Range": "bytes */3"}),
    ],
)
def test_another_body_is_not_taken(status: int, headers: dict[str, str]) -> None:
    with pytest.raises(WrongBody):
        begins_at(status, headers, 4, 10)
