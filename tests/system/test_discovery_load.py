"""Looking for models on a machine with very many does not disturb a gateway that serves."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from typing import TYPE_CHECKING

import pytest
from gguf_files import llama

from engine.llamacpp.discovery import EVERYTHING, Discovery
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

FILES = 10_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose user has very many models, each in a folder of its own."""
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


async def test_ten_thousand_models_are_found_beside_an_event_loop(home: Path) -> None:
    collected = []

    def notice(phase: str, info: dict[str, int]) -> None:
        collected.append((phase, info["generation"]))

    gc.callbacks.append(notice)
    try:
        for what in ("heads read", "heads known"):
            began, spent = time.monotonic(), time.process_time()
            again = Discovery(home / "state").again(EVERYTHING, ServerSettings())
            looking = asyncio.create_task(again)
            lags = []
            await asyncio.sleep(0)
            collected.clear()
            while not looking.done():
                asked = time.monotonic()
                await asyncio.sleep(0.001)
                lags.append(time.monotonic() - asked - 0.001)
            assert not collected
            _, catalog = await looking
            assert len(catalog.models) == FILES
            # Figures for a machine that does nothing else; in CI it may do much.
            took, cpu = time.monotonic() - began, time.process_time() - spent
            worst = 1000 * max(lags)
            print(f"{what}: {took:.2f} s, CPU {cpu:.2f} s, lag of the loop up to {worst:.1f} ms")
    finally:
        gc.callbacks.remove(notice)
        gc.unfreeze()
