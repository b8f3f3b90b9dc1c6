"""Bad input is refused in OpenAI's shape, starts no engine, and is not quoted in the log."""

from __future__ import annotations

import gzip
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT, COMPLETIONS, Answer, chat_body, checked_error
from raw_client import post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal

SECRET = "xyzzy-do-not-log"
LIMIT = 20_000
MESSAGES = f'"messages":[{{"role":"user","content":"{SECRET}"}}]'


@asynccontextmanager
async def spotless(
    journal: Journal, caplog: pytest.LogCaptureFixture, *, models: int = 1, **more: Any
) -> AsyncIterator[Gateway]:
    """Run a gateway; check that it has started no engine and quoted nothing of the body."""
    caplog.set_level("CRITICAL", logger="aiohttp")  # as utils/logger.py does, for this reason
    caplog.set_level("DEBUG")
    names = ("m", "other")[:models]
    all_models = [fake_model(fake_variant(journal, model=name)) for name in names]
    async with running_gateway(journal, *all_models, max_request_bytes=LIMIT, **more) as gw:
        yield gw
        assert (await gw.health())["engines"] == []
    assert not journal.events()
    assert SECRET not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the access log."""
    return [record.getMessage() for record in caplog.records if record.name == "gateway.access"]


DEEP = "[" * 10_000 + "]" * 10_000
BODIES = {
    "nothing": b"",
    "no JSON": SECRET.encode(),
    "cut off JSON": ("{" + MESSAGES).encode(),
    "trailing text": ("{" + MESSAGES + "} " + SECRET).encode(),
    "an array": f'["{SECRET}"]'.encode(),
    "a string": f'"{SECRET}"'.encode(),
    "null": b"null",
    "NaN": ("{" + MESSAGES + ',"temperature":NaN}').encode(),
    "Infinity": ("{" + MESSAGES + ',"temperature":-Infinity}').encode(),
    "invalid UTF-8": b'{"messages":[{"role":"user","content":"' + SECRET.encode() + b'\xff"}]}',
    "a lone surrogate": ("{" + MESSAGES.replace(SECRET, SECRET + "\\ud800") + "}").encode(),
    "UTF-16": ("{" + MESSAGES + "}").encode("utf-16"),
    "nesting, half": ("{" + MESSAGES + ',"tools":' + "[" * 10_000).encode(),
    "nesting": DEEP.encode()[:LIMIT],
    "nested arrays in a field": ("{" + MESSAGES + ',"x":' + "[" * 600 + "]" * 600 + "}").encode(),
    "nested objects in tools": (
        "{" + MESSAGES + ',"tools":' + '{"a":' * 900 + "1" + "}" * 900 + "}"
    ).encode(),
    "nested parts in a message": (
        '{"messages":[{"role":"user","content":"x","y":' + "[" * 400 + "]" * 400 + "}]}"
    ).encode(),
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_a_body_that_is_no_json_object(
    journal: Journal, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with spotless(journal, caplog) as gw:
        for name, body in BODIES.items():
            answer = await gw.post(body, path)
            assert answer.status == 400, name
            error = answer.error(400, "invalid_request")
            assert error["type"] == "invalid_request_error", name
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8", name


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "messages a string": ({"messages": SECRET}, "messages"),
    "messages an object": ({"messages": {"role": SECRET}}, "messages"),
    "messages null": ({"messages": None}, "messages"),
    "messages empty": ({"messages": []}, "messages"),
    "a message a string": ({"messages": [SECRET]}, "messages[0]"),
    "content a number": ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    "content an object": (
        {"messages": [{"role": "user", "content": {SECRET: 1}}]},
        "messages[0].content",
    ),
    "a part a string": (
        {"messages": [{"role": "user", "content": [SECRET]}]},
        "messages[0].content[0]",
    ),
    "model a number": ({"model": 7}, "model"),
    "model an array": ({"model": [SECRET]}, "model"),
    "stream a string": ({"stream": SECRET}, "stream"),
    "stream a number": ({"stream": 1}, "stream"),
    "max_tokens a string": ({"max_tokens": SECRET}, "max_tokens"),
    "max_tokens a fraction": ({"max_tokens": 1.5}, "max_tokens"),
    "max_tokens a boolean": ({"max_tokens": True}, "max_tokens"),
    "max_completion_tokens an array": ({"max_completion_tokens": []}, "max_completion_tokens"),
    "n_predict an object": ({"n_predict": {}}, "n_predict"),
}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_field_of_a_wrong_type(
    journal: Journal, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    async with spotless(journal, caplog) as gw:
        for name, (fields, param) in FIELDS.items():
            body = chat_body(SECRET, **{"stream": stream, **fields})
            assert (await gw.post(body)).error(400, "invalid_request")["param"] == param, name


@pytest.mark.parametrize("prompt", [None, 7, {"a": SECRET}, [], [None], True])
async def test_a_prompt_of_a_wrong_type(
    journal: Journal, caplog: pytest.LogCaptureFixture, prompt: Any
) -> None:
    async with spotless(journal, caplog) as gw:
        answer = await gw.post({"prompt": prompt}, COMPLETIONS)
        assert answer.error(400, "invalid_request")["param"].startswith("prompt")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model(
    journal: Journal, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    async with spotless(journal, caplog, models=2, keepalive_interval=0.001) as gw:
        answer = await gw.post(chat_body(SECRET, model="gpt-5", stream=stream))
        error = answer.error(404, "model_not_found")
        assert error["param"] == "model"
        assert "gpt-5" in error["message"]
        assert "m, other" in error["message"]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        (CHAT, "GET", {"POST"}),
        (CHAT, "DELETE", {"POST"}),
        (COMPLETIONS, "PUT", {"POST"}),
        ("/v1/models", "POST", {"GET", "HEAD"}),
        ("/health", "PATCH", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method(
    journal: Journal,
    caplog: pytest.LogCaptureFixture,
    path: str,
    method: str,
    allowed: set[str],
) -> None:
    async with spotless(journal, caplog) as gw:
        answer = await gw.request(method, path, data=SECRET)
        answer.error(405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path", ["/v2", "/v1/v1", "/v1/edits", CHAT + "/", "/v1/chat/%63ompletions/x", "/%ff", "//"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path(
    journal: Journal, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    async with spotless(journal, caplog) as gw:
        client = await gw.connect()
        await client.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await client.head()
        assert client.status == 404
        assert checked_error(json.loads(await client.body()))["code"] == "unknown_path"


# -- how the body comes -----------------------------------------------------------------------


def too_large(answer: Answer) -> None:
    error = answer.error(413, "request_too_large")
    assert str(LIMIT) in error["message"]
    assert "max_request_bytes" in error["message"]


async def test_a_body_over_the_limit_by_its_stated_length(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    async with spotless(journal, caplog) as gw:
        too_large(await gw.post(chat_body(SECRET + "x" * LIMIT)))
        # It is told before the body has come.
        client = await gw.connect()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
        await client.send(head.encode())
        assert (await client.head()).status == 413


async def test_a_body_over_the_limit_in_chunks(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1000 + 2):
            yield b"x" * 1000

    async with spotless(journal, caplog) as gw:
        too_large(await gw.request("POST", CHAT, data=parts()))


async def test_a_compressed_body_over_the_limit(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    packed = gzip.compress(json.dumps(chat_body("x" * 5_000_000)).encode())
    assert len(packed) < LIMIT
    async with spotless(journal, caplog) as gw:
        too_large(await gw.post(packed, headers={"Content-Encoding": "gzip"}))


@pytest.mark.parametrize(
    "packed", [b"no gzip at all", gzip.compress(b"{}" * 100)[:20]], ids=["not gzip", "cut off"]
)
async def test_a_badly_compressed_body(
    journal: Journal, caplog: pytest.LogCaptureFixture, packed: bytes
) -> None:
    async with spotless(journal, caplog) as gw:
        answer = await gw.post(packed, headers={"Content-Encoding": "gzip"})
        answer.error(400, "invalid_request")


async def test_a_badly_chunked_body(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """aiohttp's parser answers what is not HTTP, and closes the connection."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with spotless(journal, caplog) as gw:
        client = await gw.connect()
        await client.send(head.encode() + b"5\r\nhello\r\nzz\r\n" + SECRET.encode() + b"\r\n")
        assert (await client.head()).status == 400
        await client.body()
        assert await client.closed()


@pytest.mark.parametrize("encoding", ["length", "chunked"])
async def test_a_request_cut_off_half_way(
    journal: Journal, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    if encoding == "length":
        data = post(CHAT, json.dumps(chat_body(SECRET * 100)).encode())[:-500]
    else:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        data = f'{head}400\r\n{{"messages": "{SECRET}'.encode()
    async with spotless(journal, caplog) as gw:
        client = await gw.connect()
        await client.send(data)
        # The half that came is in the gateway's hands: another client has been served since.
        await gw.health()
        client.leave()
        await until(lambda: any("499 model=-" in line for line in logged(caplog)))
        assert (await gw.health())["status"] == "ok"


async def test_a_connection_that_says_nothing_sensible(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    async with spotless(journal, caplog) as gw:
        client = await gw.connect()
        await client.send(f"{SECRET}\r\n\r\n".encode())
        assert (await client.head()).status == 400
        assert (await gw.health())["status"] == "ok"
