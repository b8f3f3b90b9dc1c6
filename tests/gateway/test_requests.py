"""Requests that are answered: what reaches the engine, and what comes back."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import COMPLETIONS, chat_body
from raw_client import post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal


# -- what reaches the engine ------------------------------------------------------------------


async def test_the_body_is_forwarded_as_received(journal: Journal) -> None:
    """Spacing, escapes, order, repeated and unknown fields reach the engine byte for byte."""
    body = (
        '{ "stream" : false,\t"x_unknown":[1.0,1e2,{"ä":"\\u00e4"}],\n'
        '"messages":[{"content":"älpha \\ud83d\\ude00 end","role":"user"}],'
        '"max_tokens":2 , "max_tokens":3}\r\n'
    ).encode()
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        assert (await gw.post(body)).text == "älpha.0 älpha.1 älpha.2"
        [request] = gw.engine_requests()
        assert request["sha256"] == hashlib.sha256(body).hexdigest()
        assert request["bytes"] == len(body)


async def test_a_large_body_is_forwarded_as_received(journal: Journal) -> None:
    body = json.dumps(chat_body("w" * 3_000_000)).encode()
    model = fake_model(fake_variant(journal, 8192), fake_variant(journal, 4_000_000))
    async with running_gateway(journal, model) as gw:
        answer = await gw.request("POST", "/v1/chat/completions", data=io.BytesIO(body))
        assert answer.status == 200
        assert gw.engine_requests()[-1]["sha256"] == hashlib.sha256(body).hexdigest()


async def test_a_chunked_upload(journal: Journal) -> None:
    body = json.dumps(chat_body("alpha")).encode()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        answer = await gw.request("POST", "/v1/chat/completions", data=parts())
        assert answer.text == "alpha.0 alpha.1 alpha.2 alpha.3"
        [request] = gw.engine_requests()
        assert request["sha256"] == hashlib.sha256(body).hexdigest()
        assert request["headers"]["content-length"] == str(len(body))


async def test_a_compressed_upload(journal: Journal) -> None:
    body = json.dumps(chat_body("alpha")).encode()
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        headers = {"Content-Encoding": "gzip"}
        answer = await gw.post(gzip.compress(body), headers=headers)
        assert answer.text == "alpha.0 alpha.1 alpha.2 alpha.3"
        [request] = gw.engine_requests()
        assert request["sha256"] == hashlib.sha256(body).hexdigest()
        assert "content-encoding" not in request["headers"]


async def test_an_upload_that_expects_to_be_asked_for(journal: Journal) -> None:
    data = post("/v1/chat/completions", json.dumps(chat_body()).encode(), "Expect: 100-continue")
    head, _, body = data.partition(b"\r\n\r\n")
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        client = await gw.connect()
        await client.send(head + b"\r\n\r\n")
        assert (await client.head()).status == 100
        await client.send(body)
        assert (await client.head()).status == 200


async def test_headers_to_the_engine(journal: Journal) -> None:
    sent = {
        "X-Custom": "kept",
        "User-Agent": "tester/1",
        "Accept": "text/event-stream",
        "Accept-Encoding": "gzip, br",
        "Connection": "keep-alive, X-Private",
        "X-Private": "of this connection",
        "Keep-Alive": "timeout=9",
        "TE": "trailers",
        "Proxy-Authorization": "secret",
        "Authorization": "Bearer mine",
        "X-Api-Key": "mine",
        "Cookie": "session=mine",
    }
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        client = await gw.connect()
        lines = [f"{name}: {value}" for name, value in sent.items()]
        await client.send(post(COMPLETIONS, b'{"prompt":"alpha"}', *lines))
        assert (await client.head()).status == 200
        [request] = gw.engine_requests(COMPLETIONS)
        got = request["headers"]
        assert {name: got[name.lower()] for name in list(sent)[:3]} == dict(list(sent.items())[:3])
        assert not {name.lower() for name in list(sent)[3:]} & got.keys() - {"connection"}
        assert got.get("connection") in {None, "keep-alive"}
        assert got["content-type"] == "application/json"
        assert re.fullmatch(r"127\.0\.0\.1:\d+", got["host"])
        assert got["host"] != f"127.0.0.1:{gw.port}"


async def test_the_query_string_goes_along(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        assert (await gw.post(chat_body(), "/v1/chat/completions?a=%2F&b=1")).status == 200
        assert len(gw.engine_requests()) == 1


# -- what comes back --------------------------------------------------------------------------


async def test_headers_to_the_client(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        answer = await gw.chat()
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert "Access-Control-Allow-Origin" not in answer.headers, "the engine allows everybody"
        assert "llama.cpp" not in answer.headers.get("Server", "")
        assert "Keep-Alive" not in answer.headers
        assert answer.headers["X-Gateway-Variant"] == "m@256"
        assert re.fullmatch(
            r"\d+; source=(bound|engine|tokenizer|cache)", answer.headers["X-Gateway-Prompt-Tokens"]
        )
        stream = await (await gw.stream()).head()
        assert stream.headers["x-gateway-variant"] == "m@256"
        assert "keep-alive" not in stream.headers


# SDKs repeat a request after any status from 500 on, and the engine will not do what it cannot do.
@pytest.mark.parametrize(
    ("status", "told"), [(400, 400), (404, 404), (418, 418), (500, 500), (501, 400), (503, 503)]
)
async def test_an_error_of_the_engine_is_kept(journal: Journal, status: int, told: int) -> None:
    page = "<html>\n\xe9 " + "x" * 5000
    variant = fake_variant(journal, status=status, body=page)
    async with running_gateway(journal, fake_model(variant)) as gw:
        for asked, stream in enumerate((False, True), 1):
            answer = await gw.chat(stream=stream)
            assert answer.status == told
            assert answer.body == page.encode("latin-1")
            assert answer.headers["Content-Type"] == "text/html"
            assert len(gw.engine_requests()) == asked, "an answer is an answer: no other try"
        assert gw.starts() == [256]


async def test_what_only_the_engine_can_judge_is_left_to_it(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        answer = await gw.post({"messages": [{"role": "user"}], "temperature": "hot"})
        assert answer.status == 200
        assert gw.engine_requests()


async def test_responses_carry_the_models_name(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, model="my/model"), aliases=("short", "other"))
    async with running_gateway(journal, model) as gw:
        for name in ("my/model", "short", "other", "", None):
            assert (await gw.chat(model=name)).json["model"] == "my/model"
        assert gw.starts() == [256]
        argv = journal.events("start")[0]["argv"]
        assert argv[argv.index("--alias") + 1] == "my/model"


async def test_the_default_model(journal: Journal) -> None:
    first = fake_model(fake_variant(journal, model="first"))
    second = fake_model(fake_variant(journal, 512, model="second"), aliases=("2nd",))
    async with running_gateway(journal, first, second, default_model="2nd") as gw:
        assert (await gw.chat()).json["model"] == "second"
        assert (await gw.chat(model="")).json["model"] == "second"
        assert gw.starts() == [512]


async def test_completions(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        answer = await gw.post({"prompt": "alpha", "max_tokens": 2}, COMPLETIONS)
        assert answer.json["choices"][0]["text"] == "alpha.0 alpha.1"
        assert answer.json["object"] == "text_completion"
        for prompt in ([1, 2, 3], ["beta gamma", "delta"]):
            assert (await gw.post({"prompt": prompt}, COMPLETIONS)).status == 200


async def test_a_connection_is_used_again(journal: Journal) -> None:
    data = post("/v1/chat/completions", json.dumps(chat_body()).encode())
    bad = post("/v1/chat/completions", b"{")
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        client = await gw.connect()
        for request, status in ((data, 200), (bad, 400), (data, 200)):
            await client.send(request)
            assert (await client.head()).status == status
            await client.body()


async def test_what_an_engine_would_ignore_is_refused_by_name(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        refused = await gateway.chat(functions=[{"name": "f"}])
        assert refused.error(400, "invalid_request")["param"] == "functions"
        assert gateway.starts() == []
    # An operator may know better.
    stripping = fake_model(fake_variant(journal), strip_params=("functions",))
    async with running_gateway(journal, stripping) as gateway:
        assert (await gateway.chat(functions=[{"name": "f"}])).status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_several_answers_come_one_after_another(journal: Journal, *, stream: bool) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
        answer = await gateway.chat(n=3, max_tokens=2, stream=stream, **options)
        assert answer.status == 200
        assert len(gateway.engine_requests()) == 3
        if not stream:
            assert [choice["index"] for choice in answer.json["choices"]] == [0, 1, 2]
            assert answer.json["usage"]["completion_tokens"] == 6
            return
        assert answer.body.count(b"[DONE]") == 1
        events = [json.loads(e[6:]) for e in answer.body.split(b"\n\n") if e.startswith(b"data: {")]
        assert {event["choices"][0]["index"] for event in events[:-1]} == {0, 1, 2}
        assert events[-1]["usage"]["completion_tokens"] == 6


async def test_the_number_of_answers_has_a_limit(journal: Journal) -> None:
    parallel = fake_variant(journal, parallel=4)
    async with running_gateway(journal, fake_model(parallel), max_answers=5) as gateway:
        for wrong in (0, 6, "2", 1.5):
            assert (await gateway.chat(n=wrong)).error(400, "invalid_request")["param"] == "n"
        # An engine with so many slots does it itself.
        assert (await gateway.chat(n=4)).status == 200
        assert len(gateway.engine_requests()) == 1
