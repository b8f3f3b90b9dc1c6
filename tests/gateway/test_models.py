"""What models are and can do, as clients see it before any engine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway

if TYPE_CHECKING:
    from fake_engine import Journal

IMAGE = {"type": "image_url", "image_url": {"url": "data:A"}}


def some(journal: Journal) -> list[Any]:
    return [
        fake_model(fake_variant(journal, 256), fake_variant(journal, 512), aliases=("a/b",)),
        # Otherwise it might answer chats, too.
        fake_model(
            fake_variant(journal, model="org/e", args=("--embeddings",)),
            capabilities=frozenset({"embeddings"}),
        ),
        fake_model(fake_variant(journal, model="see", args=("--mmproj", "p.gguf"))),
    ]


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_models_are_described_before_any_load(journal: Journal, path: str) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        shown = (await gateway.request("GET", path)).json["data"]
        assert [(m["id"], m["context_length"], m["capabilities"]) for m in shown] == [
            ("m", 512, ["text", "tools"]),
            ("org/e", 256, ["embeddings"]),
            ("see", 256, ["text", "vision", "tools"]),
        ]
        assert gateway.starts() == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models/m", "m"),
        ("/models/m", "m"),
        ("/v1/models/a/b", "m"),
        ("/v1/models/org/e", "org/e"),
        ("/v1/models/org%2Fe", "org/e"),
    ],
)
async def test_one_model(journal: Journal, path: str, name: str) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        answer = await gateway.request("GET", path)
        assert (answer.status, answer.json["id"]) == (200, name)


async def test_an_unknown_model_or_method(journal: Journal) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        unknown = await gateway.request("GET", "/v1/models/x")
        assert "'x'" in unknown.error(404, "model_not_found")["message"]
        wrong = await gateway.request("DELETE", "/v1/models/m")
        wrong.error(405, "method_not_allowed")
        assert wrong.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "body", "missing"),
    [
        ("/v1/embeddings", {"model": "m", "input": "a"}, "embeddings"),
        ("/rerank", {"model": "m", "query": "q", "documents": ["a"]}, "rerank"),
        ("/v1/completions", {"model": "org/e", "prompt": "a"}, "text"),
        (
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": [IMAGE]}], "stream": True},
            "vision",
        ),
    ],
)
async def test_what_a_model_cannot_do_is_refused_before_a_start(
    journal: Journal, path: str, body: Any, missing: str
) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        refused = (await gateway.post(body, path)).error(400, "capability_missing")
        assert f"not configured for {missing}." in refused["message"]
        assert "with 'capabilities' in its configuration" in refused["message"]
        assert gateway.starts() == []


async def test_a_model_that_embeds_may_answer_too(journal: Journal) -> None:
    both = fake_model(fake_variant(journal, model="e", args=("--embeddings",)))
    async with running_gateway(journal, both) as gateway:
        answer = await gateway.post({"model": "e", "prompt": "a"}, "/v1/completions")
        assert answer.status == 200
