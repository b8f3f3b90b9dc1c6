"""server/admin/grants.py: links that are good once, and what a page gets for one."""

from __future__ import annotations

import pytest

from server.admin.grants import LIFETIME, Grants


class Gateway:
    def __init__(self) -> None:
        self.now = 1000.0
        self.secret = "own"
        self.grants = Grants(lambda: self.secret, lambda: self.now)

    def granted(self) -> str:
        token = self.grants.redeem(self.grants.link(60))
        assert token is not None
        return token


def test_a_link_is_good_once_and_not_for_long() -> None:
    gateway = Gateway()
    link = gateway.grants.link(60)
    assert gateway.grants.redeem(link + "x") is None
    token = gateway.grants.redeem(link)
    assert token is not None
    assert gateway.grants.admits(token)
    assert gateway.grants.redeem(link) is None
    late = gateway.grants.link(60)
    gateway.now += 61
    assert gateway.grants.redeem(late) is None


def test_a_grant_outlives_a_restart_but_not_its_time_and_not_a_new_token() -> None:
    token = Gateway().granted()
    gateway = Gateway()
    assert gateway.grants.admits(token)
    gateway.secret = "new"
    assert not gateway.grants.admits(token)
    gateway.secret = "own"
    gateway.now += LIFETIME
    assert not gateway.grants.admits(token)


@pytest.mark.parametrize(
    "token", ["", "page", "page.", "page.9999999999", "page.9999999999.0", "x.1.2", "page.\udcff.x"]
)
def test_what_nobody_signed_is_refused(token: str) -> None:
    assert not Gateway().grants.admits(token)


def test_a_grant_cannot_be_made_longer() -> None:
    gateway = Gateway()
    prefix, expires, signature = gateway.granted().split(".")
    assert not gateway.grants.admits(f"{prefix}.{int(expires) + 1}.{signature}")


def test_without_a_token_of_its_own_the_gateway_grants_nothing() -> None:
    gateway = Gateway()
    token = gateway.granted()
    gateway.secret = ""
    assert not gateway.grants.admits(token)
    assert gateway.grants.redeem(gateway.grants.link(60)) is None


def test_only_the_last_links_are_good() -> None:
    gateway = Gateway()
    first, *others = [gateway.grants.link(60) for _ in range(9)]
    assert gateway.grants.redeem(first) is None
    assert all(gateway.grants.redeem(each) for each in others)
