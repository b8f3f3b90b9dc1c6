"""Client secrets: who has one opens one session, soon."""

from __future__ import annotations

import pytest

from inference.caller import Exempt
from utils.errors import RateLimited
from voice.realtime.options import usual
from voice.realtime.secrets import Secret, Secrets

OPTIONS = usual("m", "h", "s", transcribes=False)
ME = Exempt("me")


def secret(value: str, owner: str = "me", until: float = 10.0) -> Secret:
    return Secret(value, owner, ME, OPTIONS, until)


def test_a_secret_is_used_once_and_in_time() -> None:
    secrets = Secrets()
    secrets.add(secret("a"), 0)
    assert secrets.find("b", 0) is None
    assert secrets.find("a", 10) is None
    found = secrets.find("a", 9)
    assert found is not None
    secrets.use(found)
    assert secrets.find("a", 9) is None


def test_there_are_so_many_of_an_owner() -> None:
    secrets = Secrets()
    for number in range(100):
        secrets.add(secret(str(number)), 0)
    with pytest.raises(RateLimited):
        secrets.add(secret("more"), 0)
    secrets.add(secret("other", "you", 30.0), 0)
    # Those that have expired do not count.
    secrets.add(secret("late", until=20.0), 10)
    assert len(secrets) == 2


def test_a_revoked_key_has_no_secrets() -> None:
    secrets = Secrets()
    secrets.add(secret("a"), 0)
    secrets.revoke(lambda caller: caller is ME)
    assert len(secrets) == 1
    secrets.revoke(lambda _: False)
    assert len(secrets) == 0
