"""server/telemetry.py: when that is done which ended requests leave to do."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from builders import variant

from engine.observer import Changed
from engine.scheduling.lifecycle import State
from engine.scheduling.reasons import Why
from engine.scheduling.waits import Wait
from inference.in_flight import Ongoing, RequestRegistry
from server.access_log import AccessRecord
from server.telemetry import Telemetry
from utils.errors import QueueFull

if TYPE_CHECKING:
    import pytest

REQUESTS = 64


async def test_what_ended_requests_leave_is_done_when_others_have_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is not done where a request ends or begins: then its client waits. Nor all at once."""
    caplog.set_level(logging.INFO)
    telemetry = Telemetry(RequestRegistry())
    taken: list[AccessRecord] = []

    def take() -> None:
        taken.extend(record for record, _ in telemetry.finished)
        telemetry.finished.clear()

    def done() -> tuple[int, int]:
        return len(caplog.messages), len(taken)

    telemetry.take = take
    with telemetry.access.gathering():
        for number in range(REQUESTS):
            record = AccessRecord("POST", path="/v1/x", started=0.0, id=str(number), status=200)
            ongoing = Ongoing(record)
            before = done()
            telemetry.began(ongoing)
            assert done() == before
            await asyncio.sleep(0)
            between = done()
            assert before[0] == between[0] or before[1] == between[1]
            telemetry.ended(record, 1.0, ongoing)
            assert done() == between
        lines, records = done()
        assert min(lines, records) > REQUESTS - 24
    assert len(caplog.messages) == REQUESTS
    every = [*taken, *(record for record, _ in telemetry.finished)]
    assert [record.id for record in every] == [str(number) for number in range(REQUESTS)]


def test_a_reason_is_kept_and_told_to_those_who_listen() -> None:
    telemetry = Telemetry(RequestRegistry())
    with telemetry.events.subscribe():
        telemetry.refused(1, QueueFull("3 wait.", 1.0))
    assert telemetry.decisions.newest()[0]["text"] == "3 wait."


def test_a_request_keeps_why_it_waited_and_what_made_way_for_it() -> None:
    telemetry = Telemetry(RequestRegistry())
    record = AccessRecord("POST", path="/v1/x", started=0.0, id="a", ticket=7)
    telemetry.began(Ongoing(record))
    wait = Wait("slot", "m@4096", 1, ("m@4096",))
    telemetry.waits(7, wait)
    telemetry.waits(8, wait)
    why = Why("count", "m@4096", 7)
    telemetry.changed(Changed(1, variant(512, "n"), State.READY, State.STOPPING, "", 1.0, why))
    assert [each["text"] for each in record.reasons] == [
        wait.sentence(),
        "n@512 makes way for m@4096: no more engines may run at once.",
    ]
    for _ in range(30):
        telemetry.waits(7, wait)
    assert len(record.reasons) == 20
