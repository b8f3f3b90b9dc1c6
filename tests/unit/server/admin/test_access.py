"""server/admin/access.py: who may use the admin paths."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from server.admin.access import require_loopback, require_token
from server.cors import Cors
from utils.errors import AdminRefused, NotAuthenticated, OriginRefused

TOKEN = "s3cret-token"
HOST = {"Host": "127.0.0.1:7777"}
OUTSIDE = "https://chat.example.com"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN} "},
        {"X-Admin-Token": TOKEN},
        {"X-Admin-Token": TOKEN, "Authorization": "Bearer other"},
    ],
)
def test_the_token_opens(headers: dict[str, str]) -> None:
    require_token(CIMultiDict(headers), TOKEN)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"X-Admin-Token": ""},
        {"X-Admin-Token": TOKEN[:-1]},
        {"X-Admin-Token": "s\udcff"},
        {"X-Api-Key": TOKEN},
    ],
)
def test_nothing_else_does(headers: dict[str, str]) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        require_token(CIMultiDict(headers), TOKEN)
    assert "server.admin_token" in caught.value.message
    assert TOKEN not in caught.value.message


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:7777",
        "gateway.localhost:1",
        "127.0.0.1:7777",
        "127.0.0.2",
        "[::1]:7777",
    ],
)
def test_this_machine_needs_no_token(peer: str, host: str) -> None:
    require_loopback(CIMultiDict(Host=host), peer)


@pytest.mark.parametrize(
    "peer", ["10.0.0.7", "192.168.1.5", "::ffff:10.0.0.7", "fe80::1%eth0", "", None, "nonsense"]
)
def test_others_do(peer: str | None) -> None:
    with pytest.raises(AdminRefused, match=r"Set server\.admin_token"):
        require_loopback(CIMultiDict(HOST), peer)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "x-forwarded-host", "Forwarded", "X-Real-IP", "Via"]
)
def test_a_proxy_on_this_machine_is_not_this_machine(name: str) -> None:
    with pytest.raises(AdminRefused, match=r"proxy.*Set server\.admin_token"):
        require_loopback(CIMultiDict(HOST | {name: "127.0.0.1"}), "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7777", "127.0.0.1.evil.example", "0.0.0.0:7777", "localhost@x"],
)
def test_a_name_that_was_made_to_point_here_is_not_this_machine(host: str) -> None:
    with pytest.raises(AdminRefused, match="localhost only"):
        require_loopback(CIMultiDict(Host=host), "127.0.0.1")
    with pytest.raises(AdminRefused):
        require_loopback(CIMultiDict(), "127.0.0.1")


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:3000"},
        {"Origin": "HTTP://127.0.0.1:7777"},
        {"Origin": "http://192.168.1.5:7777", "Host": "192.168.1.5:7777"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_pages_of_this_machine_may(headers: dict[str, str], token: bool) -> None:
    Cors(["*"]).refuse_admin(CIMultiDict(headers), token=token)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OUTSIDE},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("token", [True, False])
def test_pages_of_strangers_may_not(headers: dict[str, str], token: bool) -> None:
    for origins in ([], ["*"], ["https://other.example"]):
        with pytest.raises(OriginRefused):
            Cors(origins).refuse_admin(CIMultiDict(headers), token=token)


def test_a_named_page_may_where_a_token_is_asked_for() -> None:
    cors = Cors([OUTSIDE])
    cors.refuse_admin({"Origin": OUTSIDE}, token=True)
    with pytest.raises(OriginRefused):
        cors.refuse_admin({"Origin": OUTSIDE}, token=False)
