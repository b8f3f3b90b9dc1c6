"""server/records/uptime.py: shares of days."""

from __future__ import annotations

import json

import pytest

from server.records.uptime import DAYS, Uptime

DAY = 24 * 3600.0
# Noon.
NOON = 20_000 * DAY + DAY / 2


def test_a_gateway_that_always_ran() -> None:
    uptime = Uptime()
    for second in range(10, 3610, 10):
        uptime.count(NOON + second, 10.0, {})
    view = uptime.view(NOON + 3600, ["m"])
    assert view["since"] == NOON
    assert view["gateway"]["uptime"] == 1.0
    assert view["gateway"]["days"] == [
        {"day": "2024-10-04", "seconds": 3600, "up_seconds": 3600, "uptime": 1.0}
    ]
    assert view["models"] == [{"model": "m", "uptime": 1.0, "days": []}]


def test_a_time_in_which_nobody_counted_is_down() -> None:
    uptime = Uptime()
    uptime.count(NOON, 100.0, {})
    uptime.count(NOON + 2 * DAY, 100.0, {})
    first, second, third = uptime.view(NOON + 2 * DAY, [])["gateway"]["days"]
    assert (first["up_seconds"], second["up_seconds"], third["up_seconds"]) == (100, 0, 100)
    assert second["uptime"] == 0.0
    assert first["seconds"] == DAY / 2 + 100


def test_models_are_down_only_while_they_fail() -> None:
    uptime = Uptime()
    uptime.count(NOON + 30, 30.0, {"m": "ready"})
    uptime.count(NOON + 40, 10.0, {"m": "failed", "n": "ready"})
    uptime.failed(NOON + 40, "m")
    m, n, other = uptime.view(NOON + 40, ["m", "n", "o"])["models"]
    assert (m["uptime"], n["uptime"], other["uptime"]) == (0.75, 1.0, 1.0)
    assert m["days"] == [
        {"day": "2024-10-04", "ready_seconds": 30, "failed_seconds": 10, "failures": 1}
    ]


def test_it_is_bounded_and_goes_on_after_a_restart() -> None:
    uptime = Uptime()
    for day in range(DAYS + 5):
        uptime.count(NOON + day * DAY, 50.0, {"m": "ready"} if day else {"gone": "ready"})
    now = NOON + (DAYS + 4) * DAY
    again = Uptime()
    again.restore(json.loads(json.dumps(uptime.stored())))
    assert again.view(now, ["m"]) == uptime.view(now, ["m"])
    assert len(again.view(now, [])["gateway"]["days"]) == DAYS
    assert len(uptime.stored()["up"]) == DAYS
    assert uptime.stored()["models"].keys() == {"m"}


@pytest.mark.parametrize("stored", [{}, {"since": None, "up": [], "models": {}}])
def test_a_file_of_something_else_changes_nothing(stored: object) -> None:
    uptime = Uptime()
    uptime.count(NOON, 1.0, {})
    before = uptime.stored()
    with pytest.raises((KeyError, AttributeError)):
        uptime.restore(stored)  # type: ignore[arg-type] # what a file may hold
    assert uptime.stored() == before


def test_without_a_count_there_is_no_share() -> None:
    assert Uptime().view(NOON, ["m"])["models"][0]["uptime"] is None
