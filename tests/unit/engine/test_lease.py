"""engine/lease.py: what those who wait are told."""

from __future__ import annotations

from engine.lease import expected


def test_the_last_load_tells_of_this_one() -> None:
    assert expected(10.0, 4.0) == ", 40 %, 6 s left"
    assert expected(10.0, 9.1) == ", 91 %, 1 s left"
    assert expected(10.0, 10.0) == ""
    assert expected(0.0, 1.0) == ""
