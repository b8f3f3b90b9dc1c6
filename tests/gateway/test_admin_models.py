"""The admin paths about models and downloads, on a gateway without a configuration."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_engine import Journal
from fake_hub import FakeHub, fake_hub, sha256
from found_gateway import found_gateway, new_home
from gguf_files import llama
from model_stores import PROJECTOR, put
from model_stores import hub as stored

from models.discovery.inventory import Taken
from server.admin.model_commands import run_model_command
from server.admin.own_token import NAME as NAME_OF_TOKEN
from server.admin.presence import announced
from utils.config.settings import Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway_client import GatewayClient

REPO = "org/model-GGUF"
NAME = f"{REPO}:Q4_K_M"
CONTENT = llama(2) + bytes(3_000_000)


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    async with fake_hub() as hub:
        new_home(tmp_path, monkeypatch, hub.url)
        stored(tmp_path / ".cache/huggingface/hub", "org/old", "old-Q8_0.gguf", content=llama(3))
        hub.put(REPO, "model-Q4_K_M.gguf", CONTENT)
        hub.put(REPO, "model-Q8_0.gguf", llama(2) + bytes(5_000_000))
        yield hub


@pytest.fixture
async def gateway(hub: FakeHub, tmp_path: Path) -> AsyncIterator[GatewayClient]:
    assert hub.port
    async with found_gateway(Journal(tmp_path / "journal")) as gateway:
        yield gateway


async def asked(gateway: GatewayClient, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    answer = await gateway.request(method, path, data=data)
    assert answer.status in {200, 202}, answer.body
    return answer.json


async def served(gateway: GatewayClient) -> list[str]:
    answer = await gateway.request("GET", "/v1/models")
    return sorted(each["id"] for each in answer.json["data"] if "alias_of" not in each)


async def events(gateway: GatewayClient, path: str, method: str, body: Any = None) -> list[Any]:
    headers = {"Accept": "text/event-stream", "X-Admin-Token": gateway.token}
    data = None if body is None else json.dumps(body).encode()
    answer = await gateway.request(method, path, data=data, headers=headers)
    found = []
    for block in answer.body.decode().split("\n\n"):
        if block.startswith("event: "):
            name, _, rest = block.partition("\ndata: ")
            found.append((name.removeprefix("event: "), json.loads(rest)))
    return found


async def test_a_model_is_looked_for_fetched_served_and_removed(
    hub: FakeHub, gateway: GatewayClient, tmp_path: Path
) -> None:
    hub.repos[REPO].downloads = 7
    found = await asked(gateway, "GET", "/admin/models/search?q=model")
    assert [(each["repo"], each["downloads"]) for each in found["models"]] == [(REPO, 7)]
    files = await asked(gateway, "GET", f"/admin/models/files?repo={REPO}")
    assert [(m["quantisation"], m["size"], m["fits"]) for m in files["models"]] == [
        ("Q4_K_M", len(CONTENT), True),
        ("Q8_0", len(llama(2)) + 5_000_000, True),
    ]
    told = await events(gateway, "/admin/models/pull", "POST", {"repo": REPO})
    assert told[0][0] == "progress"
    assert told[-1][0] == "done"
    last = told[-1][1]
    assert (last["percent"], last["total"], last["model"]) == (100, len(CONTENT), REPO)
    assert Path(last["files"][0]).read_bytes() == CONTENT
    # It is served already.
    assert await served(gateway) == [NAME, "org/old:Q8_0"]
    (answer,) = (await gateway.chat(model=NAME)).json["choices"]
    assert answer["message"]["content"]
    local = await asked(gateway, "GET", "/admin/models")
    models = {each["name"]: each for each in local["models"]}
    assert (models[NAME]["served_as"], models[NAME]["loaded"]) == ([NAME], True)
    plans = {each["name"]: each["variants"] for each in local["served"]}
    assert (plans[NAME][0]["state"], plans[NAME][0]["load_seconds"] > 0) == ("ready", True)
    assert plans["org/old:Q8_0"][0]["estimated"]["ram"] > 0
    assert (models["org/old:Q8_0"]["loaded"], models["org/old:Q8_0"]["fits"]) == (False, True)
    checked = await asked(gateway, "POST", "/admin/models/verify", {"model": NAME})
    assert (checked["damaged"], checked["files"][0]["digest"]) == ([], sha256(CONTENT))
    # A model that runs is not removed.
    (await gateway.request("DELETE", f"/admin/models/{NAME}")).error(409, "model_in_use")
    await asked(gateway, "POST", "/admin/unload", {"model": NAME})
    gone = await asked(gateway, "DELETE", f"/admin/models/{NAME}")
    assert gone["removed"] == NAME
    assert not (tmp_path / ".cache/huggingface/hub/models--org--model-GGUF").exists()
    assert await served(gateway) == ["org/old:Q8_0"]
    # Ollama's way, for operators too.
    named = json.dumps({"model": "org/old:Q8_0"}).encode()
    assert (await gateway.request("DELETE", "/api/delete", data=named)).status == 401
    token = {"X-Admin-Token": gateway.token}
    answer = await gateway.request("DELETE", "/api/delete", data=named, headers=token)
    assert (answer.status, answer.body) == (200, b"")
    assert await served(gateway) == ["smollm2"]


async def test_a_download_is_paused_resumed_and_ended(hub: FakeHub, gateway: GatewayClient) -> None:
    hub.fault("hold", 2_000_000)
    begun = await asked(gateway, "POST", "/admin/api/models/download", {"repo_id": REPO})
    await hub.holding.wait()
    path = f"/admin/pulls/{begun['id']}"
    # What the hub has sent must have come before there is something to resume.
    while not (seen := await asked(gateway, "GET", path))["done"]:
        await asyncio.sleep(0.01)
    assert seen["state"] == "downloading"
    assert (await asked(gateway, "POST", f"{path}/pause"))["state"] == "paused"
    (only,) = (await asked(gateway, "GET", "/admin/pulls"))["pulls"]
    assert (only["id"], only["state"]) == (begun["id"], "paused")
    await asked(gateway, "POST", f"{path}/resume")
    assert (await events(gateway, path, "GET"))[-1][0] == "done"
    assert hub.ranges()[-1].startswith("bytes=")
    (await gateway.request("POST", f"{path}/pause")).error(400, "invalid_request")
    (await gateway.request("POST", f"{path}/stop")).error(405, "method_not_allowed")
    assert await asked(gateway, "DELETE", path) == {"ended": begun["id"], "purged": False}
    (await gateway.request("GET", path)).error(404, "unknown_pull")


async def test_failures_are_told_with_their_codes(hub: FakeHub, gateway: GatewayClient) -> None:
    hub.repos[REPO].gated = "token"
    told = await events(gateway, "/admin/models/pull", "POST", {"repo": REPO, "quant": "Q8_0"})
    assert told[-1][0] == "error"
    assert told[-1][1]["error"]["code"] == "hf_token_missing"
    for path, status, code in (
        ("/admin/models/files?repo=org/nothing", 404, "hf_not_found"),
        ("/admin/models/files?repo=nothing", 400, "invalid_request"),
        ("/admin/models/files", 400, "invalid_request"),
        ("/admin/models/search", 400, "invalid_request"),
        ("/admin/models/search?q=x&limit=1000", 400, "invalid_request"),
    ):
        (await gateway.request("GET", path)).error(status, code)
    for body in ({}, {"repo": "x"}, {"repo": 5}, {"repo": REPO, "more": 1}):
        answer = await gateway.request("POST", "/admin/models/pull", data=json.dumps(body))
        answer.error(400, "invalid_request")
    (await gateway.request("DELETE", "/admin/models/nobody")).error(404, "model_not_found")
    # No token, no answer.
    for method, path in (("GET", "/admin/models"), ("POST", "/admin/api/models/download")):
        answer = await gateway.request(method, path, headers={})
        answer.error(401, "admin_token_required")


async def test_a_folder_is_imported_and_its_files_are_never_removed(
    gateway: GatewayClient, tmp_path: Path
) -> None:
    file = put(tmp_path / "usb" / "mine.gguf", llama(5))
    told = await asked(gateway, "POST", "/admin/models/import", {"dir": str(file.parent)})
    assert [each["name"] for each in told["models"]] == ["mine"]
    assert "mine" in await served(gateway)
    gone = await asked(gateway, "DELETE", "/admin/models/mine")
    assert (gone["removed"], gone["files"]) == ("mine", [])
    assert "mine" not in await served(gateway)
    assert file.exists()
    for place in ("usb", str(tmp_path / "nowhere")):
        answer = await gateway.request(
            "POST", "/admin/models/import", data=json.dumps({"dir": place})
        )
        answer.error(400, "invalid_request")


async def test_a_copy_is_one_more_name_of_a_model(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.port
    journal = Journal(tmp_path / "journal")

    async def ask(gateway: GatewayClient, method: str, path: str, **body: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {gateway.token}"}
        data = json.dumps(body).encode()
        answer = await gateway.request(method, path, data=data, headers=headers)
        return answer.status, answer.body

    async with found_gateway(journal) as gateway:
        copied = await ask(gateway, "POST", "/api/copy", source="org/old", destination="twin")
        assert copied == (200, b"")
        page = (await gateway.request("GET", "/api/tags")).json
        assert "twin:latest" in [each["name"] for each in page["models"]]
        status, body = await ask(gateway, "POST", "/api/copy", source="twin", destination="org/old")
        assert (status, b"is taken" in body) == (400, True)
        status, _ = await ask(gateway, "POST", "/api/copy", source="gone", destination="other")
        assert status == 404
    # It outlives the gateway, and a reload; with very many models a thread applies changes.
    monkeypatch.setattr("server.admin.reload._MANY", 0)
    async with found_gateway(journal) as gateway:
        await asked(gateway, "POST", "/admin/rescan")
        assert (await gateway.request("GET", "/v1/models/twin")).json["alias_of"] == "org/old:Q8_0"
        hello = [{"role": "user", "content": "hello"}]
        chat = {"model": "twin:latest", "messages": hello, "stream": False}
        assert (await gateway.post(chat, "/api/chat")).json["message"]["content"]
        await asked(gateway, "POST", "/admin/unload", {"model": "*"})
        # The files stay as long as a copy needs them.
        status, body = await ask(gateway, "DELETE", "/api/delete", model="org/old")
        assert (status, b"twin" in body) == (409, True)
        assert await ask(gateway, "DELETE", "/api/delete", model="twin:latest") == (200, b"")
        (await gateway.request("GET", "/v1/models/twin")).error(404, "model_not_found")
        assert await served(gateway) == ["org/old:Q8_0"]


async def test_a_request_has_the_head_of_its_model_read(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.port
    put(tmp_path / ".lmstudio/models/pub/page/page.gguf", b"<html>" * 9)
    wanted = {"model": "org/old", "messages": [{"role": "user", "content": "hello"}]}
    async with found_gateway(Journal(tmp_path / "journal"), within=0.0) as gateway:
        with monkeypatch.context() as patch:
            patch.setattr("server.missing_models._READS_WITHIN", 0.0)
            answer = await gateway.post(wanted)
            answer.error(503, "model_not_read")
            assert answer.headers["Retry-After"] == "2"
        answers = await asyncio.gather(gateway.post(wanted), gateway.post(wanted))
        assert [answer.status for answer in answers] == [200, 200]
        (await gateway.post({**wanted, "model": "page"})).error(503, "model_not_read")
        assert await served(gateway) == ["org/old:Q8_0", "pub/page:page"]
        changes = await asked(gateway, "POST", "/admin/rescan")
        assert changes["models"] == {"added": [], "changed": {}, "removed": []}
        (await gateway.post({**wanted, "model": "page"})).error(404, "model_not_found")
        assert await served(gateway) == ["org/old:Q8_0"]


async def test_a_client_of_ollama_fetches_a_model_of_the_hub(
    hub: FakeHub, gateway: GatewayClient
) -> None:
    hub.put(REPO, "mmproj-F16.gguf", PROJECTOR)
    name = f"hf.co/{NAME}"
    token = {"Authorization": f"Bearer {gateway.token}"}
    hub.fault("hold", 2_000_000, file="model-Q4_K_M.gguf")
    asking = asyncio.create_task(gateway.post({"model": name}, "/api/pull", headers=token))
    await hub.holding.wait()
    hub.go_on.set()
    lines = [json.loads(line) for line in (await asking).body.splitlines()]
    assert lines[0] == {"status": "pulling manifest"}
    assert lines[-1] == {"status": "success"}
    digest = f"sha256:{sha256(CONTENT)}"
    bars = [each for each in lines if each.get("digest") == digest]
    assert all(0 <= each["completed"] <= each["total"] == len(CONTENT) for each in bars)
    assert bars
    # The same name is the one that it is asked by.
    said = await gateway.post(
        {"model": name, "messages": [{"role": "user", "content": "hi"}], "stream": False},
        "/api/chat",
    )
    assert said.status == 200
    again = await gateway.post({"model": name, "stream": False}, "/api/pull", headers=token)
    assert again.json == {"status": "success"}
    hub.repos[REPO].gated = "token"
    other = {"model": f"hf.co/{REPO}:Q8_0"}
    told = await gateway.post(other, "/api/pull", headers=token)
    assert "needs a token" in json.loads(told.body.splitlines()[-1])["error"]
    whole = await gateway.post(other | {"stream": False}, "/api/pull", headers=token)
    assert whole.status == 401
    assert "needs a token" in whole.json["error"]


async def test_the_command_removes_no_model_that_a_gateway_runs(
    gateway: GatewayClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, name = tmp_path / "state", "org/old:Q8_0"
    (state / NAME_OF_TOKEN).write_text(gateway.token)
    (state / NAME_OF_TOKEN).chmod(0o600)
    said = Namespace(action="rm", model=name, dir=[], ollama=False, config=None, json=False)

    async def removed() -> tuple[int, str]:
        status = await asyncio.to_thread(run_model_command, said, state, Taken)
        return status, "".join(capsys.readouterr())

    with announced(state, [Endpoint("127.0.0.1", gateway.port)], None):
        await gateway.chat("hello", model=name)
        status, text = await removed()
        assert (status, f"{name} runs in the gateway at http://127.0.0.1:" in text) == (1, True)
        await asked(gateway, "POST", "/admin/unload", {"model": name})
        status, text = await removed()
        assert (status, text.startswith(f"{name}: removed, ")) == (0, True)
        assert await served(gateway) == ["smollm2"]
