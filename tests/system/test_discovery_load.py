"""Looking for models on a machine with many does not disturb a gateway that serves.

How late the loop is beside ten thousand models is measured in ``bench/discovery.py``.
"""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest
from gguf_files import llama

from engine.llamacpp.discovery import EVERYTHING, Discovery
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

FILES = 1_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose user has many models, each in a folder of its own."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("LLAMA_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    content = llama(1)
    for number in range(FILES):
        place = tmp_path / ".lmstudio" / "models" / f"p{number}" / "repo"
        place.mkdir(parents=True)
        (place / f"m{number}-Q4_0.gguf").write_bytes(content)
    return tmp_path


async def test_a_thousand_models_are_found_beside_an_event_loop(home: Path) -> None:
    collected = []

    def notice(phase: str, info: dict[str, int]) -> None:
        collected.append((phase, info["generation"]))

    gc.callbacks.append(notice)
    try:
        for _ in ("heads read", "heads known"):
            again = Discovery(home / "state").again(EVERYTHING, ServerSettings())
            looking = asyncio.create_task(again)
            turns = 0
            await asyncio.sleep(0)
            collected.clear()
            while not looking.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert not collected
            assert turns
            _, catalog = await looking
            assert len(catalog.models) == FILES
    finally:
        gc.callbacks.remove(notice)
        gc.unfreeze()
