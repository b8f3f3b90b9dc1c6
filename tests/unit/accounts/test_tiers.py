"""accounts/tiers.py: the tiers of a configuration."""

from __future__ import annotations

from accounts.tiers import Tier, tier_of, tiers_of
from engine.scheduling.queue import Priority
from utils.config.accounts import AccountsSettings, RateLimitsTable, TierTable


def test_three_tiers_are_always_there() -> None:
    assert tiers_of(AccountsSettings()) == {
        "payg": Tier("payg", pays=True, rpm=25),
        "sub": Tier("sub", rpm=100),
        "admin": Tier("admin", admin=True),
    }


def test_tiers_of_the_file_are_added_or_change_those() -> None:
    gold = TierTable(name="gold", rpm=500, tpm=9000, priority="high")
    slow = TierTable(name="payg", concurrency=2, priority="low")
    tiers = tiers_of(AccountsSettings(rate_limits=RateLimitsTable(payg=5), tiers=(gold, slow)))
    assert tiers["gold"] == Tier("gold", rpm=500, tpm=9000, priority=Priority.HIGH)
    assert tiers["payg"] == Tier("payg", pays=True, rpm=5, concurrency=2, priority=Priority.LOW)


def test_a_tier_that_is_gone_pays() -> None:
    assert tier_of(tiers_of(AccountsSettings()), "gone").pays
