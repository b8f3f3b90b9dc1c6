"""The pages of engines through the gateway: a look starts no engine, work may."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from gateway import PATIENT, fake_model, fake_variant, hang, running_gateway
from gateway_client import CHAT, chat_body

if TYPE_CHECKING:
    from pathlib import Path

    from fake_engine import Journal

PAGES = ("/m/health", "/m/props", "/m/slots", "/org/b/props", "/props", "/slots")
BEYOND = ("/upstream/m/props", "/upstream/org/b/slots?x=1", "/upstream/m/v1/models", "/upstream/m")


def two(journal: Journal) -> list[Any]:
    return [
        fake_model(fake_variant(journal, 256), fake_variant(journal, 512), aliases=("alias",)),
        fake_model(fake_variant(journal, model="org/b")),
    ]


async def test_looking_starts_no_engine(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        for method, path in product(("GET", "HEAD"), (*PAGES, *BEYOND)):
            answer = await gateway.request(method, path)
            if method == "GET":
                answer.error(503, "model_not_loaded")
            assert answer.status == 503, path
            assert gateway.starts() == [], path


async def test_looking_at_another_model_leaves_the_running_one_alone(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        await gateway.chat(model="m")
        for path in ("/org/b/props", "/slots?model=org/b", "/upstream/org/b/props"):
            told = (await gateway.request("GET", path)).error(503, "model_not_loaded")
            assert "'org/b'" in told["message"]
        assert gateway.starts() == [256]


SEEN = [
    ("/m/health", "/health"),
    ("/alias/props", "/props"),
    ("/m/slots", "/slots"),
    ("/props", "/props"),
    ("/slots", "/slots"),
    ("/props?model=alias", "/props"),
    ("/upstream/m/props?a=b", "/props"),
    ("/upstream/alias/v1/models", "/v1/models"),
]


async def test_a_running_engine_is_seen(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        await gateway.chat(model="m")
        for method, (path, upstream) in product(("GET", "HEAD"), SEEN):
            # The gateway asks for some of these pages itself; those requests lack the header.
            answer = await gateway.request(method, path, headers={"X-Client": f"{method} {path}"})
            assert answer.status == 200, path
            assert answer.headers["X-Gateway-Variant"] == "m@256", path
            assert bool(answer.body) is (method == "GET"), path
            asked = gateway.engine_requests(upstream)
            mine = [each for each in asked if each["headers"].get("x-client") == f"{method} {path}"]
            assert [each["method"] for each in mine] == [method], path


async def test_an_engine_s_own_error_page(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        await gateway.chat(model="m")
        answer = await gateway.request("GET", "/upstream/m/nowhere")
        assert (answer.status, answer.json["error"]["type"]) == (404, "not_found_error")


async def test_an_unknown_model(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        for path in ("/props?model=x", "/upstream/x/props", "/upstream/x/y/z"):
            (await gateway.request("GET", path)).error(404, "model_not_found")
            if path.startswith("/upstream"):
                (await gateway.request("POST", path)).error(404, "model_not_found")


async def test_pages_are_for_looking(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        for path in ("/m/props", "/props"):
            (await gateway.request("POST", path)).error(405, "method_not_allowed")


async def test_work_may_start_an_engine(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        for number, method in enumerate(("POST", "DELETE", "PUT", "PATCH"), 1):
            answer = await gateway.request(
                method, "/upstream/org/b/tokenize?x=1", data=b'{"content":"a"}'
            )
            assert answer.headers["X-Gateway-Variant"] == "org/b@256", method
            *_, asked = gateway.engine_requests("/tokenize")
            assert (asked["method"], asked["bytes"]) == (method, 15)
            assert len(gateway.starts()) == len(gateway.engine_requests("/tokenize")) == number
            await gateway.manager.unload("org/b")


async def test_a_body_that_is_no_json_goes_through(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        answer = await gateway.request("POST", "/upstream/m/lora-adapters", data=b"\x00\xff")
        assert answer.status == 404
        assert gateway.engine_requests("/lora-adapters")[0]["bytes"] == 2


async def test_inference_by_passthrough_is_sized_and_its_path_names_the_model(
    journal: Journal,
) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        body = chat_body("w " * 300, model="org/b")
        answer = await gateway.post(body, f"/upstream/m{CHAT}")
        assert answer.status == 200
        assert answer.headers["X-Gateway-Variant"] == "m@512"
        assert gateway.starts() == [512]


async def test_too_much_work(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal), max_request_bytes=100) as gateway:
        answer = await gateway.request("POST", "/upstream/m/x", data=b"x" * 101)
        answer.error(413, "request_too_large")
        assert gateway.starts() == []


async def test_looking_at_an_engine_that_hangs_has_an_end(journal: Journal) -> None:
    looks = list(product(("GET", "HEAD"), ("/props", "/m/health", "/upstream/m/slots")))
    model = fake_model(fake_variant(journal, timeouts=replace(PATIENT, health_check=0.2)))
    async with running_gateway(journal, model, health_check_interval=0.0) as gateway:
        await gateway.chat()
        [started] = journal.events("start", who="llama-server")
        await hang(started["pid"])
        try:
            answers = await asyncio.gather(*(gateway.request(*look) for look in looks))
        finally:
            os.kill(started["pid"], signal.SIGCONT)
        for (method, path), answer in zip(looks, answers, strict=True):
            assert answer.status == 504, path
            if method == "GET":
                error = answer.error(504, "engine_unresponsive")
                assert "health_check_timeout (0.2 s)" in error["message"], path


async def test_clients_save_no_slots_in_the_gateway_s_folder(journal: Journal) -> None:
    async with running_gateway(journal, *two(journal)) as gateway:
        for path in ("/slots/0?action=save", "/slots/%30?action=restore"):
            answer = await gateway.request(
                "POST", f"/upstream/m{path}", data=b'{"filename":"full-disk"}'
            )
            told = answer.error(403, "action_refused")
            assert "--slot-save-path" in told["message"]
        assert gateway.engine_requests("/slots/0") == []


async def test_clients_save_slots_in_a_folder_of_their_own(
    journal: Journal, tmp_path: Path
) -> None:
    own = fake_variant(journal, args=("--slot-save-path", f"{tmp_path}"))
    async with running_gateway(journal, fake_model(own)) as gateway:
        answer = await gateway.request(
            "POST", "/upstream/m/slots/0?action=save", data=b'{"filename":"mine"}'
        )
        assert answer.status == 200
        assert (tmp_path / "mine").is_file()


async def test_an_encoded_path_is_sized_and_shaped_as_any(journal: Journal) -> None:
    small, _ = two(journal)
    shaped = replace(small, set_params={"max_tokens": 2})
    async with running_gateway(journal, shaped) as gateway:
        body = chat_body("w " * 300)
        for path in ("completion%73", "%63ompletions"):
            answer = await gateway.post(body, f"/upstream/m/v1/chat/{path}")
            assert answer.headers["X-Gateway-Variant"] == "m@512", path
            assert answer.json["usage"]["completion_tokens"] == 2, path
        assert gateway.starts() == [512]


@pytest.mark.parametrize("fault", ["die_at", "close_at"])
async def test_unknown_work_is_not_done_twice(journal: Journal, fault: str) -> None:
    """The engine that failed may have done the work already."""
    knobs: dict[str, Any] = {fault: "request", "times": 1}
    model = fake_model(fake_variant(journal, **knobs))
    async with running_gateway(journal, model) as gateway:
        (await gateway.post(b"{}", "/upstream/m/v1/jobs")).error(502, "engine_unreachable")
        assert len(gateway.engine_requests("/v1/jobs")) == 1
        assert (await gateway.post(b"{}", "/upstream/m/v1/jobs")).json == {"done": True}


@pytest.mark.parametrize("fault", ["die_at", "close_at"])
async def test_inference_is_asked_for_again(journal: Journal, fault: str) -> None:
    knobs: dict[str, Any] = {fault: "request", "times": 1}
    model = fake_model(fake_variant(journal, **knobs))
    async with running_gateway(journal, model) as gateway:
        assert (await gateway.post(chat_body(), f"/upstream/m{CHAT}")).status == 200
        assert len(gateway.engine_requests()) == 2
