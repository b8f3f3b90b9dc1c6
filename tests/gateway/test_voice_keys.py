"""Voice sessions and keys: what browsers open them with, and what ends with a key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
from account_gateway import bearer, booked, books, charging_gateway
from raw_client import PATIENCE
from voice_server import ANSWER, serving, voice_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from account_gateway import Books
    from fake_engine import Journal
    from gateway import Gateway

REALTIME = "/v1/realtime"
LIVE = "/v1/audio/live"
IN_PROTOCOL = "openai-insecure-api-key."


async def next_of(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (event := await socket.receive_json())["type"] != kind:
            pass
    return dict(event)


async def ask(socket: aiohttp.ClientWebSocketResponse, text: str) -> dict[str, Any]:
    """Return the answer to a text."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await socket.send_json({"type": "conversation.item.create", "item": item})
    await socket.send_json({"type": "response.create"})
    return dict((await next_of(socket, "response.done"))["response"])


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(PATIENCE):
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return socket.close_code


async def refused(gw: Gateway, url: str, **more: Any) -> int:
    """Return the status with which a websocket is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await gw.session.ws_connect(f"{gw.url}{url}", **more)
    return caught.value.status


@asynccontextmanager
async def paid(journal: Journal) -> AsyncIterator[tuple[Gateway, Books, list[str]]]:
    """Run a gateway of voices for an account, which has two keys, inside the block."""
    at = books(journal.path.parent / "state")
    keys = [at.add(), at.add_key()]
    async with (
        voice_server() as voice,
        charging_gateway(
            journal, *voice.models(), at=at, server={"max_loaded_models": 3}
        ) as gateway,
    ):
        yield gateway, at, keys


async def test_a_client_secret_opens_the_session_that_was_described(journal: Journal) -> None:
    session: Any = {
        "type": "realtime",
        "model": "thinks",
        "instructions": "Be kind.",
        "output_modalities": ["text"],
    }
    async with serving(journal) as (gw, voice):
        async with openai.AsyncOpenAI(base_url=f"{gw.url}/v1", api_key="none") as client:
            made = await client.realtime.client_secrets.create(
                session=session, expires_after={"anchor": "created_at", "seconds": 60}
            )
        told: Any = made.session
        assert (told.type, told.instructions) == ("realtime", "Be kind.")
        url = f"{REALTIME}?model=other"
        headers = {"Authorization": f"Bearer {made.value}"}
        assert await refused(gw, url, headers=headers) == 400
        async with (
            openai.AsyncOpenAI(base_url=f"{gw.url}/v1", api_key=made.value) as client,
            client.realtime.connect(model="thinks") as connection,
        ):
            created: Any = await connection.recv()
            assert created.session.output_modalities == ["text"]
        # Once.
        assert await refused(gw, REALTIME, protocols=("realtime", IN_PROTOCOL + made.value)) == 401
        for path, model in (("sessions", "thinks"), ("transcription_sessions", "")):
            made_ = await gw.post({"modalities": ["text"], "model": model}, f"{REALTIME}/{path}")
            secret = made_.json["client_secret"]["value"]
            protocols = ("realtime", IN_PROTOCOL + secret, "openai-beta.realtime-v1")
            async with gw.session.ws_connect(f"{gw.url}{REALTIME}", protocols=protocols) as socket:
                assert socket.protocol == "realtime"
                shown = (await next_of(socket, "session.created"))["session"]
                assert shown["model"] == model
                if model:
                    assert (await ask(socket, "hi"))["output"][0]["content"][0]["text"] == ANSWER
        for body, param in (
            ({"expires_after": {"seconds": 5}}, "expires_after.seconds"),
            ({"session": {"type": "song"}}, "session.type"),
            ({"session": {"model": "hears"}}, "model"),
            (b"{", None),
        ):
            path = f"{REALTIME}/client_secrets"
            answer = await gw.post(body, path)
            assert (answer.status, answer.json["error"]["param"]) == (400, param)
        assert len(voice.chats) == 1


async def test_browsers_send_keys_and_secrets_as_protocols(journal: Journal) -> None:
    async with paid(journal) as (gw, at, (key, _)):
        (await gw.post({}, f"{REALTIME}/client_secrets")).error(401, "invalid_api_key")
        url = f"{REALTIME}?model=thinks"
        for wrong in ((), ("realtime",), ("realtime", f"{IN_PROTOCOL}sk-gw-no")):
            assert await refused(gw, url, protocols=wrong) == 401
        body = {"session": {"model": "thinks", "output_modalities": ["text"]}}
        made = await gw.post(body, f"{REALTIME}/client_secrets", **bearer(key))
        for given in (key, made.json["value"]):
            protocols = ("realtime", IN_PROTOCOL + given)
            async with gw.session.ws_connect(gw.url + url, protocols=protocols) as socket:
                await ask(socket, "hello")
                if given is key:
                    continue
                await socket.send_json({"type": "response.create"})
                [limit] = (await next_of(socket, "rate_limits.updated"))["rate_limits"]
                assert limit["name"] == "requests"
                assert 0 < limit["remaining"] < limit["limit"]
        await booked(gw)
        # Both are the key's, and nobody else's.
        assert {row["key_id"] for row in at.usage()} == {1}
        assert [r["model"] for r in at.usage()].count("thinks") == 3


async def test_a_revoked_key_ends_its_sessions_and_secrets(journal: Journal) -> None:
    async with paid(journal) as (gw, _, (key, other)):
        body = {"llm_config": {"model": "thinks"}}
        live = [(await gw.post(body, LIVE, **bearer(key))).json for _ in range(2)]
        made = await gw.post({}, f"{REALTIME}/client_secrets", **bearer(key))
        url = f"{gw.url}{REALTIME}?model=thinks"
        async with (
            gw.session.ws_connect(live[0]["websocket_url"]) as first,
            gw.session.ws_connect(url, **bearer(key)) as second,
            gw.session.ws_connect(url, **bearer(other)) as third,
        ):
            for socket in (second, third):
                await next_of(socket, "session.created")
            await next_of(first, "ready")
            assert (await gw.request("DELETE", "/admin/api/keys/1")).status == 200
            assert await close_code(first) == 1008
            assert await close_code(second) == 1008
            assert (await ask(third, "hello"))["status"] == "completed"
        async with gw.session.ws_connect(live[1]["websocket_url"]) as socket:
            assert await close_code(socket) == 4004
        secret = {"Authorization": f"Bearer {made.json['value']}"}
        assert await refused(gw, REALTIME, headers=secret) == 401
