"""utils/logger.py: the last lines of each source, and no line lost or doubled for listeners."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

from utils.logger import GATEWAY, Line, LogBook

if TYPE_CHECKING:
    import pytest


def texts(book: LogBook, source: str | None = None) -> list[str]:
    return [line.text for line in book.lines(source)]


def test_sources_are_kept_apart_and_told_in_order() -> None:
    book = LogBook()
    for source, text in (("a", "1"), (GATEWAY, "2"), ("b", "3"), ("a", "4")):
        book.add(source, text)
    assert texts(book) == ["1", "2", "3", "4"]
    assert texts(book, "a") == ["1", "4"]
    assert texts(book, GATEWAY) == ["2"]
    assert texts(book, "unknown") == []


def test_a_talkative_source_pushes_out_only_its_own() -> None:
    book = LogBook(lines=3)
    book.add("quiet", "q")
    for number in range(100):
        book.add("loud", str(number))
    assert texts(book) == ["q", "97", "98", "99"]


def test_characters_are_bounded_too_but_the_last_line_is_kept() -> None:
    book = LogBook(lines=100, characters=10)
    for text in ("aaaa", "bbbb", "cccc"):
        book.add("m", text)
    assert texts(book) == ["bbbb", "cccc"]
    book.add("m", "d" * 50)
    assert texts(book) == ["d" * 50]
    book.add("m", "e")
    assert texts(book) == ["e"]


def test_what_is_logged_is_kept_as_it_is_written() -> None:
    book = LogBook()
    book.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("other")  # noqa: LOG001 - of this test alone
    logger.addHandler(book)
    logger.warning("careful: %d", 7)
    assert book.lines() == [Line(1, GATEWAY, "WARNING careful: 7")]


def test_a_record_that_cannot_be_formatted_ends_no_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    book = LogBook()
    logger = logging.Logger("other")  # noqa: LOG001 - of this test alone
    logger.addHandler(book)
    logger.warning("%d", "no number")
    assert book.lines() == []
    assert "Logging error" in capsys.readouterr().err


async def test_listeners_get_each_line_once_whatever_thread_it_comes_from() -> None:
    book = LogBook(lines=100_000)
    book.attach(asyncio.get_running_loop())
    each = 2000
    listened_to = threading.Event()

    def talk(name: str) -> None:
        for number in range(each):
            if number == each // 2:
                listened_to.wait()
            book.add(name, f"{name}{number}")

    threads = [threading.Thread(target=talk, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    book.add("c", "first")
    kept, subscription, last = book.follow()
    seen = [line.text for line in kept]
    with subscription:
        listened_to.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        book.add("c", "end")
        await asyncio.sleep(0)
        book.feed.close()
        while (batch := await subscription.fetch()) is not None:
            lines, lost = batch
            assert lost == 0
            seen += [line.text for line in lines if line.number > last]
    expected = [f"{name}{number}" for name in "ab" for number in range(each)]
    assert sorted(seen) == sorted([*expected, "first", "end"])
    own = [text for text in seen if text.startswith("a")]
    assert own == [f"a{number}" for number in range(each)]


def test_what_engines_print_does_not_come_by_the_logger() -> None:
    book = LogBook()
    for name in ("gateway.engine.m@256", "gateway.engine"):
        book.handle(logging.makeLogRecord({"name": name, "msg": name}))
    assert texts(book) == ["gateway.engine"]


async def test_lines_after_the_end_of_the_loop_are_kept() -> None:
    book = LogBook()
    with book.feed.subscribe():
        await asyncio.to_thread(book.add, "m", "late")
    assert texts(book) == ["late"]
