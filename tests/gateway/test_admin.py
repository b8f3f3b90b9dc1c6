"""What operators see and do, at a whole gateway on fake engines."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from gateway import Gateway, fake_model, fake_variant, in_flight, running_gateway, until
from gateway_client import CHAT, Answer, chat_body
from raw_client import post

from engine.scheduling.lifecycle import State
from models.catalog import Catalog
from utils.config.settings import ServerSettings
from utils.errors import ConfigError

if TYPE_CHECKING:
    from fake_engine import Journal

TOKEN = "s3cret"
OUTSIDE = "https://chat.example.com"
PATHS = [
    ("GET", "/running"),
    ("POST", "/admin/load"),
    ("POST", "/admin/unload"),
    ("POST", "/admin/reload"),
    ("DELETE", "/admin/requests/x"),
    ("POST", "/admin/config/reload"),
    ("GET", "/admin/rescan"),
    ("POST", "/admin/rescan"),
    ("GET", "/logs"),
    ("GET", "/logs/stream"),
    ("GET", "/events"),
    ("GET", "/metrics"),
    ("GET", "/admin/nowhere"),
    ("GET", "/logs/nowhere"),
]


async def running(gateway: Gateway) -> Any:
    answer = await gateway.request("GET", "/running")
    assert answer.status == 200
    return answer.json


async def order(gateway: Gateway, path: str, **fields: Any) -> Answer:
    return await gateway.request("POST", path, json=fields)


# -- Who may


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_each_path_asks_for_the_token(journal: Journal, method: str, path: str) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal)), admin_token=TOKEN
    ) as gateway:
        for headers in ({}, {"X-Admin-Token": "other"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = await gateway.request(method, path, headers=headers)
            answer.error(401, "admin_token_required")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert gateway.starts() == []


async def test_the_token_opens_in_either_header(journal: Journal) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal)), admin_token=TOKEN
    ) as gateway:
        for headers in ({"X-Admin-Token": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}):
            assert (await gateway.request("GET", "/running", headers=headers)).status == 200
        assert (await gateway.request("GET", "/health")).status == 200


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_no_page_of_a_stranger_reaches_any(journal: Journal, method: str, path: str) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, cors_origins=("*",)) as gateway:
        for origin in (OUTSIDE, "null"):
            own = {"Origin": origin, "X-Admin-Token": gateway.token}
            (await gateway.request(method, path, headers=own)).error(403, "origin_not_allowed")
            ask = {"Origin": origin, "Access-Control-Request-Method": method}
            (await gateway.request("OPTIONS", path, headers=ask)).error(403, "origin_not_allowed")


async def test_a_page_that_is_named_may_with_the_token(journal: Journal) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(
        journal, model, admin_token=TOKEN, cors_origins=(OUTSIDE,)
    ) as gateway:
        ask = {"Origin": OUTSIDE, "Access-Control-Request-Method": "GET"}
        assert (await gateway.request("OPTIONS", "/running", headers=ask)).status == 204
        answer = await gateway.request("GET", "/running", headers={"Origin": OUTSIDE})
        answer.error(401, "admin_token_required")
        own = {"Origin": OUTSIDE, "X-Admin-Token": TOKEN}
        answer = await gateway.request("GET", "/running", headers=own)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == OUTSIDE


async def test_without_a_configured_token_the_gateways_own_is_asked_for(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        # What a reverse proxy on this machine passes on looks like this: nothing tells it apart.
        for headers in ({}, {"X-Admin-Token": ""}, {"X-Forwarded-For": "10.0.0.1"}):
            answer = await gateway.request("GET", "/running", headers=headers)
            answer.error(401, "admin_token_required")
        (await gateway.request("GET", "/admin/nowhere")).error(404, "unknown_path")
        (await gateway.request("POST", "/running")).error(405, "method_not_allowed")
        (await gateway.request("GET", "/admin/requests/x")).error(405, "method_not_allowed")


async def test_a_reload_keeps_the_gateways_own_token(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        gateway.following.settings = ServerSettings(max_queue=3)
        for changed in (True, False):
            answer = await order(gateway, "/admin/config/reload")
            assert bool(answer.json["settings"]) is changed


# -- What is running


async def test_engines_requests_and_the_queue_are_shown(journal: Journal) -> None:
    slow = fake_variant(journal, token_delay=0.05)
    async with running_gateway(journal, fake_model(slow)) as gateway:
        assert await running(gateway) == {"engines": [], "requests": [], "queue": []}
        first = await (await gateway.stream(max_tokens=400)).head()
        await first.data()
        second = await gateway.stream(max_tokens=4)
        await gateway.until_waiting(1)
        third = asyncio.create_task(gateway.chat(model="m"))
        await gateway.until_waiting(2)
        seen = await running(gateway)
        (engine,) = seen["engines"]
        assert engine["state"] == "ready"
        assert engine["variant"] == "m@256"
        assert engine["pid"] == journal.events("start")[0]["pid"]
        assert engine["url"].startswith("http://127.0.0.1:")
        assert engine["active"] == 1
        assert engine["memory"].keys() <= {"ram"}
        assert "unload_in_seconds" not in engine
        one, two, _ = seen["requests"]
        assert one["id"] == first.headers["x-request-id"]
        assert (one["state"], one["variant"], one["path"]) == ("streaming", "m@256", CHAT)
        assert two["state"] == "queued"
        assert two["tokens"] == 0
        assert [entry["position"] for entry in seen["queue"]] == [1, 2]
        assert seen["queue"][0]["id"] == two["id"]
        assert seen["queue"][0]["waits_for"] == "slot"
        before = one["tokens"]

        async def more() -> bool:
            return bool((await running(gateway))["requests"][0]["tokens"] > before + 2)

        while not await more():
            await first.data()
        for client in (first, second):
            client.leave()
        assert (await third).status == 200
        await until(lambda: len(gateway.manager.line()) == 0)
        idle = (await running(gateway))["engines"][0]
        assert idle["idle_seconds"] <= 900
        assert 0 < idle["unload_in_seconds"] <= 900


@pytest.mark.parametrize(("keep_alive", "at_most"), [("1h", 3600.0), (20, 20.0), (-1, None)])
async def test_an_idle_engine_stays_as_long_as_a_request_wished(
    journal: Journal, keep_alive: str | int, at_most: float | None
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        await gateway.chat(keep_alive=keep_alive)
        (engine,) = (await running(gateway))["engines"]
        left = engine["unload_in_seconds"]
        assert left == at_most if at_most is None else at_most / 2 < left <= at_most


async def test_a_request_that_waits_for_a_load_says_so(journal: Journal) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal, load_seconds=30))
    ) as gateway:
        client = await gateway.stream()
        await gateway.until_state(State.STARTING)
        seen = await running(gateway)
        assert seen["requests"][0]["state"] == "loading"
        assert seen["queue"][0]["waits_for"] == "load"
        client.leave()


async def test_every_answer_has_an_id_of_its_own(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answers = [
            await gateway.chat(),
            await gateway.request("GET", "/v1/models"),
            await gateway.request("GET", "/nowhere"),
            await gateway.request("POST", CHAT, json=chat_body(), headers={"X-Request-Id": "mine"}),
        ]
        ids = {answer.headers["X-Request-Id"] for answer in answers}
        assert len(ids) == 4
        assert "mine" not in ids


# -- Loading and unloading


async def test_a_model_is_loaded_and_unloaded(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, 256), fake_variant(journal, 1024), aliases=("x",))
    async with running_gateway(journal, model) as gateway:
        answer = await order(gateway, "/admin/load", model="x", variant=1024)
        assert answer.status == 200
        assert answer.json["variant"] == "m@1024"
        assert answer.json["load_seconds"] > 0
        assert gateway.state(1024) is State.READY
        again = await order(gateway, "/admin/load", model="m")
        assert again.json == {
            "model": "m",
            "variant": "m@1024",
            "context": 1024,
            "load_seconds": 0.0,
        }
        gone = await order(gateway, "/admin/unload", model="m")
        assert gone.json == {"unloaded": ["m@1024"]}
        assert gateway.state(1024) is State.STOPPED
        assert (await order(gateway, "/admin/unload", model="m")).json == {"unloaded": []}
        assert gateway.starts() == [1024]
        assert (await running(gateway))["requests"] == []


async def test_a_load_need_not_be_waited_for(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answer = await order(gateway, "/admin/load?wait=0", model="m")
        assert (answer.status, answer.json) == (202, {"loading": "m@256"})
        await gateway.until_state(State.READY)
        gone = await order(gateway, "/admin/reload")
        assert gone.json == {"unloaded": ["m@256"]}


async def test_a_load_that_fails_says_why(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    broken = fake_variant(journal, exit_code=3, exit_line="error: no such tensor")
    async with running_gateway(journal, fake_model(broken)) as gateway:
        answer = await order(gateway, "/admin/load", model="m")
        assert "no such tensor" in answer.error(503, "engine_start_failed")["message"]
        assert (await order(gateway, "/admin/load?wait=0", model="m")).status == 202
        await until(lambda: "m@256 was not loaded" in caplog.text)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/admin/load", b"{", 400, "invalid_request"),
        ("/admin/load", b"[]", 400, "invalid_request"),
        ("/admin/load", b"", 400, "invalid_request"),
        ("/admin/load", b'{"model":7}', 400, "invalid_request"),
        ("/admin/load", b'{"model":"n"}', 404, "model_not_found"),
        ("/admin/load", b'{"model":"m","variant":8}', 400, "invalid_request"),
        ("/admin/load", b'{"model":"m","variant":true}', 400, "invalid_request"),
        ("/admin/load", b'{"model":"m","contxt":8}', 400, "invalid_request"),
        ("/admin/unload", b"", 400, "invalid_request"),
        ("/admin/unload", b"{}", 400, "invalid_request"),
        ("/admin/unload", b'{"model":"m","force":"yes"}', 400, "invalid_request"),
        ("/admin/reload", b'{"model":"m"}', 400, "invalid_request"),
        ("/admin/load", b" " * 70_000, 413, "request_too_large"),
    ],
)
async def test_an_order_that_cannot_be_obeyed_is_refused(
    journal: Journal, path: str, body: bytes, status: int, code: str
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        (await gateway.request("POST", path, data=body)).error(status, code)
        assert gateway.starts() == []


async def test_an_unload_without_a_body_says_what_it_needs(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        refused = await gateway.request("POST", "/admin/unload")
        assert '{"model": "*"} for all' in refused.error(400, "invalid_request")["message"]


async def test_a_star_unloads_every_model(journal: Journal) -> None:
    two = [fake_model(fake_variant(journal, model=name)) for name in ("m", "n")]
    async with running_gateway(journal, *two, max_loaded_models=2) as gateway:
        for name in ("m", "n"):
            await gateway.chat(model=name)
        gone = await order(gateway, "/admin/unload", model="*")
        assert sorted(gone.json["unloaded"]) == ["m@256", "n@256"]


async def test_an_unload_lets_answers_end_and_loses_no_waiting_request(journal: Journal) -> None:
    slow = fake_variant(journal, hold="5")
    async with running_gateway(journal, fake_model(slow)) as gateway:
        first = await (await gateway.stream(max_tokens=40)).head()
        await first.data()
        waiting = asyncio.create_task(gateway.chat())
        await gateway.until_waiting(1)
        unload = asyncio.create_task(order(gateway, "/admin/unload", model="m"))
        await gateway.until_state(State.DRAINING)
        assert not unload.done()
        journal.let_go("5")
        assert (await first.rest())[-1] == "[DONE]"
        assert (await unload).json == {"unloaded": ["m@256"]}
        assert (await waiting).status == 200
        assert gateway.starts() == [256, 256]


async def test_an_unload_by_force_ends_answers(journal: Journal) -> None:
    slow = fake_variant(journal, token_delay=0.05)
    async with running_gateway(journal, fake_model(slow)) as gateway:
        first = await (await gateway.stream(max_tokens=400)).head()
        await first.data()
        gone = await order(gateway, "/admin/unload", model="m", force=True)
        assert gone.json == {"unloaded": ["m@256"]}
        assert (await first.rest())[-1]["error"]["code"] == "engine_broke"
        assert gateway.state() is State.STOPPED


# -- The configuration


async def test_the_configuration_is_read_again_or_its_faults_are_told(journal: Journal) -> None:
    model, other = (fake_model(fake_variant(journal, model=name)) for name in "mn")
    async with running_gateway(journal, model) as gateway:
        gateway.following.catalog = Catalog([model, other])
        tried = await order(gateway, "/admin/config/reload?dry_run=1")
        assert (tried.status, tried.json["dry_run"]) == (200, True)
        assert (await gateway.request("GET", "/v1/models/n")).status == 404
        done = await order(gateway, "/admin/config/reload")
        assert done.json == tried.json | {"dry_run": False}
        assert (await gateway.request("GET", "/v1/models/n")).status == 200
        gateway.following.fault = ConfigError("1 fault", ("models[1].name: missing",))
        for path in ("/admin/config/reload", "/admin/config/reload?dry_run=1"):
            error = (await order(gateway, path)).error(400, "config_invalid")
            assert error["faults"] == ["models[1].name: missing"]
        assert (await gateway.request("GET", "/v1/models/n")).status == 200


# -- Cancelling


async def cancel(gateway: Gateway, request_id: str) -> Answer:
    return await gateway.request("DELETE", f"/admin/requests/{request_id}")


async def test_a_request_that_is_cancelled_while_its_engine_loads(journal: Journal) -> None:
    loading = fake_variant(journal, load_seconds=30)
    async with running_gateway(journal, fake_model(loading)) as gateway:
        asked = asyncio.create_task(gateway.chat())
        request_id = await in_flight(gateway, "loading")
        assert (await cancel(gateway, request_id)).json == {"cancelled": request_id}
        answer = await asked
        answer.error(503, "request_cancelled")
        assert answer.headers["X-Should-Retry"] == "false"
        assert answer.headers["X-Request-Id"] == request_id
        (await cancel(gateway, request_id)).error(404, "unknown_request")
        assert gateway.manager.waiting() == 0
        await order(gateway, "/admin/reload")


async def test_a_request_that_is_cancelled_while_it_waits(journal: Journal) -> None:
    slow = fake_variant(journal, hold="5")
    async with running_gateway(journal, fake_model(slow)) as gateway:
        first = await (await gateway.stream(max_tokens=60)).head()
        await first.data()
        waiting = await gateway.stream()
        request_id = await in_flight(gateway, "queued")
        assert (await cancel(gateway, request_id)).status == 200
        assert (await waiting.head()).status == 503
        journal.let_go("5")
        assert (await first.rest())[-1] == "[DONE]"


async def test_a_request_that_is_cancelled_before_the_first_token(journal: Journal) -> None:
    slow = fake_variant(journal, prefill_seconds=30)
    async with running_gateway(journal, fake_model(slow)) as gateway:
        asked = asyncio.create_task(gateway.chat())
        request_id = await in_flight(gateway, "prefill")
        await journal.wait("request", path=CHAT)
        assert (await cancel(gateway, request_id)).status == 200
        (await asked).error(503, "request_cancelled")
        await journal.wait("aborted")
        assert not [record for record in gateway.manager.records() if record.active]


@pytest.mark.parametrize("page", [(), ("Origin: http://localhost",)], ids=["program", "page"])
async def test_a_stream_that_is_cancelled_ends_with_an_error_and_frees_its_engine(
    journal: Journal, page: tuple[str, ...]
) -> None:
    """It is cut; not for a page, which could lose the error by that."""
    slow = fake_variant(journal, token_delay=0.05)
    async with running_gateway(journal, fake_model(slow)) as gateway:
        client = await gateway.connect()
        body = json.dumps(chat_body(stream=True, max_tokens=400)).encode()
        await client.send(post(CHAT, body, *page))
        await client.head()
        await client.data()
        assert (await cancel(gateway, client.headers["x-request-id"])).status == 200
        events = await client.rest()
        assert events[-1]["error"]["code"] == "request_cancelled"
        assert client.cut == (not page)
        await journal.wait("aborted")
        assert (await gateway.chat()).status == 200


async def test_a_request_that_is_cancelled_while_it_is_read(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        client = await gateway.connect()
        await client.send(
            f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        request_id = await in_flight(gateway, "reading")
        assert (await cancel(gateway, request_id)).status == 200
        assert (await client.head()).status == 503
        assert gateway.starts() == []


async def test_a_load_can_be_cancelled_too(journal: Journal) -> None:
    loading = fake_variant(journal, load_seconds=30)
    async with running_gateway(journal, fake_model(loading)) as gateway:
        asked = asyncio.create_task(order(gateway, "/admin/load", model="m"))
        assert (await cancel(gateway, await in_flight(gateway, "loading"))).status == 200
        (await asked).error(503, "request_cancelled")
        assert (await order(gateway, "/admin/unload", model="m")).json == {"unloaded": ["m@256"]}
