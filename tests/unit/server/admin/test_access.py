"""server/admin/access.py: who may use the admin paths."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from server.admin.access import require_admin, require_token
from server.browsers import Cors
from utils.config.settings import ServerSettings
from utils.errors import NotAuthenticated, OriginRefused

TOKEN = "s3cret-token"
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
    require_token(CIMultiDict(headers), ["other", TOKEN])


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
        require_token(CIMultiDict(headers), ["other", TOKEN])
    assert "server.admin_token" in caught.value.message
    assert "admin-token" in caught.value.message
    assert TOKEN not in caught.value.message


@pytest.mark.parametrize("configured", [TOKEN, None])
def test_the_gateways_own_token_opens_beside_the_configured_one(configured: str | None) -> None:
    settings = ServerSettings(admin_token=configured, own_token="own")
    require_admin({"X-Admin-Token": "own"}, settings)
    if configured is not None:
        require_admin({"X-Admin-Token": configured}, settings)
    with pytest.raises(NotAuthenticated):
        require_admin({"X-Admin-Token": "other"}, settings)


@pytest.mark.parametrize("offered", ["", "None", "other"])
def test_without_any_token_nobody_may(offered: str) -> None:
    with pytest.raises(NotAuthenticated):
        require_admin({"X-Admin-Token": offered}, ServerSettings())


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
def test_pages_of_this_machine_may(headers: dict[str, str]) -> None:
    Cors(["*"]).refuse_admin(CIMultiDict(headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OUTSIDE},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_pages_of_strangers_may_not(headers: dict[str, str]) -> None:
    for origins in ([], ["*"], ["https://other.example"]):
        with pytest.raises(OriginRefused):
            Cors(origins).refuse_admin(CIMultiDict(headers))


def test_a_page_that_is_named_may() -> None:
    Cors([OUTSIDE]).refuse_admin({"Origin": OUTSIDE})
