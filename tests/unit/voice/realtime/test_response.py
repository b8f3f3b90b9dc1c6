"""The events of an answer of the Realtime API; their order is shown with OpenAI's own client."""

from __future__ import annotations

from voice.realtime.response import limits_of


def test_limits_are_told_as_the_headers_have_them() -> None:
    headers = {
        "X-Gateway-Variant": "m@1",
        "x-ratelimit-limit-requests": "25",
        "x-ratelimit-remaining-requests": "24",
        "x-ratelimit-reset-requests": "2.4s",
    }
    expected = {"name": "requests", "limit": 25, "remaining": 24, "reset_seconds": 2.4}
    assert limits_of(headers) == [expected]
    assert limits_of({}) == []
