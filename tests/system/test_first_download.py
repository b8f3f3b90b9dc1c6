"""A new user fetches a model, is interrupted, goes on, and chats with it: by ./run.sh and curl."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from fake_hub import fake_hub, sha256
from gateway_child import lua
from obedient_models import write_obedient
from paths import ROOT
from ports import quiet_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REPO = "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = f"{REPO}:Q4_1"
# Seconds. The engine's threads wait for each other, which a busy machine makes long.
PATIENCE = 250.0
# Bytes after which a download is killed.
PART = 1_000_000


async def said(*words: str) -> tuple[int, str]:
    """Run a command to its end; return its status and its output."""
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def curl(*words: str) -> str:
    status, out = await said("curl", "-sS", "--fail-with-body", *words)
    assert status == 0, out
    return out


@pytest.mark.timeout(500)
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
async def test_the_first_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("LLAMA_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    # The bundled engine, whatever the machine has.
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    # Threads that wait for each other keep cores busy that other tests need.
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    # A small model that answers, and behind it what nobody reads, so that there is a middle.
    model = write_obedient(tmp_path / "small.gguf", 4096, calls=False, layers=1)
    content = model.read_bytes() + bytes(16 * PART)
    run = str(ROOT / "run.sh")
    async with fake_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        digest = hub.put(REPO, FILE, content)
        hub.fault("hold", len(content) // 2)
        await killed_in_the_middle([run, "models", "pull", NAME], hub.holding, tmp_path, digest)
        port = quiet_port()
        config = tmp_path / "gateway.cfg.lua"
        server = {"listen_v4": f"127.0.0.1:{port}", "state_dir": str(tmp_path / "state")}
        config.write_text(f"server = {lua(server)}\n")
        hub.faults.clear()
        hub.go_on.set()
        log = (tmp_path / "gateway.log").open("wb")
        gateway = await asyncio.create_subprocess_exec(
            *(run, "-c", str(config), "-hf", NAME), stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            async with asyncio.timeout(PATIENCE):
                while (await said("curl", "-sf", f"{url}/health"))[0]:
                    assert gateway.returncode is None, (tmp_path / "gateway.log").read_text()
                    await asyncio.sleep(0.1)
            # It went on where it was killed.
            assert int(hub.ranges()[-1].removeprefix("bytes=").rstrip("-")) > PART
            status, out = await said(run, "models", "verify", "--json")
            assert (status, json.loads(out)["damaged"]) == (0, [])
            token = f"X-Admin-Token: {(tmp_path / 'state' / 'admin-token').read_text().strip()}"
            await curl("-H", token, "-X", "POST", f"{url}/admin/rescan")
            local = json.loads(await curl("-H", token, f"{url}/admin/models"))
            (model,) = local["models"]
            assert (model["repository"], model["fits"]) == (REPO, True)
            body = {
                "model": NAME,
                "messages": [{"role": "user", "content": "What is the capital of France?"}],
                "max_tokens": 4,
                "temperature": 0,
            }
            answer = json.loads(await curl(f"{url}/v1/chat/completions", "-d", json.dumps(body)))
            assert answer["choices"][0]["message"]["content"].strip()
            assert answer["usage"]["completion_tokens"] > 0
        finally:
            if gateway.returncode is None:
                gateway.terminate()
            async with asyncio.timeout(PATIENCE):
                await gateway.wait()
            log.close()


async def killed_in_the_middle(
    words: Sequence[str], holding: asyncio.Event, home: Path, digest: str
) -> None:
    """Run a download that the hub holds up half-way, and kill it there."""
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
    folder = f"models--{REPO.replace('/', '--')}"
    part = home / ".cache/huggingface/hub" / folder / "blobs" / f"{digest}.incomplete"
    async with asyncio.timeout(PATIENCE):
        await holding.wait()
        while not part.exists() or part.stat().st_size < PART:
            await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    assert sha256(part.read_bytes()) != digest
