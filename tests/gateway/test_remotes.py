"""Servers elsewhere, on real TCP: what they get, how long they may take, where they stand in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from builders import TIMEOUTS, variant
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import chat_body

from models.spec import ModelSpec
from utils.config.peers import PeerTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_engine import Journal
    from gateway import Gateway

ROUTE = "X-Gateway-Route"
OOM = "ggml_cuda: allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory"
KEY = {"Authorization": "Bearer the client's own"}


@dataclass
class Hosted:
    """An OpenAI-compatible API that writes down what it gets.

    ``models`` are its list, ``entry`` further fields of each. The first ``cut`` chats are cut off
    before an answer; it answers with ``status``. ``held`` keeps all its answers back. ``waiting``
    is the length of its queue. It is not ready until the file ``awake`` is there.
    """

    url: str = ""
    port: int = 0
    models: list[str] = field(default_factory=lambda: ["m"])
    entry: dict[str, Any] = field(default_factory=dict)
    cut: int = 0
    status: int = 200
    waiting: int = 0
    awake: Path | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    chats: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    async def list(self, request: web.Request) -> web.Response:
        assert request.headers.get("Authorization") == "Bearer geheim"
        await self.held.wait()
        data = [{"id": name, "object": "model", **self.entry} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def health(self, _request: web.Request) -> web.Response:
        await self.held.wait()
        return web.Response(status=200 if self.awake is None or self.awake.exists() else 503)

    async def running(self, request: web.Request) -> web.Response:
        assert request.headers.get("X-Admin-Token") == "operator"
        assert "Authorization" not in request.headers
        return web.json_response({"queue": [{"model": "m"}] * self.waiting})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.chats.append((dict(request.headers), body))
        if self.cut:
            self.cut -= 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        said = {"role": "assistant", "content": "from afar"}
        choice = {"index": 0, "finish_reason": "stop", "message": said}
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        answer = {"id": "x", "model": body["model"], "choices": [choice], "usage": usage}
        return web.json_response(answer, status=self.status)


@asynccontextmanager
async def hosted(**more: Any) -> AsyncIterator[Hosted]:
    server = Hosted(**more)
    server.held.set()
    app = web.Application()
    app.router.add_get("/v1/models", server.list)
    app.router.add_get("/health", server.health)
    app.router.add_get("/running", server.running)
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{server.port}"
    try:
        yield server
    finally:
        server.held.set()
        await runner.cleanup()


def remote(url: str, name: str = "cloud", **more: Any) -> ModelSpec:
    timeouts = replace(TIMEOUTS, health_check=0.2)
    own = {"engine": "remote", "name": "default", "timeouts": timeouts, "parallel": 16} | more
    spec = variant(None, name, url=url, api_key="geheim", **own)
    return ModelSpec(name=name, variants=(spec,), upstream_model="large")


async def goes(gateway: Gateway, *models: str) -> None:
    """Wait until a request for the model that several have would go to these, in this order."""
    found: list[str] = []
    while found != [*models]:
        told = await gateway.post({"request": chat_body(model="m")}, "/admin/route")
        if told.status == 200:
            found = [told.json["model"], *told.json["then"]]
        await asyncio.sleep(0.01)


def local(journal: Journal, *fallback: str, **knobs: Any) -> ModelSpec:
    made = fake_model(fake_variant(journal, model="m", **knobs))
    return replace(made, fallback=fallback, aliases=("n",), set_params={"top_k": 3})


@pytest.mark.parametrize(
    "fault", [{"exit_code": 1}, {"exit_code": 1, "exit_line": OOM}], ids=["fails", "memory"]
)
async def test_it_stands_in_for_a_model_that_cannot_be_loaded(
    journal: Journal, fault: dict[str, Any]
) -> None:
    async with hosted() as far:
        models = local(journal, "cloud", **fault), remote(far.url)
        async with running_gateway(journal, *models) as gateway:
            for name, path, more in (
                ("m", "/v1/chat/completions", {}),
                ("n", "/v1/chat/completions", {"n": 1}),
                ("m", "/v1/messages", {}),
                ("m:latest", "/api/chat", {"stream": False}),
            ):
                answer = await gateway.post(chat_body(model=name, **more), path, headers=KEY)
                assert (answer.status, b"from afar" in answer.body) == (200, True)
                told = name.removesuffix(":latest")
                assert answer.headers[ROUTE] == f"{told} -> cloud; fallback; failed={told}"
        assert len(far.chats) == 4
        for headers, body in far.chats:
            assert headers["Authorization"] == "Bearer geheim"
            assert "the client's own" not in str(headers)
            # The request as it was sent, without what is set for the other model.
            assert (body["model"], "top_k" in body) == ("large", False)


async def test_only_loading_calls_for_a_fallback(journal: Journal) -> None:
    async with hosted() as far:
        models = local(journal, "cloud", status=503), remote(far.url)
        async with running_gateway(journal, *models) as gateway:
            answer = await gateway.chat(model="n")
            assert answer.status == 503
            assert ROUTE not in answer.headers
            [asked] = gateway.engine_requests()
            assert asked["path"] == "/v1/chat/completions"
        assert far.chats == []


async def test_a_connection_that_breaks_is_tried_once_more(journal: Journal) -> None:
    async with hosted(cut=1) as far, running_gateway(journal, remote(far.url)) as gateway:
        answer = await gateway.chat(model="cloud")
        assert (answer.status, len(far.chats)) == (200, 2)
        far.cut = 2
        answer = await gateway.chat(model="cloud")
        assert "gave no answer" in answer.error(502, "engine_unreachable")["message"]
        assert len(far.chats) == 4
        # What it says itself is passed on as it is.
        far.status = 429
        assert (await gateway.chat(model="cloud")).status == 429


async def test_a_server_that_does_not_say_that_it_is_ready_fails_in_time(journal: Journal) -> None:
    async with hosted() as far:
        far.held.clear()
        model = remote(far.url, health_path="/health")
        async with running_gateway(journal, model) as gateway:
            answer = await gateway.chat(model="cloud")
            message = answer.error(503, "engine_start_failed")["message"]
            assert "did not say within health_check_timeout (0.2 s)" in message
            far.held.set()
            while (await gateway.chat(model="cloud")).status != 200:
                await asyncio.sleep(0.01)


async def test_its_models_are_listed_and_refreshed(journal: Journal) -> None:
    async with hosted(models=["gpt-1", "other"]) as far:
        cloud = PeerTable(
            name="c", url=f"{far.url}/v1", api_key="geheim", models=("gpt-*",), refresh=0.02
        )
        async with running_gateway(journal, local(journal), peers=[cloud]) as gateway:

            async def has(*names: str) -> None:
                found: list[str] = []
                while found != ["m", "n", *names]:
                    listed = (await gateway.request("GET", "/v1/models")).json["data"]
                    found = [each["id"] for each in listed]
                    await asyncio.sleep(0.01)

            await has("c/gpt-1", "gpt-1")
            far.models = ["gpt-2", "gpt-1"]
            await has("c/gpt-1", "c/gpt-2", "gpt-1", "gpt-2")
            assert (await gateway.chat(model="gpt-2")).status == 200
            assert far.chats[-1][1]["model"] == "gpt-2"


async def test_a_peer_that_is_too_slow_gets_nothing_until_it_is_back(journal: Journal) -> None:
    ready = {"owned_by": "llm-gateway", "state": "ready", "free_slots": 1}
    async with hosted(entry=ready) as slow, hosted(entry=ready) as other:
        peers = [
            PeerTable(name=name, url=far.url, api_key="geheim", refresh=0.02, timeout=0.1)
            for name, far in (("a", slow), ("b", other))
        ]
        models = fake_model(fake_variant(journal, model="x"))
        async with running_gateway(journal, models, peers=peers) as gateway:
            await goes(gateway, "a/m", "b/m")
            slow.held.clear()
            await goes(gateway, "b/m", "a/m")
            slow.held.set()
            await goes(gateway, "a/m", "b/m")


async def test_a_peer_gets_the_priority_and_the_conversation(journal: Journal) -> None:
    async with hosted(entry={"owned_by": "llm-gateway", "state": "ready"}) as far:
        box = PeerTable(name="box", url=far.url, api_key="geheim", refresh=0.02)
        async with running_gateway(
            journal, local(journal), peers=[box], priority_header=True
        ) as gateway:
            while (await gateway.chat(model="box/m")).status != 200:
                await asyncio.sleep(0.01)
            headers = {"X-Priority": "low", "X-Conversation-Id": "talk", **KEY}
            body = {**chat_body(), "model": "box/m"}
            assert (await gateway.post(body, headers=headers)).status == 200
        plain, told = far.chats[-2][0], far.chats[-1][0]
        assert "X-Priority" not in plain
        assert "X-Conversation-Id" not in plain
        assert (told["X-Priority"], told["X-Conversation-Id"]) == ("low", "talk")
        assert told["Authorization"] == "Bearer geheim"
        assert told["X-Gateway-Hops"] == plain["X-Gateway-Hops"]


async def test_where_fewer_wait_it_is_answered_sooner(journal: Journal) -> None:
    full = {"owned_by": "llm-gateway", "state": "ready", "free_slots": 0}
    async with hosted(entry=full, waiting=3) as one, hosted(entry=full, waiting=1) as two:
        peers = [
            PeerTable(
                name=name, url=far.url, api_key="geheim", admin_token="operator", refresh=0.02
            )
            for name, far in (("a", one), ("b", two))
        ]
        other = fake_model(fake_variant(journal, model="x"))
        async with running_gateway(journal, other, peers=peers) as gateway:
            await goes(gateway, "b/m", "a/m")
            two.waiting = 5
            await goes(gateway, "a/m", "b/m")
            assert (await gateway.chat(model="m")).headers[ROUTE] == "m -> a/m; soonest"


async def test_a_peer_is_woken_before_it_is_asked(journal: Journal, tmp_path: Path) -> None:
    awake = tmp_path / "awake"
    async with hosted(entry={"owned_by": "llm-gateway"}, awake=awake) as far:
        box = PeerTable(
            name="box", url=far.url, api_key="geheim", refresh=0.02, wake=("touch", str(awake))
        )
        async with running_gateway(journal, local(journal), peers=[box]) as gateway:
            while (await gateway.request("GET", "/v1/models/box/m")).status != 200:
                await asyncio.sleep(0.01)
            assert not awake.exists()
            assert (await gateway.chat(model="box/m")).status == 200
            assert (awake.exists(), len(far.chats)) == (True, 1)
