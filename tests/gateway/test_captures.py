"""Whole requests and answers, for operators, where that is configured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway import fake_model, fake_variant, running_gateway
from gateway_client import chat_body

if TYPE_CHECKING:
    from pathlib import Path

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


async def test_each_request_is_a_file_where_a_folder_is_given(
    journal: Journal, tmp_path: Path
) -> None:
    folder = tmp_path / "captures"
    budgets: dict[str, Any] = {"capture_budget": 8000, "capture_folder": str(folder)}
    async with running_gateway(journal, fake_model(fake_variant(journal)), **budgets) as gateway:
        answers = [
            await gateway.post(chat_body("hello"), headers={"Authorization": "Bearer sesame"})
            for _ in range(2)
        ]
    written = [json.loads(path.read_bytes()) for path in sorted(folder.iterdir())]
    assert [entry["id"] for entry in written] == [a.headers["X-Request-Id"] for a in answers]
    assert written[0]["request"]["headers"]["Authorization"] == "(hidden)"
    assert '"hello"' in written[0]["request"]["body"]
    assert written[0]["response"]["body"].encode() == answers[0].body
    async with running_gateway(journal, fake_model(fake_variant(journal)), **budgets) as gateway:
        cleared = {"cleared": 0, "files": 2, "files_left": 0}
        assert (await gateway.request("DELETE", "/admin/captures")).json == cleared
    assert not [*folder.iterdir()]


async def test_nothing_is_kept_unless_it_is_asked_for(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        assert (await gateway.chat()).status == 200
        assert (await gateway.request("GET", "/admin/captures")).json == {"captures": []}
