"""A configuration file changes while it is watched."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from raw_client import PATIENCE

from utils.config.watch import changed, fingerprint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    file = folder / "gateway.cfg.lua"
    file.write_text("1")
    return file


@asynccontextmanager
async def watched(file: Path) -> AsyncIterator[AsyncGenerator[None, None]]:
    async with aclosing(changed(file, fingerprint(file), every=0.05)) as events:
        yield events


async def comes(events: AsyncGenerator[None, None]) -> None:
    async with asyncio.timeout(PATIENCE):
        await anext(events)


def test_a_fingerprint_is_of_the_file_and_the_lua_files_beside_it(file: Path) -> None:
    first = fingerprint(file)
    assert first == fingerprint(file)
    (file.parent / "notes.txt").write_text("a")
    assert first == fingerprint(file)
    (file.parent / "part.lua").write_text("a")
    assert first != (second := fingerprint(file))
    os.utime(file, (1, 1))
    assert second != fingerprint(file)


def test_a_missing_file_has_none(file: Path) -> None:
    (file.parent / "part.lua").write_text("a")
    (file.parent / "dangling.lua").symlink_to("nowhere")
    assert len(fingerprint(file)) == 2
    file.unlink()
    assert not fingerprint(file)


async def test_it_is_written(file: Path) -> None:
    async with watched(file) as events:
        for text in ("22", "333"):
            file.write_text(text)
            await comes(events)


async def test_a_report_of_the_system_is_enough(file: Path) -> None:
    async with aclosing(changed(file, fingerprint(file), every=60.0)) as events:
        noticed = asyncio.ensure_future(anext(events))
        number = 1
        async with asyncio.timeout(PATIENCE):
            # The watch begins some time after the call, so it is written until that is noticed.
            while not noticed.done():
                number += 1
                file.write_text("2" * number)
                await asyncio.wait([noticed], timeout=0.5)
        await noticed


async def test_it_is_replaced_by_another_of_the_same_size_and_time(file: Path) -> None:
    async with watched(file) as events:
        new = file.with_suffix(".new")
        new.write_text("2")
        status = file.stat()
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        new.replace(file)
        await comes(events)


async def test_it_is_away_for_a_moment(file: Path) -> None:
    async with watched(file) as events:
        backup = file.with_suffix(".lua~")
        file.rename(backup)
        file.write_text("2")
        await comes(events)


async def test_a_lua_file_beside_it(file: Path) -> None:
    async with watched(file) as events:
        (file.parent / "part.lua").write_text("1")
        await comes(events)


async def test_what_a_link_leads_to(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "real").write_text("1")
    file.unlink()
    file.symlink_to(elsewhere / "real")
    async with watched(file) as events:
        (elsewhere / "real").write_text("22")
        await comes(events)


async def test_what_changed_before_it_was_watched(file: Path) -> None:
    known = fingerprint(file)
    file.write_text("22")
    async with aclosing(changed(file, known, every=0.05)) as events:
        # Without another event it is found by looking again.
        await comes(events)


async def test_other_files_are_not_its_business(file: Path) -> None:
    async with watched(file) as events:
        coming = asyncio.get_running_loop().create_task(comes(events))
        for number in range(3):
            (file.parent / "notes.txt").write_text(str(number))
            await asyncio.sleep(0)
        assert not coming.done()
        file.write_text("22")
        await coming
