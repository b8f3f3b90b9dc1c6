"""server/people/cookies.py: one cookie, and who may act by it."""

from __future__ import annotations

import pytest

from server.browsers import require_own_page
from server.people.cookies import forget, keep, token_in
from utils.errors import OriginRefused

HOST = {"Host": "llm.example:7777"}


def test_a_cookie_is_read_as_it_was_set() -> None:
    for https in (True, False):
        pair = keep("a-token_1", https=https).partition(";")[0]
        assert token_in({"Cookie": f"other=1; {pair}; x=y"}) == "a-token_1"
        assert token_in({"Cookie": forget(https=https).partition(";")[0]}) is None
    assert keep("t", https=True).startswith("__Host-gw=t; Secure; Path=/; HttpOnly; SameSite=Lax")
    assert "Secure" not in keep("t", https=False)
    # The one that no other host can set counts.
    assert token_in({"Cookie": "gw=forged; __Host-gw=mine"}) == "mine"
    nothing: dict[str, str]
    for nothing in ({}, {"Cookie": ""}, {"Cookie": "gw=; a"}):
        assert token_in(nothing) is None


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://llm.example:7777"}, True),
        ({"Origin": "http://llm.example:3000"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://llm.example:7777", "Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_only_pages_of_the_gateway_may_change_something(
    headers: dict[str, str], *, fine: bool
) -> None:
    require_own_page("GET", HOST | headers)
    if fine:
        require_own_page("POST", HOST | headers)
        return
    with pytest.raises(OriginRefused):
        require_own_page("POST", HOST | headers)


def test_behind_a_proxy_its_name_counts() -> None:
    require_own_page("POST", HOST | {"Origin": "https://a.example"}, "a.example")
    with pytest.raises(OriginRefused):
        require_own_page("POST", HOST | {"Origin": "http://llm.example:7777"}, "a.example")
