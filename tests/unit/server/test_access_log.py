"""server/access_log.py: one line a request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from server.access_log import CLIENT_LEFT, AccessRecord

if TYPE_CHECKING:
    import pytest

PATH = "/v1/chat/completions"


def test_a_request_that_got_nowhere() -> None:
    assert AccessRecord("POST", path=PATH, started=10.0).line(10.25) == (
        f"POST {PATH} 499 model=- variant=- prompt=- completion=-"
        " queue=- load=- first=- total=0.250s id=-"
    )
    assert CLIENT_LEFT == 499


def test_a_request_that_was_answered() -> None:
    record = AccessRecord(
        "POST",
        path=PATH,
        started=10.0,
        id="3fa2c1-7",
        status=200,
        model="qwen",
        variant="qwen@8192",
        prompt=37,
        completion=0,
        queued=0.0,
        loading=1.5,
        first=1.6254,
    )
    assert record.line(12.0) == (
        f"POST {PATH} 200 model=qwen variant=qwen@8192 prompt=37 completion=0"
        " queue=0.000s load=1.500s first=1.625s total=2.000s id=3fa2c1-7"
    )


def test_a_note_ends_the_line(caplog: pytest.LogCaptureFixture) -> None:
    record = AccessRecord("POST", path=PATH, started=0.0, status=429, note="QueueFull")
    with caplog.at_level(logging.INFO, "gateway.access"):
        record.write(1.0)
    [logged] = caplog.messages
    assert logged == record.line(1.0)
    assert logged.startswith(f"POST {PATH} 429 ")
    assert logged.endswith("total=1.000s id=- (QueueFull)")
    assert "\n" not in logged
