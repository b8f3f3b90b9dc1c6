"""server/access_log.py: one line a request."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from typing import TYPE_CHECKING

from gateway import until

from models.requests.amount import Amount, Unit
from server.access_log import CLIENT_LEFT, SOON, TOGETHER, AccessLog, AccessRecord
from utils.logger import LogBook, also_logged_to, get_logger, setup_logging

if TYPE_CHECKING:
    import pytest

PATH = "/v1/chat/completions"


def test_a_request_that_got_nowhere() -> None:
    assert AccessRecord("POST", path=PATH, started=10.0).line(10.25) == (
        f"POST {PATH} 499 model=- variant=- prompt=- completion=-"
        " queue=- load=- first=- total=0.250s from=- id=-"
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
        " queue=0.000s load=1.500s first=1.625s total=2.000s from=- id=3fa2c1-7"
    )


def test_a_bound_is_marked_as_one_until_the_engine_has_counted() -> None:
    record = AccessRecord("POST", path=PATH, started=0.0, prompt=96837, bound=True)
    assert " prompt<=96837 completion=-" in record.line(1.0)
    record.prompt, record.counted = 20001, True
    assert " prompt=20001 completion=-" in record.line(1.0)


def test_the_size_of_a_sound_and_of_a_text_is_told_in_its_unit() -> None:
    for amount, said in (
        (Amount(3.2456, Unit.SECONDS), " seconds=3.246 prompt=-"),
        (Amount(57, Unit.CHARACTERS), " characters=57 prompt=-"),
    ):
        assert said in AccessRecord("POST", path=PATH, started=0.0, amount=amount).line(1.0)


def ended(path: str = PATH) -> AccessRecord:
    return AccessRecord("POST", path=path, started=0.0, status=429, note="QueueFull")


def test_a_note_ends_the_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    AccessLog().write(ended(), 1.0)
    [logged] = caplog.messages
    assert logged == ended().line(1.0)
    assert logged.startswith(f"POST {PATH} 429 ")
    assert logged.endswith("total=1.000s from=- id=- (QueueFull)")
    assert "\n" not in logged


def test_what_a_page_asks_again_and_again_has_a_line_only_if_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    for status in (200, 304, 404):
        record = AccessRecord("GET", path="/api/models", started=0.0, status=status, quiet=True)
        AccessLog().write(record, 1.0)
    assert [line.split()[2] for line in caplog.messages] == ["404"]


async def test_lines_are_written_together_and_none_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Some when they are many, the rest soon, or at the end."""
    caplog.set_level(logging.INFO)
    log = AccessLog()
    paths = [f"/{number}" for number in range(3 * TOGETHER)]

    def written() -> list[str]:
        return [message.split()[1] for message in caplog.messages]

    with log.gathering():
        for path in paths[: 2 * TOGETHER - 1]:
            log.write(ended(path), 1.0)
        assert written() == paths[:TOGETHER]
        began = asyncio.get_running_loop().time()
        await until(lambda: len(written()) == 2 * TOGETHER - 1)
        assert asyncio.get_running_loop().time() - began >= SOON - 0.01
        for path in paths[2 * TOGETHER - 1 : -2]:
            log.write(ended(path), 1.0)
        log.flush()
        assert written() == paths[:-2]
        log.write(ended(paths[-2]), 1.0)
    assert written() == paths[:-1]
    log.write(ended(paths[-1]), 1.0)
    assert written() == paths


async def test_any_other_line_comes_after_those_that_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log, book = AccessLog(), LogBook()
    with also_logged_to(book), log.gathering():
        log.write(ended("/first"), 1.0)
        get_logger("queue").info("second")
        log.write(ended("/third"), 1.0)
        get_logger("queue").warning("fourth")
        log.write(ended("/fifth"), 1.0)
    order = ["/first", "second", "/third", "fourth", "/fifth"]
    assert [word for text in caplog.messages for word in text.split() if word in order] == order
    lines = [line.text for line in book.lines()]
    assert [word for text in lines for word in text.split() if word in order] == order
    assert re.fullmatch(r"\S+ \S+ I gateway\.access  POST /first 429 .*", lines[0])
    times = [line[:23] for line in lines]
    assert times == sorted(times)


async def test_stderr_gets_all_of_them_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    monkeypatch.setattr("sys.stderr", Terminal())
    # ``setup_logging`` changes these; they are as before after the test.
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile"):
        monkeypatch.setattr(logging, name, getattr(logging, name))
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        setup_logging("info")
        log = AccessLog()
        with log.gathering():
            for _ in range(3):
                log.write(ended(), 1.0)
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
    [text] = writes
    assert text.endswith("\n")
    assert [line.split("  ")[1] for line in text.splitlines()] == [ended().line(1.0)] * 3
