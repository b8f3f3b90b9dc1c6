"""accounts/store/history.py: what became of an invite."""

from __future__ import annotations

import pytest

from accounts.store.history import state_of

NOW = 1000


@pytest.mark.parametrize(
    ("uses", "expires", "state"),
    [
        (1, None, "open"),
        (1, NOW + 1, "open"),
        (1, NOW, "expired"),
        (0, NOW + 1, "accepted"),
        (0, NOW - 1, "accepted"),
    ],
)
def test_an_invite_is_open_taken_or_too_old(uses: int, expires: int | None, state: str) -> None:
    assert state_of({"uses": uses, "expires_at": expires}, NOW) == state
