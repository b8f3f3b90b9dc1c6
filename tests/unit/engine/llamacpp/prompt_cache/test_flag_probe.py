"""flag_probe.py: which binaries can save slots; manager.py without one."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import variant
from fake_engine import LLAMA_SERVER

from engine.base import Launch
from engine.llamacpp.client import LlamaCppEngine
from engine.llamacpp.prompt_cache import engine_cache as engine_cache_module
from engine.llamacpp.prompt_cache import flag_probe as support
from engine.llamacpp.prompt_cache.flag_probe import CACHE_RAM, NO_CACHE_IDLE, SAVE_PATH, FlagProbe
from engine.llamacpp.prompt_cache.manager import PromptCacheManager
from engine.llamacpp.prompt_cache.store import StateStore
from engine.process.spawn import Child, spawn
from models.requests import endpoints
from models.requests.reader import parse

if TYPE_CHECKING:
    from pathlib import Path


def launch(binary: str) -> Launch:
    return Launch("m@1", (binary, "-m", "m.gguf"), dict(os.environ), "http://127.0.0.1:9")


def script(folder: Path, text: str) -> str:
    path = folder / "engine"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_binary_says_so_in_its_help_and_is_asked_once(tmp_path: Path) -> None:
    said = f'echo "$@" >> {tmp_path}/asked; echo " {SAVE_PATH} PATH  where"'
    binary = script(tmp_path, f'{said}; echo "-cram, {CACHE_RAM} N"')
    known = FlagProbe()
    assert await known.of(launch(binary)) == {SAVE_PATH, CACHE_RAM}
    assert await known.of(launch(binary)) == {SAVE_PATH, CACHE_RAM}
    assert (tmp_path / "asked").read_text() == "--help\n"
    # Another build is asked again.
    script(tmp_path, "echo nothing of that")
    assert not await known.of(launch(binary))


async def test_what_cannot_be_asked_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await FlagProbe().of(launch(str(tmp_path / "absent")))
    (tmp_path / "folder").mkdir()
    assert not await FlagProbe().of(launch(str(tmp_path / "folder")))
    monkeypatch.setattr(support, "_PATIENCE", 0.1)
    assert not await FlagProbe().of(launch(script(tmp_path, "sleep 600")))


async def test_a_binary_that_did_not_answer_in_time_is_asked_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Child] = []

    async def counted(launch: Launch) -> Child:
        asked.append(await spawn(launch))
        return asked[-1]

    monkeypatch.setattr(support, "_PATIENCE", 0.1)
    monkeypatch.setattr(support, "spawn", counted)
    binary = script(tmp_path, "exec sleep 600")
    known = FlagProbe()
    for _ in range(3):
        assert not await known.of(launch(binary))
    assert len(asked) == 2


async def test_a_binary_that_has_printed_all_is_not_waited_for(tmp_path: Path) -> None:
    talker = script(tmp_path, f"echo {SAVE_PATH}, {CACHE_RAM}, {NO_CACHE_IDLE}; exec sleep 600")
    assert len(await FlagProbe().of(launch(talker))) == 3


async def test_no_process_could_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_launch: Launch) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(support, "spawn", refused)
    assert not await FlagProbe().of(launch(script(tmp_path, "exit")))


async def test_an_engine_that_does_not_tell_its_slots_is_left_alone(tmp_path: Path) -> None:
    spec = variant(binary=LLAMA_SERVER)
    client = LlamaCppEngine(spec, "http://127.0.0.1:9")
    carried = PromptCacheManager(StateStore(tmp_path, 1), 1.0).of(spec, client)
    assert carried.standing.value == "off"
    prepared = await carried.prepared(launch(LLAMA_SERVER))
    assert prepared.argv[-2:] == (SAVE_PATH, str(tmp_path))
    assert carried.standing.value == "on"
    facts = parse(endpoints.CHAT, b'{"messages": [{"role": "user", "content": "hi"}]}')
    assert await carried.assign(facts) is None
    await carried.before_stop()
    await client.close()


@pytest.mark.parametrize(
    ("args", "added"), [((), True), (("--cache-idle-slots",), False), (("-np", "2"), True)]
)
async def test_slots_stay_as_they_are_while_others_are_at_work(
    tmp_path: Path, args: tuple[str, ...], *, added: bool
) -> None:
    spec = variant(binary=script(tmp_path, f"echo {SAVE_PATH}, {CACHE_RAM}, {NO_CACHE_IDLE}"))
    client = LlamaCppEngine(spec, "http://127.0.0.1:9")
    carried = PromptCacheManager(StateStore(tmp_path, 1), 1.0).of(spec, client)
    asked = launch(spec.binary)
    prepared = await carried.prepared(replace(asked, argv=(*asked.argv, *args)))
    assert (NO_CACHE_IDLE in prepared.argv) is added
    await client.close()


async def test_files_that_cannot_be_looked_at_carry_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_of: object) -> str:
        raise OSError("input/output error")

    monkeypatch.setattr(engine_cache_module, "fingerprint", broken)
    spec = variant(binary=LLAMA_SERVER)
    client = LlamaCppEngine(spec, "http://127.0.0.1:9")
    carried = PromptCacheManager(StateStore(tmp_path, 1), 1.0).of(spec, client)
    assert SAVE_PATH not in (await carried.prepared(launch(LLAMA_SERVER))).argv
    assert carried.standing.value == "off"
    await client.close()
