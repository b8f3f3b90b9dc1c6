"""Tiers: the limits of accounts of one kind. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.scheduling.queue import Priority

if TYPE_CHECKING:
    from utils.config.accounts import AccountsSettings

PAYG, SUB, ADMIN = "payg", "sub", "admin"


@dataclass(frozen=True, slots=True)
class Tier:
    """The limits of a tier; None: no limit. ``pays``: from the account's balance.

    ``admin``: its keys may have the scope of that name.
    """

    name: str
    pays: bool = False
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    priority: Priority = Priority.NORMAL
    admin: bool = False


def tiers_of(settings: AccountsSettings) -> dict[str, Tier]:
    """Return the tiers by their names: those that are always there, and those of the file."""
    limits = settings.rate_limits
    tiers = {
        PAYG: Tier(PAYG, pays=True, rpm=limits.payg),
        SUB: Tier(SUB, rpm=limits.sub),
        ADMIN: Tier(ADMIN, admin=True),
    }
    for given in settings.tiers:
        usual = tiers.get(given.name, Tier(given.name))
        tiers[given.name] = Tier(
            given.name,
            given.pays or usual.pays,
            given.rpm or usual.rpm,
            given.tpm,
            given.concurrency,
            Priority[given.priority.upper()],
            usual.admin,
        )
    return tiers


def tier_of(tiers: dict[str, Tier], name: str) -> Tier:
    """Return the tier of this name; one that is gone is the strictest of those there always are."""
    return tiers.get(name) or tiers[PAYG]
