"""Whole requests and answers, for operators, where that is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import fake_model, fake_variant, running_gateway
from gateway_client import chat_body

if TYPE_CHECKING:
    from fake_engine import Journal


async def test_what_was_asked_and_answered_is_kept_within_the_budget(journal: Journal) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, capture_budget=8000) as gateway:
        secret = {"Authorization": "Bearer sesame", "X-Team": "blue"}
        for stream in (False, True):
            answer = await gateway.post(chat_body("hello", stream=stream), headers=secret)
            kept = (
                await gateway.request("GET", f"/admin/captures/{answer.headers['X-Request-Id']}")
            ).json
            asked, said = kept["request"], kept["response"]
            assert (kept["model"], kept["status"], kept["path"]) == (
                "m",
                200,
                "/v1/chat/completions",
            )
            assert '"hello"' in asked["body"]
            assert said["body"].encode() == answer.body
            assert not asked["cut"]
            assert (asked["headers"]["Authorization"], asked["headers"]["X-Team"]) == (
                "(hidden)",
                "blue",
            )
        # A body that comes in pieces, by way of another server.
        answer = await gateway.post({"model": "m", "input": "hi", "store": False}, "/v1/responses")
        listed = (await gateway.request("GET", "/admin/captures")).json["captures"]
        # The oldest have made room.
        assert listed[0]["path"] == "/v1/responses"
        assert len(listed) == 2
        (await gateway.request("GET", "/admin/captures/none")).error(404, "unknown_request")
        assert (await gateway.request("DELETE", "/admin/captures")).json == {"cleared": 2}


async def test_nothing_is_kept_unless_it_is_asked_for(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        assert (await gateway.chat()).status == 200
        assert (await gateway.request("GET", "/admin/captures")).json == {"captures": []}
