"""models/downloads/remote_head.py: what a file on the hub tells before it is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_hub import FakeHub, fake_hub
from gguf_files import llama, sparse, weights

from models.downloads.account import HubAccount
from models.downloads.choice import Choice, RemoteFile, choices
from models.downloads.hub import Hub
from models.downloads.reference import wanted
from models.downloads.remote_head import remote_facts, resized, usual_facts
from models.gguf import BadModelFile, head_of
from models.model_file import FileFacts, facts_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REPO = "org/model"


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as hub:
        yield hub


async def facts_on(hub: FakeHub, path: str) -> FileFacts | None:
    async with Hub(HubAccount("/nowhere", hub.url)) as client:
        commit, files = await client.files(REPO, "main")
        (file,) = (each for each in files if each.path == path)
        return await remote_facts(client, REPO, commit, file)


async def test_a_head_is_read_by_one_short_request(hub: FakeHub, tmp_path: Path) -> None:
    content = llama(2) + bytes(5_000_000)
    hub.put(REPO, "m.gguf", content)
    (tmp_path / "m.gguf").write_bytes(content)
    assert await facts_on(hub, "m.gguf") == facts_of(head_of(tmp_path / "m.gguf"))
    assert hub.ranges() == ["bytes=0-2097151"]


async def test_a_long_head_is_read_on(hub: FakeHub) -> None:
    words = [f"word {number} " + "x" * 40 for number in range(100_000)]
    hub.put(REPO, "m.gguf", llama(2, tokenizer__ggml__tokens=words) + bytes(9_000_000))
    facts = await facts_on(hub, "m.gguf")
    assert facts is not None
    assert facts.layers == 2
    assert hub.ranges() == ["bytes=0-2097151", "bytes=2097152-4194303", "bytes=4194304-8388607"]


@pytest.mark.parametrize("content", [b"<html>" + bytes(100), llama(2)[:40], b"GGUF"])
async def test_what_is_no_model_is_told(hub: FakeHub, content: bytes) -> None:
    hub.put(REPO, "m.gguf", content)
    with pytest.raises(BadModelFile):
        await facts_on(hub, "m.gguf")
    async with Hub(HubAccount("/nowhere", hub.url)) as client:
        commit, files = await client.files(REPO, "main")
        every = choices(REPO, files)
        assert await usual_facts(client, wanted(REPO), commit, every) is None


async def test_a_server_without_ranges_is_not_read_whole(hub: FakeHub) -> None:
    hub.put(REPO, "m.gguf", llama(2) + bytes(5_000_000))
    hub.fault("ignore range")
    with pytest.raises(Exception, match="gives no part of"):
        await facts_on(hub, "m.gguf")


def test_another_quantisation_is_larger_or_smaller(tmp_path: Path) -> None:
    facts = facts_of(
        head_of(
            sparse(
                tmp_path / "m.gguf",
                {"general.architecture": "llama", "llama.block_count": 4},
                weights(4),
            )
        )
    )
    twice = resized(facts, of(2 * facts.weights))
    assert twice.weights == 2 * facts.weights
    assert twice.layers == facts.layers
    assert twice.embedding == 2 * facts.embedding


def test_the_first_of_several_parts_tells_of_all_layers(tmp_path: Path) -> None:
    keys = {"general.architecture": "llama", "llama.block_count": 4, "split.count": 2}
    facts = facts_of(head_of(sparse(tmp_path / "m.gguf", keys, weights(2))))
    whole = resized(facts, of(1_000_000))
    assert len(whole.bytes_by_layer) == 4
    assert whole.weights == pytest.approx(1_000_000, abs=4)


def of(size: int) -> Choice:
    return Choice("Q8_0", (RemoteFile("m.gguf", size, "a" * 64),))
