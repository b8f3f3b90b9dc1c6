"""``main.py models pull | rm | verify``, as a user types them, with a hub over TCP."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_hub import FakeHub, fake_hub, sha256
from gguf_files import llama
from main_process import told
from paths import ROOT
from raw_client import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REPO = "org/model-GGUF"
CONTENT = llama(2) + bytes(3_000_000)


@pytest.fixture(autouse=True)
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    """A hub, and a user without models who has set it up."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with fake_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.put(REPO, "model-Q4_K_M.gguf", CONTENT)
        yield hub


async def said(*args: str) -> tuple[int, str, str]:
    """Run ``main.py models`` with these arguments; return its exit status, stdout and stderr."""
    return await told("models", *args)


async def test_a_model_is_fetched_verified_listed_and_removed(tmp_path: Path) -> None:
    status, out, err = await said("pull", REPO)
    cache = tmp_path / ".cache/huggingface/hub/models--org--model-GGUF"
    (path,) = cache.glob("snapshots/*/*.gguf")
    assert (status, out) == (0, f"{path}\n")
    assert err.endswith(f"{REPO}: 2.94 MiB, all there and verified\n")
    status, out, _ = await said("verify", f"{REPO}:Q4_K_M")
    assert (status, out.splitlines()[1].split()[:2]) == (0, [f"{REPO}:Q4_K_M", "right"])
    path.resolve().write_bytes(CONTENT[:-1] + b"x")
    status, out, _ = await said("verify", "--json")
    assert status == 1
    assert json.loads(out)["damaged"] == [str(path)]
    assert await said("rm", REPO) == (0, f"{REPO}:Q4_K_M: removed, 2.94 MiB\n", "")
    assert not cache.exists()
    status, out, _ = await said("pull", f"{REPO}:q4_k_m", "--json")
    assert (status, json.loads(out)["files"]) == (0, [str(path)])


async def test_a_pull_that_was_killed_goes_on(hub: FakeHub, tmp_path: Path) -> None:
    hub.fault("hold", 2_500_000)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "main.py"), "models", "pull", REPO),
        stderr=asyncio.subprocess.DEVNULL,
    )
    part = (
        tmp_path / ".cache/huggingface/hub/models--org--model-GGUF/blobs"
        f"/{sha256(CONTENT)}.incomplete"
    )
    async with asyncio.timeout(PATIENCE):
        while not part.exists() or part.stat().st_size < 1_000_000:
            await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    had = part.stat().st_size
    status, out, _ = await said("pull", REPO)
    assert status == 0
    assert hub.ranges()[-1] == f"bytes={had}-"
    assert Path(out.strip()).read_bytes() == CONTENT


async def test_a_refusal_is_told_and_ends_with_a_status() -> None:
    assert (await said("pull", f"{REPO}:Q2_K"))[::2] == (
        1,
        (
            f"{REPO}:Q2_K: asking the hub\n"
            f"llm-gateway: {REPO} has no model for the tag Q2_K; it has Q4_K_M.\n"
        ),
    )
    status, _, err = await said("pull", "nothing")
    assert status == 1
    assert err == (
        "llm-gateway: 'nothing' names no model of a hub: write user/repo or user/repo:Q4_K_M.\n"
    )


async def test_a_terminal_shows_a_bar(hub: FakeHub) -> None:
    hub.fault("hold", 2_500_000)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "main.py"), "models", "pull", REPO),
        env={**os.environ, "COLUMNS": "120"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    async with asyncio.timeout(PATIENCE):
        while b"[###" not in text:
            text += await asyncio.to_thread(os.read, ours, 1000)
        hub.go_on.set()
        while b"\n" not in text:
            text += await asyncio.to_thread(os.read, ours, 1000)
        assert await process.wait() == 0
    os.close(ours)
    # One line, written over and over.
    assert text.count(b"\n") == 1
    assert b"all there and verified" in text
