"""Prompt caches over the life of the process: restarts, kills, neighbours, ``--forget``."""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from gateway_child import (
    GatewayProcess,
    config,
    gateway_process,
    outcome,
    until_gone,
)
from ports import quiet_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_engine import Journal

TALE = " ".join(f"word{number}" for number in range(100))


@asynccontextmanager
async def started(
    journal: Journal, name: str = "gateway", **options: Any
) -> AsyncIterator[GatewayProcess]:
    port = quiet_port()
    async with gateway_process(journal, config(journal, port, **options), port, name) as gateway:
        yield gateway


async def said(gateway: GatewayProcess, text: str = TALE) -> int:
    """Answer a turn; return how many tokens of its prompt came from the cache."""
    assert (await gateway.chat(text)).status == 200
    return int(gateway.journal.events("seated")[-1]["cached"])


@pytest.fixture
def slots(tmp_path: Path) -> Path:
    return tmp_path / "state" / "slots"


def suffixes(slots: Path) -> list[str]:
    return sorted(path.suffix for path in slots.iterdir())


async def stopped(gateway: GatewayProcess) -> None:
    gateway.signal()
    assert await gateway.exit_status() == 0


async def test_a_restart_forgets_nothing(journal: Journal, slots: Path) -> None:
    async with started(journal) as gateway:
        await said(gateway)
        await stopped(gateway)
    assert suffixes(slots) == [".json", ".state"]
    async with started(journal) as gateway:
        assert await said(gateway) >= 100


async def test_a_second_signal_ends_a_save_at_once(journal: Journal, slots: Path) -> None:
    server = {"state_timeout": 600, "shutdown_timeout": 600, "engine_stop_timeout": 600}
    async with started(journal, save="hang", server=server) as gateway:
        await said(gateway)
        pid = await gateway.engine_pid()
        gateway.signal()
        await journal.wait("half")
        gateway.signal()
        assert await gateway.exit_status() == 1
        assert not psutil.pid_exists(pid)
        assert "Traceback" not in gateway.said
    assert suffixes(slots) == []


async def test_a_shutdown_waits_for_a_save_no_longer_than_it_may(
    journal: Journal, slots: Path
) -> None:
    async with started(journal, save="hang", server={"state_timeout": 0.3}) as gateway:
        await said(gateway)
        await stopped(gateway)
        assert "saving took longer than state_timeout" in gateway.said
    assert suffixes(slots) == []


async def test_what_a_gateway_that_was_killed_was_writing_is_cleared_away(
    journal: Journal, slots: Path
) -> None:
    async with started(journal) as gateway:
        await said(gateway, f"first {TALE}")
        await stopped(gateway)
    async with started(journal, save="hang", server={"state_timeout": 600}) as gateway:
        await said(gateway)
        gateway.signal()
        await journal.wait("half", 2)
        pid = journal.events("listening")[-1]["pid"]
        gateway.signal(signal.SIGKILL)
        await gateway.exit_status()
        await until_gone(pid)
    assert suffixes(slots) == [".json", ".part", ".state"]
    async with started(journal) as gateway:
        assert suffixes(slots) == [".json", ".state"]
        # And what was whole still helps.
        assert await said(gateway, f"first {TALE}") >= 100


async def test_without_a_usable_folder_nothing_is_saved(journal: Journal, slots: Path) -> None:
    slots.parent.mkdir()
    slots.write_text("in the way")
    async with started(journal) as gateway:
        assert (await gateway.chat(TALE)).status == 200
        assert "prompt caches are not saved" in gateway.said
        (engine,) = (await gateway.request("GET", "/running")).json["engines"]
        assert engine["state_carry"] == "off"
    assert slots.read_text() == "in the way"


async def test_two_gateways_share_a_folder(journal: Journal, slots: Path) -> None:
    async with started(journal, "one", save_seconds=0.2) as one:
        await said(one, f"first {TALE}")
        async with started(journal, "two", save_seconds=0.2) as two:
            await said(two, f"second {TALE}")
            await stopped(one)
            assert suffixes(slots) == [".json", ".state"]
            async with started(journal, "three", save_seconds=0.2) as three:
                # What the first left is found, and what the second writes is not disturbed.
                assert await said(three, f"first {TALE}") >= 100
                await stopped(two)
    assert suffixes(slots) == [".json", ".json", ".state", ".state"]


async def test_a_start_leaves_alone_what_a_neighbour_is_writing(
    journal: Journal, slots: Path
) -> None:
    async with started(journal, "one", save_seconds=60, server={"state_timeout": 600}) as one:
        await said(one)
        one.signal()
        [event] = await journal.wait("save")
        (slots / event["file"]).write_text("half")
        (slots / event["file"]).with_suffix(".state").write_text("not noted yet")
        async with started(journal, "two"):
            assert suffixes(slots) == [".part", ".state"]


# -- --forget ---------------------------------------------------------------------------------


async def test_all_is_forgotten(journal: Journal, slots: Path, tmp_path: Path) -> None:
    async with started(journal) as gateway:
        await said(gateway)
        await stopped(gateway)
    (slots / "notes.txt").write_text("mine")
    (slots / "4999999-abc.part").write_text("half")
    file = str(tmp_path / "gateway.cfg.lua")
    status, text = await outcome("-c", file, "--forget", folder=tmp_path)
    assert (status, suffixes(slots)) == (0, [".txt"])
    assert text.startswith(f"{slots}: 1 saved state(s) removed, ")
    status, text = await outcome("-c", file, "--forget", folder=tmp_path)
    assert (status, text) == (0, f"{slots}: 0 saved state(s) removed, 0.0 MiB\n")


async def test_all_is_forgotten_while_a_gateway_runs(
    journal: Journal, slots: Path, tmp_path: Path
) -> None:
    async with started(journal) as gateway:
        await said(gateway)
        unload = {"model": "m"}
        await gateway.post(json.dumps(unload).encode(), "/admin/unload")
        assert suffixes(slots) == [".json", ".state"]
        file = str(tmp_path / "gateway.cfg.lua")
        status, _ = await outcome("-c", file, "--forget", folder=tmp_path)
        assert (status, suffixes(slots)) == (0, [])
        assert await said(gateway) == 0
        assert "Traceback" not in gateway.said


async def test_without_a_configuration_it_is_the_default_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "default"))
    status, text = await outcome("--forget", folder=tmp_path)
    assert status == 0
    assert "llm-gateway" in text
    assert "0 saved state(s) removed" in text


async def test_what_cannot_be_forgotten_is_said(
    journal: Journal, slots: Path, tmp_path: Path
) -> None:
    slots.parent.mkdir()
    slots.write_text("in the way")
    file = tmp_path / "gateway.cfg.lua"
    file.write_text(config(journal, quiet_port()))
    status, text = await outcome("-c", str(file), "--forget", folder=tmp_path)
    assert (status, text) == (1, f"{slots}: Not a directory\n")
