"""A client that stalls keeps no engine, connection or slot for ever."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from gateway import fake_model, fake_variant, running_gateway
from raw_client import RawClient, post

if TYPE_CHECKING:
    from fake_engine import Journal

CHAT = "/v1/chat/completions"


def chat(tokens: int) -> bytes:
    said = [{"role": "user", "content": "loud"}]
    return json.dumps({"messages": said, "stream": True, "max_tokens": tokens}).encode()


async def test_a_client_that_never_reads_is_cut_off_and_the_next_is_served(
    journal: Journal,
) -> None:
    # Far more than the sockets' buffers hold.
    model = fake_model(fake_variant(journal, context=400_000))
    async with running_gateway(journal, model, client_timeout=0.3) as gw:
        deaf = await RawClient.connect(gw.port)
        await deaf.send(post(CHAT, chat(390_000)))
        await journal.wait("first_byte")
        assert (await gw.chat(max_tokens=1)).status == 200
        await journal.wait("aborted")
        deaf.leave()


async def test_a_client_that_reads_slowly_is_not_cut_off(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, token_delay=0.1))
    async with running_gateway(journal, model, client_timeout=0.05) as gw:
        client = await RawClient.connect(gw.port)
        await client.send(post(CHAT, chat(5)))
        await client.head()
        assert (await client.rest())[-1] == "[DONE]"
        assert not client.cut
        client.leave()


@pytest.mark.parametrize("sent", [b"", b'{"messages"'])
async def test_an_upload_that_stops_coming_is_refused(journal: Journal, sent: bytes) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal)), client_timeout=0.1
    ) as gw:
        client = await RawClient.connect(gw.port)
        await client.send(post(CHAT, chat(5)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + sent)
        await client.head()
        assert client.status == 400
        error = json.loads(await client.body())["error"]
        assert error["code"] == "invalid_request"
        assert "stopped coming" in error["message"]
        assert not gw.starts()
        client.leave()


@pytest.mark.parametrize(
    "data",
    [
        b"FOO\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nMARKER\r\n\r\n",
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
            b"Content-Length: 2\r\n\r\n"
        ),
        b"\x16\x03\x01\x02\x00MARKER\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_in_the_usual_shape(
    journal: Journal, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        client = await RawClient.connect(gw.port)
        await client.send(data)
        await client.head()
        assert client.status == 400
        body = await client.body()
        assert json.loads(body)["error"]["code"] == "invalid_request"
        assert b"MARKER" not in body
        assert "MARKER" not in caplog.text
        assert await client.closed()
        client.leave()


async def test_a_form_as_curl_sends_it_is_json_to_the_engine(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        request = post(CHAT, chat(1)).replace(b"application/json", b"multipart/form-data")
        client = await RawClient.connect(gw.port)
        await client.send(request)
        await client.head()
        assert client.status == 200
        [forwarded] = journal.events("request", path=CHAT)
        sent = {name.lower(): value for name, value in forwarded["headers"].items()}
        assert sent["content-type"] == "application/json"
        await client.rest()
        client.leave()
        await asyncio.wait_for(client.writer.wait_closed(), 30)
