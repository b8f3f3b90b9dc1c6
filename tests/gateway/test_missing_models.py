"""Models of the configuration that are not on this machine: ``download`` says when they come."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from fake_engine import Journal
from fake_hub import FakeHub, fake_hub
from found_gateway import new_home
from gateway import until
from gateway_child import gateway_process, lua
from gguf_files import llama
from ports import quiet_port
from raw_client import PATIENCE
from stream_judge import check_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway_child import GatewayProcess

REPO = "org/model-GGUF"
NAME = f"{REPO}:Q4_K_M"
CONTENT = llama(2) + bytes(3_000_000)
SAID: list[dict[str, str]] = [{"role": "user", "content": "hello"}]
STREAMS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": SAID},
    "/api/generate": {"prompt": "hello"},
    "/v1/messages": {"messages": SAID, "max_tokens": 9, "stream": True},
    "/v1/responses": {"input": "hello", "stream": True},
    "/v1/completions": {"prompt": "hello", "stream": True},
}


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    async with fake_hub() as hub:
        new_home(tmp_path, monkeypatch, hub.url)
        hub.put(REPO, "model-Q4_K_M.gguf", CONTENT)
        yield hub


def config(tmp_path: Path, port: int, *models: dict[str, Any]) -> str:
    server = {
        "listen_v4": f"127.0.0.1:{port}",
        "state_dir": str(tmp_path / "state"),
        "keepalive_interval": 0.1,
    }
    return f"server = {lua(server)}\nmodels = {lua(list(models))}\n"


async def listed(gateway: GatewayProcess) -> dict[str, Any]:
    page = (await gateway.request("GET", "/v1/models")).json
    return {each["id"]: each for each in page["data"]}


async def test_a_request_has_a_model_fetched_and_a_stream_waits_for_it(
    hub: FakeHub, tmp_path: Path
) -> None:
    port, journal = quiet_port(), Journal(tmp_path / "journal")
    text = config(
        tmp_path, port, {"hf": NAME, "download": "request"}, {"hf": "org/never", "name": "never"}
    )
    async with gateway_process(journal, text, port) as gateway:
        models = await listed(gateway)
        assert {name: each["available"] for name, each in models.items()} == {
            NAME: False,
            "never": False,
        }
        assert (await gateway.request("GET", f"/v1/models/{NAME}")).json == models[NAME]
        # Nothing is fetched before a request names it.
        assert hub.asked == []
        (await gateway.chat(model="never")).error(503, "model_file_missing")
        hub.fault("hold", 2_500_000)
        refused = await gateway.chat(model=NAME)
        refused.error(503, "model_downloading")
        assert int(refused.headers["Retry-After"]) > 0
        await hub.holding.wait()
        client = await gateway.stream(model=NAME)
        await client.head()
        comment = await client.event()
        assert comment is not None
        assert comment.startswith(": keep-alive, fetching the model, ")
        assert comment.endswith(" %")
        waiting = []
        for path, body in STREAMS.items():
            begun = await gateway.session.post(gateway.url + path, json={"model": NAME, **body})
            assert b"fetching the model, " in await begun.content.readany()
            waiting.append(begun)
        answer = await gateway.request("POST", "/api/embed", json={"model": NAME, "input": "a"})
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        hub.go_on.set()
        assert (await client.rest())[-1] == "[DONE]"
        for path, begun in zip(STREAMS, waiting, strict=True):
            rest = await begun.read()
            check_stream(path, begun.headers["Content-Type"], rest)
            assert (begun.status, rest.count(b"\n") > 1) == (200, True)
        assert (await gateway.chat(model=NAME)).status == 200
        assert (await listed(gateway))[NAME]["context_length"] == 4096
        assert len(hub.ranges()) == 1


async def test_a_model_is_fetched_when_the_gateway_starts(hub: FakeHub, tmp_path: Path) -> None:
    port, journal = quiet_port(), Journal(tmp_path / "journal")
    text = config(tmp_path, port, {"hf": NAME, "download": "start", "name": "mine"})
    async with gateway_process(journal, text, port) as gateway:
        await until(lambda: f"{NAME}: fetched" in gateway.said)
        async with asyncio.timeout(PATIENCE):
            while (await gateway.chat(model="mine")).status != 200:
                await asyncio.sleep(0.01)
    assert hub.ranges() == [""]


async def test_a_download_that_fails_is_told_and_not_begun_by_each_request(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.repos[REPO].gated = "token"
    port, journal = quiet_port(), Journal(tmp_path / "journal")
    text = config(tmp_path, port, {"hf": NAME, "download": "request"})
    async with gateway_process(journal, text, port) as gateway:
        async with asyncio.timeout(PATIENCE):
            while (await gateway.chat(model=NAME)).json["error"]["code"] == "model_downloading":
                await asyncio.sleep(0.01)
        asked = len(hub.asked)
        answer = await gateway.chat(model=NAME)
        assert "it needs a token in HF_TOKEN" in answer.error(503, "model_file_missing")["message"]
        assert len(hub.asked) == asked
        token = {"X-Admin-Token": gateway.token}
        page = await gateway.request("GET", "/admin/pulls", headers=token)
        assert [each["error"]["code"] for each in json.loads(page.body)["pulls"]] == [
            "hf_token_missing"
        ]
