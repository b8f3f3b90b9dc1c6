"""Browsers at the gateway: who may ask, and what the answers carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gateway import Gateway, fake_model, fake_variant, running_gateway
from gateway_client import CHAT, Answer, chat_body

if TYPE_CHECKING:
    from fake_engine import Journal

HERE = "http://localhost:3000"
OUTSIDE = "https://chat.example.com"
ALLOWED = "Access-Control-Allow-Origin"


async def asked(gateway: Gateway, origin: str, path: str = CHAT) -> Answer:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    return await gateway.request("OPTIONS", path, headers=headers)


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/upstream/m/tokenize", "/nowhere"])
async def test_permission_is_given_without_an_engine(journal: Journal, path: str) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answer = await asked(gateway, HERE, path)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers[ALLOWED] == HERE
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
        assert gateway.starts() == []


async def test_permission_is_refused_to_others(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answer = await asked(gateway, OUTSIDE)
        answer.error(403, "origin_not_allowed")
        assert ALLOWED not in answer.headers
        assert answer.headers["Vary"] == "Origin"


async def test_configured_origins(journal: Journal) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, cors_origins=(OUTSIDE,)) as gateway:
        assert (await asked(gateway, OUTSIDE)).headers[ALLOWED] == OUTSIDE


@pytest.mark.parametrize("stream", [True, False])
async def test_answers_carry_the_gateway_s_word_only(journal: Journal, stream: bool) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        for origin, expected in ((HERE, [HERE]), (None, [])):
            headers = {"Origin": origin} if origin else {}
            answer = await gateway.request(
                "POST", CHAT, json=chat_body(stream=stream), headers=headers
            )
            assert answer.status == 200
            found = [value for name, value in answer.headers.items() if name == ALLOWED]
            assert found == expected
        assert all("origin" not in asked["headers"] for asked in gateway.engine_requests())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/models", 200), ("GET", "/health", 200), ("GET", "/x", 404), ("POST", CHAT, 400)],
)
async def test_pages_and_errors_can_be_read_too(
    journal: Journal, method: str, path: str, status: int
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answer = await gateway.request(method, path, headers={"Origin": HERE})
        assert (answer.status, answer.headers[ALLOWED]) == (status, HERE)


async def test_options_without_an_origin_starts_nothing(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        (await gateway.request("OPTIONS", CHAT)).error(405, "method_not_allowed")
        beyond = await gateway.request("OPTIONS", "/upstream/m/x")
        beyond.error(503, "model_not_loaded")
        assert gateway.starts() == []


@pytest.mark.parametrize("path", [CHAT, "/upstream/m/slots/0?action=erase"])
async def test_a_stranger_s_page_starts_no_work_with_a_simple_request(
    journal: Journal, path: str
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        for origin in (OUTSIDE, "null"):
            answer = await gateway.request(
                "POST", path, json=chat_body(), headers={"Origin": origin}
            )
            answer.error(403, "origin_not_allowed")
            assert ALLOWED not in answer.headers
        assert gateway.starts() == []
        own = {"Origin": f"http://127.0.0.2:{gateway.port}", "Host": f"127.0.0.2:{gateway.port}"}
        assert (await gateway.request("POST", CHAT, json=chat_body(), headers=own)).status == 200


async def test_a_path_cannot_forge_a_line_of_the_log(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        for path in ("/upstream/m%0aFAKE%1b[31m/x", "/nowhere%0d%0aFAKE"):
            assert (await gateway.request("GET", path)).status == 404
    lines = [r.getMessage() for r in caplog.records if r.name == "gateway.access"]
    assert len(lines) == 2
    assert not any(ord(letter) < 32 for line in lines for letter in line)
