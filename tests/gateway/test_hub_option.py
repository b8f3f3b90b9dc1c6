"""``main.py -hf USER/REPO`` and ``--import-dir DIR``: models of the command line are served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fake_engine import Journal
from fake_hub import FakeHub, fake_hub
from found_gateway import new_home
from gateway_child import gateway_process, lua, outcome
from gguf_files import llama
from model_stores import put
from ports import quiet_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway_child import GatewayProcess

REPO = "org/model-GGUF"
CONTENT = llama(2) + bytes(1_000_000)


@pytest.fixture(autouse=True)
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    async with fake_hub() as hub:
        new_home(tmp_path, monkeypatch, hub.url)
        hub.put(REPO, "model-Q4_K_M.gguf", CONTENT)
        hub.put(REPO, "model-Q8_0.gguf", CONTENT + b"8")
        yield hub


def settings(tmp_path: Path, port: int, models: str = "") -> str:
    server = {"listen_v4": f"127.0.0.1:{port}", "state_dir": str(tmp_path / "state")}
    return f"server = {lua(server)}\n{models}"


async def names(gateway: GatewayProcess) -> list[str]:
    listed = (await gateway.request("GET", "/v1/models")).json["data"]
    return sorted(each["id"] for each in listed if "alias_of" not in each)


async def test_a_model_is_fetched_and_served_and_later_found_offline(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, journal = quiet_port(), Journal(tmp_path / "journal")
    put(tmp_path / ".lmstudio/models/pub/other/other-Q8_0.gguf", llama(3))
    text = settings(tmp_path, port)
    async with gateway_process(journal, text, port, options=("-hf", REPO)) as gateway:
        assert await names(gateway) == [f"{REPO}:Q4_K_M", "pub/other:Q8_0"]
        # It is meant where no model is named.
        assert (await gateway.chat()).headers["X-Gateway-Variant"].startswith(f"{REPO}:Q4_K_M@")
        assert (await gateway.chat(model=REPO)).status == 200
        assert "all there and verified" in gateway.said
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = ("--hf-repo", f"{REPO}:Q4_K_M")
    async with gateway_process(journal, text, port, options=options) as gateway:
        assert f"{REPO}:Q4_K_M" in await names(gateway)
        assert "It is in the cache already." in gateway.said
    assert len(hub.ranges()) == 1


async def test_beside_the_models_of_a_configuration(tmp_path: Path) -> None:
    port, journal = quiet_port(), Journal(tmp_path / "journal")
    mine = put(tmp_path / "mine.gguf", llama(3))
    folder = put(tmp_path / "usb" / "imported.gguf", llama(4)).parent
    text = settings(tmp_path, port, f"models = {lua([{'path': str(mine)}])}\n")
    options = ("-hfr", REPO, "-hff", "model-Q8_0.gguf", "--import-dir", str(folder))
    async with gateway_process(journal, text, port, options=options) as gateway:
        assert await names(gateway) == ["imported", "mine", f"{REPO}:Q8_0"]
        token = {"X-Admin-Token": gateway.token}
        changed = await gateway.request("POST", "/admin/rescan", headers=token)
        assert changed.json["models"] == {"added": [], "removed": [], "changed": {}}
    kept = json.loads((tmp_path / "state" / "models.json").read_text())["models"]
    assert [(each["name"], each["state"]) for each in kept] == [("imported", "manual")]


async def test_what_cannot_be_fetched_ends_the_start(tmp_path: Path) -> None:
    for args, status, why in (
        (("-hf", "org/nothing"), 1, "llm-gateway: The hub has no org/nothing"),
        (("-hf", f"{REPO}:Q2_K"), 1, "has no model for the tag Q2_K; it has Q4_K_M, Q8_0."),
        (("-hf", "nothing"), 1, "write user/repo or user/repo:Q4_K_M"),
        (("--import-dir", "nowhere"), 2, "nowhere is not a folder"),
    ):
        ended, said = await outcome(*args, folder=tmp_path)
        assert (ended, why in said) == (status, True), said


async def test_folders_of_the_configuration_are_among_the_local_models(tmp_path: Path) -> None:
    port, journal = quiet_port(), Journal(tmp_path / "journal")
    folder = put(tmp_path / "own" / "mine.gguf", llama(3)).parent
    text = settings(tmp_path, port, f"model_dirs = {lua([str(folder)])}\n")
    async with gateway_process(journal, text, port) as gateway:
        token = {"X-Admin-Token": gateway.token}
        page = (await gateway.request("GET", "/admin/models", headers=token)).json
        assert [(each["name"], each["served_as"]) for each in page["models"]] == [
            ("mine", ["mine"])
        ]
        kept = await gateway.request("DELETE", "/admin/models/mine", headers=token)
        kept.error(409, "model_in_use")
