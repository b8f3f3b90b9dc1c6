"""Real engines serve the models of a machine, without a configuration."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from model_stores import hub, ollama, put
from real_engines import ENGINES
from tiny_models import HYBRID, PLAIN, SLIDING, Tiny, write

import app
from engine.llamacpp.discovery import EVERYTHING, Discovery
from utils.config.settings import ServerSettings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose user has a hub cache and an Ollama store, each with one model."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    hub(tmp_path / ".cache/huggingface/hub", "org/plain", "plain-F16.gguf", content=made(PLAIN))
    ollama(tmp_path / ".ollama/models", "registry.ollama.ai/library/pulled/tiny", made(HYBRID))
    return tmp_path


def made(tiny: Tiny) -> bytes:
    return write(tiny, Path(os.environ["HOME"]) / "made").read_bytes()


def use(engine: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the engine on PATH, unless it is the bundled one."""
    folder = home / "bin"
    folder.mkdir()
    if engine != "bundled":
        (folder / "llama-server").symlink_to(ENGINES[engine])
    # Threads that wait for each other keep cores busy that other tests need.
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin")


@pytest.mark.parametrize("engine", ENGINES)
async def test_models_are_found_served_and_found_again(
    engine: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(engine, home, monkeypatch)
    state = home / "state"
    given = ServerSettings(listen_v4="127.0.0.1:0", max_loaded_models=3, admin_token="for-tests")
    found = Discovery(state)
    settings, catalog = found.catalog(EVERYTHING, given)
    built = app.build(settings, catalog, partial(found.again, EVERYTHING, given), state)
    async with built.gateway.serving() as endpoints, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{endpoints[0].port}"

        async def answer(name: str) -> dict[str, Any]:
            body = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}
            path = f"{url}/v1/chat/completions"
            async with session.post(path, json=body | {"max_tokens": 4}) as response:
                said: dict[str, Any] = await response.json()
                assert response.status == 200, said
                return said

        assert (await answer("plain-F16"))["usage"]["completion_tokens"] == 4
        first = engines(built)
        assert len(first) == 1
        # A model of another program comes; the engine of the first one goes on.
        put(home / ".lmstudio/models/pub/sliding/sliding-F16.gguf", made(SLIDING))
        token = {"X-Admin-Token": "for-tests"}
        async with session.get(f"{url}/admin/rescan", headers=token) as response:
            changes = await response.json()
        assert changes["models"]["added"] == ["pub/sliding:F16"]
        for name in ("pub/sliding", "pulled:tiny", "org/plain:F16"):
            assert (await answer(name))["usage"]["completion_tokens"] == 4
        assert len(first | engines(built)) == len(engines(built)) == 3


def engines(built: app.App) -> set[int]:
    """The processes of the engines that run."""
    runs = [built.manager.process(record.ticket) for record in built.manager.records()]
    return {run.pid for run in runs if run is not None and run.pid is not None}
