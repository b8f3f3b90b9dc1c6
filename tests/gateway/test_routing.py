"""Requests that name a route, or no model, through a whole gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import chat_body

from utils.config.routes import ClassifyTable, RouteTable, RuleTable

if TYPE_CHECKING:
    from fake_engine import Journal

    from models.spec import ModelSpec

ROUTE = "X-Gateway-Route"
IMAGE = {"type": "image_url", "image_url": {"url": "data:A"}}


def named(journal: Journal, name: str, context: int = 256, **knobs: Any) -> ModelSpec:
    return fake_model(fake_variant(journal, context, model=name, **knobs))


def seeing(journal: Journal) -> ModelSpec:
    return fake_model(fake_variant(journal, model="see", args=("--mmproj", "p.gguf")))


async def test_a_route_goes_by_its_rules_and_says_so(journal: Journal) -> None:
    route = RouteTable(
        name="fast",
        rules=(RuleTable(to=("see",), parts=frozenset({"image"})),),
        to=("plain",),
    )
    models = named(journal, "plain"), seeing(journal)
    async with running_gateway(journal, *models, routes=[route], max_loaded_models=2) as gateway:
        answer = await gateway.chat(model="fast")
        assert (answer.text.split()[0], answer.headers[ROUTE]) == (
            "hello.0",
            "fast -> plain; rule=none, pick=first",
        )
        # The engine gets the model's name.
        assert answer.json["model"] == "plain"
        messages = [{"role": "user", "content": [IMAGE]}]
        answer = await gateway.post({"model": "fast:latest", "messages": messages, "max_tokens": 2})
        assert answer.headers[ROUTE] == "fast -> see; rule=1, pick=first"
        # A model that is named is taken as it is.
        assert ROUTE not in (await gateway.chat(model="plain")).headers
        listed = (await gateway.request("GET", "/v1/models")).json["data"]
        assert [(each["id"], each["type"]) for each in listed] == [
            ("plain", "text"),
            ("see", "vision"),
            ("fast", "route"),
        ]
        assert (await gateway.request("GET", "/v1/models/fast")).json["models"] == ["plain", "see"]


async def test_without_a_model_what_can_do_it_answers(journal: Journal) -> None:
    async with running_gateway(journal, named(journal, "plain"), seeing(journal)) as gateway:
        answer = await gateway.chat()
        assert answer.headers[ROUTE] == "auto -> plain; needs=text"
        source = {"type": "base64", "media_type": "image/png", "data": "A"}
        image = {"type": "image", "source": source}
        messages = [{"role": "user", "content": [image]}]
        for path, body in (
            ("/v1/messages", {"model": "auto", "messages": messages, "max_tokens": 2}),
            ("/v1/responses", {"input": "hi", "store": False, "model": "auto"}),
            ("/api/chat", {"messages": [{"role": "user", "content": "hi"}], "model": "auto"}),
        ):
            answer = await gateway.post(body, path)
            assert answer.status == 200
            assert answer.headers[ROUTE].startswith("auto -> ")
        refused = await gateway.post({"input": "a"}, "/v1/embeddings")
        assert "it needs embeddings" in refused.error(400, "capability_missing")["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_a_model_that_does_not_start_is_replaced_unseen(journal: Journal, path: str) -> None:
    bad = named(journal, "bad", exit_code=1)
    route = RouteTable(name="r", to=("bad",), fallbacks=("good",))
    async with running_gateway(journal, bad, named(journal, "good"), routes=[route]) as gateway:
        request = {**chat_body(stream=True), "model": "r"}
        if path.endswith("responses"):
            request = {"model": "r", "input": "hello", "stream": True, "store": False}
        answer = await gateway.post(request, path)
        assert answer.status == 200
        assert b"hello.0" in answer.body
        assert answer.headers[ROUTE] == "r -> good; rule=none, pick=first; failed=bad"


async def test_a_full_queue_spills_over(journal: Journal) -> None:
    one, two = named(journal, "one", token_delay=0.2), named(journal, "two")
    route = RouteTable(name="r", to=("one", "two"), pick="spillover", limits={"one": 1})
    async with running_gateway(journal, one, two, routes=[route], max_loaded_models=2) as gateway:
        slow = await gateway.stream("slow", model="r", max_tokens=20)
        await slow.head()
        await slow.event()
        assert (await gateway.chat("quick", model="r")).json["model"] == "two"


async def test_a_small_model_chooses_once_for_a_message(journal: Journal) -> None:
    classify = ClassifyTable(
        model="tiny", labels={"code": ("coder",), "talk": ("tiny",)}, default="talk", timeout=60
    )
    route = RouteTable(name="r", classify=classify)
    models = named(journal, "tiny"), named(journal, "coder")
    async with running_gateway(journal, *models, routes=[route], max_loaded_models=2) as gateway:
        for _ in range(2):
            answer = await gateway.chat("code please", model="r")
            assert answer.headers[ROUTE] == "r -> coder; label=code, pick=first"
        # The fake answers with the first word, and this one is no label.
        assert (await gateway.chat("hm", model="r")).json["model"] == "tiny"
        asked = [e["body"] for e in gateway.engine_requests() if "response_format" in e["body"]]
        assert len(asked) == 2


async def test_an_operator_tries_a_route_and_switches_the_profile(journal: Journal) -> None:
    rules = (RuleTable(to=("big",), profile="night"), RuleTable(to=("big",), hours=(3, 4)))
    route = RouteTable(name="r", rules=rules, to=("small",))
    models = named(journal, "small"), named(journal, "big")
    async with running_gateway(journal, *models, routes=[route]) as gateway:

        async def tried(**more: Any) -> tuple[str, str]:
            order = {"request": {"model": "r", "messages": [{"role": "user"}]}, "hour": 2, **more}
            told = (await gateway.post(order, "/admin/route")).json
            return told["model"], told["reason"]

        assert await tried() == ("small", "rule=none, pick=first")
        assert await tried(hour=3) == ("big", "rule=2, pick=first")
        assert await tried(request={"model": "big"}) == ("big", "it names this model")
        switched = await gateway.post({"profile": "night"}, "/admin/profile")
        assert switched.json == {"profile": "night", "profiles": ["night"]}
        assert await tried() == ("big", "rule=1, pick=first")
        (await gateway.post({"profile": "noon"}, "/admin/profile")).error(400, "invalid_request")
        assert gateway.starts() == []
        refused = await gateway.post(
            json.dumps({"request": {"model": "x"}}).encode(), "/admin/route"
        )
        refused.error(404, "model_not_found")
    # It is kept over a restart.
    async with running_gateway(journal, *models, routes=[route]) as gateway:
        assert (await gateway.request("GET", "/admin/profile")).json["profile"] == "night"
        switched = await gateway.post({"profile": "none"}, "/admin/profile")
        assert switched.json["profile"] is None
