"""accounts/throttle.py: how often somebody may try."""

from __future__ import annotations

import pytest

from accounts.throttle import Throttle, place_of
from utils.errors import TooManyLogins

SECOND = 10**9


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


def test_tries_come_back_with_time() -> None:
    clock = Clock()
    throttle = Throttle(2, 10 * SECOND, clock)
    throttle.take("a", "b")
    throttle.take("a", "b")
    with pytest.raises(TooManyLogins) as raised:
        throttle.take("a", "c")
    assert raised.value.retry_after == 5.0
    # Nothing was counted for the other.
    throttle.take("c")
    throttle.take("c")
    clock.now = 5 * SECOND
    throttle.take("a")
    with pytest.raises(TooManyLogins):
        throttle.take("a")


def test_a_right_answer_forgives() -> None:
    throttle = Throttle(1, SECOND, Clock())
    for _ in range(3):
        throttle.take("a")
        throttle.forgive("a", "nobody")


def test_the_oldest_name_is_forgotten() -> None:
    throttle = Throttle(1, SECOND, Clock(), room=2)
    for who in ("a", "b", "c", "a"):
        throttle.take(who)
    with pytest.raises(TooManyLogins):
        throttle.take("c")


def test_a_network_of_one_client_is_one_place() -> None:
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert place_of("2001:db8:0:1::1") != place_of("2001:db8::1")
    assert place_of("fe80::1%eth0") == "fe80::/64"
    assert [place_of(each) for each in ("192.0.2.1", "unix", None)] == ["192.0.2.1", "unix", ""]
