"""server/records/recorder.py: what is kept, and where."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from inference.in_flight import Ongoing, RequestRegistry
from server.access_log import AccessRecord
from server.metrics import Present
from server.records.recorder import Recorder
from server.telemetry import Telemetry

if TYPE_CHECKING:
    from pathlib import Path


def recorder(folder: Path | None) -> tuple[Recorder, Telemetry]:
    telemetry = Telemetry(RequestRegistry())
    return Recorder(telemetry, lambda: Present((), 0, 0), folder), telemetry


def ended(telemetry: Telemetry, number: str) -> None:
    record = AccessRecord("POST", path="/v1/x", started=0.0, id=number, status=200)
    telemetry.ended(record, 1.0, Ongoing(record))


def ids(one: Recorder) -> list[str]:
    return [row["id"] for row in one.requests]


async def test_a_second_gateway_leaves_the_records_of_the_first_alone(tmp_path: Path) -> None:
    first, of_first = recorder(tmp_path)
    second, of_second = recorder(tmp_path)
    async with first.running():
        ended(of_first, "a-1")
        # The folder is the first's when it takes up requests; a thread locks it before.
        while of_first.take is None:
            await asyncio.sleep(0)
        # Whoever asks before the first sample is told that it runs, too.
        first.count_up()
        assert sum(first.uptime.stored()["up"].values()) > 0
        async with second.running():
            ended(of_second, "b-1")
        assert ids(second) == ["b-1"]
    assert ids(first) == ["a-1"]
    third, _ = recorder(tmp_path)
    async with third.running():
        pass
    assert ids(third) == ["a-1"]


async def test_a_folder_that_cannot_be_used_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    one, telemetry = recorder(file / "records")
    async with one.running():
        ended(telemetry, "a-1")
    assert ids(one) == ["a-1"]
    assert "records stay in memory" in caplog.text


@pytest.mark.parametrize("content", [b"", b"[]", b'{"since":1}'])
async def test_an_uptime_that_cannot_be_read_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "uptime.json").write_bytes(content)
    one, _ = recorder(tmp_path)
    async with one.running():
        pass
    assert "not readable, begun anew" in caplog.text
    assert (tmp_path / "uptime.json").read_bytes() != content
