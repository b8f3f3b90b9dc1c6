"""accounts/oidc.py: whose word about a person counts."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.oidc import (
    Attempt,
    Identity,
    authorization_url,
    endpoints_in,
    identity_in,
    is_safe,
    may_join,
    new_attempt,
)
from utils.config.accounts import OidcTable
from utils.errors import LoginRefused

ISSUER = "https://id.example"
SETTINGS = OidcTable(issuer=ISSUER, client_id="gw")
ATTEMPT = Attempt("state", "nonce", "verifier")
NOW = 1_000_000.0


def token(**claims: Any) -> str:
    every = {"iss": ISSUER, "aud": "gw", "sub": "7", "exp": NOW + 1, "nonce": "nonce", **claims}
    return f"e30.{urlsafe_b64encode(json.dumps(every).encode()).rstrip(b'=').decode()}.x"


def test_a_verified_address_belongs_to_an_identity() -> None:
    found = identity_in(
        token(email=" A@X.org", email_verified=True, name="Ada"), SETTINGS, ATTEMPT, NOW
    )
    assert found == Identity(ISSUER, "7", "a@x.org", "Ada")
    for verified in (False, "true", None):
        text = token(email="a@x.org", email_verified=verified)
        assert identity_in(text, SETTINGS, ATTEMPT, NOW) == Identity(ISSUER, "7", None, "7")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"aud": ["gw", "other"]},
        {"aud": []},
        {"exp": NOW - 121},
        {"exp": "soon"},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
    ],
)
def test_what_is_not_for_this_login_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(LoginRefused):
        identity_in(token(**claims), SETTINGS, ATTEMPT, NOW)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "e30.W10.x", "a.é.c"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(LoginRefused):
        identity_in(text, SETTINGS, ATTEMPT, NOW)


def test_several_audiences_need_to_name_the_gateway() -> None:
    identity_in(token(aud=["gw", "other"], azp="gw"), SETTINGS, ATTEMPT, NOW)


def test_the_browser_takes_all_that_must_come_back() -> None:
    assert len({*new_attempt(), *new_attempt()}) == 6
    url = authorization_url("https://id.example/a?b=c", SETTINGS, ATTEMPT, "https://gw/back")
    query = parse_qs(urlsplit(url).query)
    assert query["b"] == ["c"]
    assert query["state"] == ["state"]
    # The challenge of RFC 7636 for this verifier; the verifier itself is not in the URL.
    assert query["code_challenge"] == ["iMnq5o6zALKXGivsnlom_0F5_WYda32GHkxlV7mq7hQ"]
    assert "verifier" not in url


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://id.example", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_only_tls_protects_a_token(url: str, *, safe: bool) -> None:
    assert is_safe(url) is safe
    document = {"issuer": ISSUER + "/", "authorization_endpoint": url, "token_endpoint": url}
    if safe:
        assert endpoints_in(document, ISSUER) == (url, url)
        return
    with pytest.raises(LoginRefused):
        endpoints_in(document, ISSUER)


@pytest.mark.parametrize("document", [None, [], {}, {"issuer": ISSUER}])
def test_a_provider_that_does_not_describe_itself(document: Any) -> None:
    with pytest.raises(LoginRefused):
        endpoints_in(document, ISSUER)


def test_who_gets_an_account() -> None:
    who = Identity(ISSUER, "7", "a@x.org", "A")
    assert not may_join(who, SETTINGS)
    anyone = OidcTable(issuer=ISSUER, client_id="gw", tier="sub")
    assert may_join(who, anyone)
    assert not may_join(who._replace(email=None), anyone)
    ours = OidcTable(issuer=ISSUER, client_id="gw", tier="sub", domains=("X.org",))
    assert may_join(who, ours)
    assert not may_join(who._replace(email="a@evil.x.org"), ours)
