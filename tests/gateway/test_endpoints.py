"""Every endpoint of llama-server through the gateway, on fake engines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from gateway import Gateway, fake_model, fake_tokenizer, fake_variant, running_gateway
from raw_client import post

from models.requests.endpoints import BY_PATH

if TYPE_CHECKING:
    from fake_engine import Journal

    from models.spec import VariantSpec

EMBED = ("--embeddings",)
RERANK = ("--reranking",)
LONG = "w " * 300
BODIES: dict[str, dict[str, Any]] = {
    "messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
    "chat": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
    "completion": {"prompt": "hi", "max_tokens": 2},
    "infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 2},
    "embeddings": {"input": ["hi", "ho"]},
    "rerank": {"query": "q", "documents": ["a", "b"]},
}
ASIDES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions/input_tokens": BODIES["chat"],
    "/v1/messages/count_tokens": BODIES["messages"],
    "/tokenize": {"content": "a b c"},
    "/detokenize": {"tokens": [1, 2]},
    "/apply-template": BODIES["chat"],
}
# The fake has no short names for these, or they become chats.
LATER = ("/chat/completions/input_tokens", "/v1/messages", "/v1/messages/count_tokens")
# Forms, speech and images have tests of their own.
PATHS = [
    path
    for path, endpoint in BY_PATH.items()
    if path not in LATER and (path in ASIDES or endpoint.name in BODIES)
]


def body_for(path: str) -> dict[str, Any]:
    return ASIDES[path] if path in ASIDES else BODIES[BY_PATH[path].name]


ENGINES: dict[str, tuple[str, ...]] = {"chat": (), "embeddings": EMBED, "rerank": RERANK}


@pytest.mark.parametrize("kind", ENGINES)
async def test_each_path_reaches_the_engine_as_it_was_sent(journal: Journal, kind: str) -> None:
    args = ENGINES[kind]
    paths = [path for path in PATHS if ENGINES.get(BY_PATH[path].name, ()) == args]
    assert paths
    async with running_gateway(journal, fake_model(fake_variant(journal, args=args))) as gateway:
        for path in paths:
            answer = await gateway.post(body_for(path), path)
            assert answer.status == 200, (path, answer.body)
            assert answer.headers["X-Gateway-Variant"] == "m@256", path
            assert len(gateway.engine_requests(path)) == 1, path


def two(journal: Journal, *args: str, **knobs: Any) -> Any:
    return fake_model(
        fake_variant(journal, 256, args=args, **knobs),
        fake_variant(journal, 1024, args=args, **knobs),
    )


@pytest.mark.parametrize(
    ("path", "args", "body"),
    [
        ("/v1/embeddings", EMBED, {"input": ["a", LONG]}),
        ("/embedding", EMBED, {"content": LONG}),
        ("/rerank", RERANK, {"query": "q", "documents": ["a", LONG]}),
        ("/completion", (), {"prompt": LONG, "n_predict": 2}),
        ("/infill", (), {"input_prefix": LONG, "n_predict": 2}),
        ("/v1/responses", (), {"input": LONG, "max_output_tokens": 2}),
        ("/v1/responses", (), {"input": "a", "max_output_tokens": 500}),
        ("/v1/messages", (), {"messages": [{"role": "user", "content": LONG}], "max_tokens": 2}),
        ("/v1/messages", (), BODIES["messages"] | {"system": LONG}),
        ("/v1/messages", (), BODIES["messages"] | {"max_tokens": 500}),
    ],
)
async def test_what_is_sent_decides_the_variant(
    journal: Journal, path: str, args: tuple[str, ...], body: dict[str, Any]
) -> None:
    async with running_gateway(journal, two(journal, *args)) as gateway:
        answer = await gateway.post(body, path)
        assert answer.status == 200, answer.body
        assert gateway.starts() == [1024]


async def test_many_short_inputs_need_no_large_context(journal: Journal) -> None:
    async with running_gateway(journal, two(journal, *EMBED)) as gateway:
        answer = await gateway.post({"input": ["a b c"] * 500}, "/v1/embeddings")
        assert len(answer.json["data"]) == 500
        assert gateway.starts() == [256]


async def test_an_embedding_may_fill_the_whole_context(journal: Journal) -> None:
    variant = fake_variant(journal, 256, args=EMBED)
    async with running_gateway(journal, fake_model(variant)) as gateway:
        assert (await gateway.post({"input": "w " * 256}, "/v1/embeddings")).status == 200
        refused = await gateway.post({"input": "w " * 257}, "/v1/embeddings")
        assert refused.error(400, "context_length_exceeded")["n_prompt_tokens"] == 257


async def test_auxiliary_requests_need_no_room(journal: Journal) -> None:
    async with running_gateway(journal, two(journal)) as gateway:
        for path, usual in ASIDES.items():
            body = dict(usual)
            for name in {"messages", "input", "content"} & body.keys():
                body[name] = [{"role": "user", "content": LONG}] if name == "messages" else LONG
            answer = await gateway.post(body, path)
            assert answer.status == 200, path
            assert set(gateway.starts()) == {256}, path
            assert answer.headers["X-Gateway-Variant"] == "m@256", path
            assert "X-Gateway-Prompt-Tokens" not in answer.headers, f"{path}: nobody counted"
            # The next path finds no engine either.
            await gateway.manager.unload("m")


async def test_auxiliary_requests_are_answered_by_the_variant_that_runs(journal: Journal) -> None:
    async with running_gateway(journal, two(journal)) as gateway:
        await gateway.chat("hi", max_tokens=500)
        answer = await gateway.post({"content": "a"}, "/tokenize")
        assert answer.headers["X-Gateway-Variant"] == "m@1024"
        assert gateway.starts() == [1024]


@pytest.mark.parametrize(
    ("path", "counting", "body"),
    [
        (
            "/v1/responses",
            "/v1/chat/completions/input_tokens",
            {"input": LONG, "max_output_tokens": 2},
        ),
        (
            "/v1/messages",
            "/v1/chat/completions/input_tokens",
            {"messages": [{"role": "user", "content": LONG}], "max_tokens": 2},
        ),
    ],
)
async def test_a_running_engine_counts_exactly(
    journal: Journal, path: str, counting: str, body: dict[str, Any]
) -> None:
    async with running_gateway(journal, two(journal)) as gateway:
        await gateway.chat("hi")
        answer = await gateway.post(body, path)
        assert answer.headers["X-Gateway-Prompt-Tokens"] == "304; source=engine"
        assert len(gateway.engine_requests(counting)) == 1
        assert gateway.starts() == [256, 1024]
        # What the engine has counted is remembered.
        again = await gateway.post(body, path)
        assert again.headers["X-Gateway-Prompt-Tokens"] == "304; source=cache"


MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"


async def test_messages_become_chats(journal: Journal) -> None:
    body = BODIES["messages"]
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answer = await gateway.post(body, MESSAGES)
        assert answer.json["content"] == [{"type": "text", "text": "hi.0 hi.1"}]
        assert answer.json["id"].startswith("msg_")
        assert answer.headers["Request-Id"] == answer.headers["X-Request-Id"]
        counted = await gateway.post(body, COUNT)
        assert counted.json == {"input_tokens": 5}
        [sent] = gateway.engine_requests("/v1/chat/completions")
        chat = json.loads(sent["body"])
        assert (chat["messages"], chat["max_tokens"]) == (body["messages"], 2)
        assert not gateway.engine_requests(MESSAGES)


async def test_an_engine_that_keeps_a_stream_of_messages_writes_it_itself(
    journal: Journal,
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        kept = {"X-Conversation-Id": "c"}
        body = BODIES["messages"] | {"stream": True}
        answer = await gateway.post(body, MESSAGES, headers=kept)
        assert b"event: message_stop\n" in answer.body
        assert len(gateway.engine_requests(MESSAGES)) == 1


def generic(journal: Journal, **fields: Any) -> VariantSpec:
    """Return an engine of which the gateway knows only that it speaks HTTP."""
    variant = fake_variant(journal)
    args = ("--port", "${PORT}", *variant.args)
    return replace(variant, engine="generic", args=args, **fields)


async def test_an_engine_that_names_messages_answers_them_itself(journal: Journal) -> None:
    variant = generic(journal, endpoints=(MESSAGES, COUNT))
    async with running_gateway(journal, fake_model(variant)) as gateway:
        for path in (MESSAGES, COUNT):
            assert (await gateway.post(BODIES["messages"], path)).status == 200
            assert len(gateway.engine_requests(path)) == 1


async def test_other_engines_count_messages_themselves(journal: Journal) -> None:
    variant = generic(journal)
    async with running_gateway(journal, fake_model(variant)) as gateway:
        answer = await gateway.post(BODIES["messages"], MESSAGES)
        assert answer.json["content"] == [{"type": "text", "text": "hi.0 hi.1"}]
        [sent] = gateway.engine_requests("/v1/chat/completions")
        assert json.loads(sent["body"]).keys() == {"messages", "max_tokens"}
        assert (await gateway.post(BODIES["messages"], COUNT)).json == {"input_tokens": 5}
        assert len(gateway.engine_requests(COUNT)) == 1


async def test_tokens_are_counted_without_an_engine_where_that_can_be(journal: Journal) -> None:
    model = fake_model(fake_variant(journal), tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gateway:
        asked = {COUNT: BODIES["messages"], "/v1/responses/input_tokens": {"input": "hi"}}
        for path, body in asked.items():
            answer = await gateway.post(body, path)
            assert answer.json["input_tokens"] > 1
        assert not gateway.starts()


IMAGES = ("/v1/images/generations", "/v1/images/edits")


async def test_pictures_are_asked_of_engines_that_make_them(journal: Journal) -> None:
    paints = generic(journal, endpoints=IMAGES)
    async with running_gateway(journal, fake_model(paints)) as gateway:
        await gateway.post({"prompt": "a cat", "size": "64x64"}, IMAGES[0])
        [sent] = gateway.engine_requests(IMAGES[0])
        assert json.loads(sent["body"]) == {"prompt": "a cat", "size": "64x64"}
        for name in ("image", "image[]"):
            form = aiohttp.FormData({"prompt": "a dog"})
            form.add_field(name, b"png", filename="a.png", content_type="image/png")
            await gateway.request("POST", IMAGES[1], data=form)
        assert len(gateway.engine_requests(IMAGES[1])) == 2
        answer = await gateway.request("POST", IMAGES[1], data=aiohttp.FormData({"prompt": "a"}))
        answer.error(400, "invalid_request")


async def test_other_models_make_no_pictures(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        answer = await gateway.post({"prompt": "a cat"}, IMAGES[0])
        assert "image" in answer.error(400, "capability_missing")["message"]
        assert not gateway.starts()


# -- Errors of /v1/messages


def anthropic(body: bytes) -> dict[str, str]:
    told = json.loads(body)
    assert told.keys() == {"type", "error"}
    assert told["type"] == "error"
    error: dict[str, str] = told["error"]
    assert error.keys() == {"type", "message"}
    return error


async def test_refusals_in_anthropic_s_shape(journal: Journal) -> None:
    """By the path, also of what is passed through."""
    messages, passed = "/v1/messages", "/upstream/m/v1/messages"
    refusals: list[tuple[str, Any, int, str]] = [
        # A look, where there is no body. No engine runs yet, and a look starts none.
        (passed, None, 503, "overloaded_error"),
        (messages, b"{", 400, "invalid_request_error"),
        (messages, {"messages": []}, 400, "invalid_request_error"),
        (messages, BODIES["messages"] | {"model": "x"}, 404, "not_found_error"),
        (messages, BODIES["messages"] | {"system": "w " * 1100}, 400, "invalid_request_error"),
        (passed, b"{", 400, "invalid_request_error"),
        (f"{passed}?beta=true", {"messages": []}, 400, "invalid_request_error"),
        (f"{passed}/batches", {}, 404, "not_found_error"),
    ]
    async with running_gateway(journal, two(journal)) as gateway:
        for path, body, status, kind in refusals:
            asked = gateway.request("GET", path) if body is None else gateway.post(body, path)
            answer = await asked
            told = (answer.status, anthropic(answer.body)["type"])
            assert told == (status, kind), (path, body)
        stranger = {"Origin": "https://stranger.example"}
        answer = await gateway.post(BODIES["messages"], passed, headers=stranger)
        assert (answer.status, anthropic(answer.body)["type"]) == (403, "permission_error")
        wrong = await gateway.request("GET", "/v1/messages")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
        anthropic(wrong.body)
        unknown = await gateway.request("POST", "/v1/messages/batches")
        assert (unknown.status, anthropic(unknown.body)["type"]) == (404, "not_found_error")


async def test_an_engine_s_error_in_openai_s_shape(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, error_at=1))
    async with running_gateway(journal, model) as gateway:
        for path in ("/v1/chat/completions", "/upstream/m/v1/chat/completions"):
            error = (await gateway.post(BODIES["chat"], path)).error(500, "engine_error")
            assert (error["message"], error["param"]) == ("fake failure", None)


async def test_an_engine_s_error_in_anthropic_s_shape(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, error_at=1))
    async with running_gateway(journal, model) as gateway:
        answer = await gateway.post(BODIES["messages"], "/v1/messages")
        assert answer.status == 500
        assert anthropic(answer.body) == {"type": "api_error", "message": "fake failure"}


ENDS = {
    "/v1/chat/completions": ('"role":"assistant"', "[DONE]"),
    "/v1/completions": ('"text"', "[DONE]"),
    "/v1/messages": ('"message_start"', '"message_stop"'),
}


@pytest.mark.parametrize("lacks", ["", "begin", "end"])
async def test_a_stream_has_a_beginning_and_an_end_whatever_the_engine_sends(
    journal: Journal, lacks: str
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, lacks=lacks))) as gateway:
        for path, (first, last) in ENDS.items():
            answer = await gateway.post(body_for(path) | {"stream": True}, path)
            text = answer.body.decode()
            assert text.endswith("\n\n"), path
            events = text.strip().split("\n\n")
            assert first in events[0], path
            assert last in events[-1], path
            assert text.count(last) == 1, path


async def test_a_stream_that_breaks_ends_with_an_error_event(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, die_at=2, times=1))
    async with running_gateway(journal, model) as gateway:
        body = BODIES["messages"] | {"max_tokens": 9, "stream": True}
        client = await gateway.connect()
        await client.send(post("/v1/messages", json.dumps(body).encode()))
        await client.head()
        last = ""
        while (event := await client.event()) is not None:
            last = event
            if "event: error" in last:
                break
        name, _, data = last.strip().partition("\n")
        assert name == "event: error"
        assert anthropic(data.removeprefix("data: ").encode())["type"] == "api_error"
        assert await client.closed()


async def test_the_log_has_the_counts_of_messages(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        await ask(gateway, "/v1/messages")
        await gateway.post({"input": "hi", "max_output_tokens": 2}, "/v1/responses")
    lines = [record.getMessage() for record in caplog.records if "status" not in record.message]
    assert all("prompt=5 completion=2" in line for line in lines if "POST" in line)


async def ask(gateway: Gateway, path: str) -> None:
    assert (await gateway.post(body_for(path), path)).status == 200


async def test_what_takes_no_room_is_answered_beside_the_slots(journal: Journal) -> None:
    """The request neither waits for the slot of a stream nor starts a smaller engine."""
    small, large = fake_variant(journal, 256), fake_variant(journal, 512, stall_at=2)
    async with running_gateway(journal, fake_model(small, large)) as gw:
        stream = await gw.stream("w " * 300, max_tokens=100)
        await (await stream.head()).data()
        for path in ("/tokenize", "/apply-template"):
            answer = await gw.post(body_for(path), path)
            assert answer.status == 200, path
            assert answer.headers["X-Gateway-Variant"] == "m@512", path
            assert gw.starts() == [512], path
        stream.leave()
