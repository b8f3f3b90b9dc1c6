"""/v1/models shows what models are and can do before any engine runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway
from raw_client import PATIENCE

from server import status_pages

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
            ("m", 512, ["text"]),
            ("a/b", 512, ["text"]),
            ("org/e", 256, ["embeddings"]),
            ("see", 256, ["text", "vision"]),
        ]
        assert gateway.starts() == []


async def test_very_many_models_are_listed_in_a_thread_and_look_the_same(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        few = await gateway.request("GET", "/v1/models")
        monkeypatch.setattr(status_pages, "_MANY", 0)
        many = await gateway.request("GET", "/v1/models")
        assert (many.body, many.headers["Content-Type"]) == (few.body, few.headers["Content-Type"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models/m", "m"),
        ("/models/m", "m"),
        ("/v1/models/m:latest", "m"),
        ("/v1/models/a/b", "a/b"),
        ("/v1/models/org/e", "org/e"),
        ("/v1/models/org%2Fe", "org/e"),
    ],
)
async def test_one_model(journal: Journal, path: str, name: str) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        answer = await gateway.request("GET", path)
        assert (answer.status, answer.json["id"]) == (200, name)


async def test_aliases_are_entries_unless_the_configuration_says_no(journal: Journal) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        assert (await gateway.request("GET", "/v1/models/a/b")).json["alias_of"] == "m"
    async with running_gateway(journal, *some(journal), list_aliases=False) as gateway:
        shown = (await gateway.request("GET", "/v1/models")).json["data"]
        assert [entry["id"] for entry in shown] == ["m", "org/e", "see"]
        assert (await gateway.request("GET", "/v1/models/a/b")).json["id"] == "m"


async def test_anthropic_s_clients_get_its_shape(journal: Journal) -> None:
    version = {"anthropic-version": "2023-06-01"}
    async with running_gateway(journal, *some(journal)) as gateway:
        page = (await gateway.request("GET", "/v1/models?limit=2", headers=version)).json
        assert [entry["id"] for entry in page["data"]] == ["m", "a/b"]
        assert (page["has_more"], page["first_id"], page["last_id"]) == (True, "m", "a/b")
        path = "/v1/models?after_id=a/b"
        rest = (await gateway.request("GET", path, headers=version)).json
        assert ([entry["id"] for entry in rest["data"]], rest["has_more"]) == (
            ["org/e", "see"],
            False,
        )
        one = (await gateway.request("GET", "/v1/models/m", headers=version)).json
        assert one == page["data"][0]
        assert one["max_input_tokens"] == 512
        unknown = await gateway.request("GET", "/v1/models/x", headers=version)
        assert (unknown.status, unknown.json["error"]["type"]) == (404, "not_found_error")
        wrong = await gateway.request("GET", "/v1/models?limit=0", headers=version)
        assert (wrong.status, wrong.json["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
async def test_the_root_names_the_base_urls(journal: Journal, path: str) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        answer = await gateway.request("GET", path)
        assert answer.status == 200
        assert answer.json["base_urls"] == {
            "openai": f"{gateway.url}/v1",
            "anthropic": gateway.url,
            "ollama": gateway.url,
        }
        assert (await gateway.request("HEAD", path)).status == 200


@pytest.mark.parametrize(
    ("path", "said"),
    [("/v1/v1/messages", "set that to {}."), ("/nowhere", "is {}/v1 for OpenAI's clients")],
)
async def test_an_unknown_path_names_the_base_url(journal: Journal, path: str, said: str) -> None:
    async with running_gateway(journal, *some(journal)) as gateway:
        unknown = (await gateway.post({}, path)).error(404, "unknown_path")
        assert said.format(gateway.url) in unknown["message"]


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


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


async def test_an_engine_tells_that_it_knows_tools(journal: Journal) -> None:
    knows = fake_model(fake_variant(journal, template="tools"))
    async with running_gateway(journal, knows) as gateway:

        async def shown() -> Any:
            return (await gateway.request("GET", "/v1/models/m")).json["capabilities"]

        # The file of its model is still to be downloaded: tools are possible, and not shown.
        assert await shown() == ["text"]
        assert (await gateway.chat(tools=[TOOL])).status == 200
        async with asyncio.timeout(PATIENCE):
            # It tells soon after it is ready.
            while await shown() != ["text", "tools"]:
                pass


async def test_an_engine_tells_that_it_knows_no_tools(journal: Journal) -> None:
    plain = fake_model(fake_variant(journal, template="plain"))
    async with running_gateway(journal, plain) as gateway:
        async with asyncio.timeout(PATIENCE):
            while (answer := await gateway.chat(tools=[TOOL])).status == 200:
                pass
        refused = answer.error(400, "capability_missing")
        assert refused["param"] == "tools"
        assert "chat template" in refused["message"]


async def test_a_model_that_embeds_may_answer_too(journal: Journal) -> None:
    both = fake_model(fake_variant(journal, model="e", args=("--embeddings",)))
    async with running_gateway(journal, both) as gateway:
        answer = await gateway.post({"model": "e", "prompt": "a"}, "/v1/completions")
        assert answer.status == 200
