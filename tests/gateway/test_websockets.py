"""Websockets through ``/upstream/<model>/…``: messages, ends, and rights."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import client_session
from raw_client import PATIENCE

from engine.scheduling.lifecycle import State
from models.spec import Timeouts

if TYPE_CHECKING:
    from fake_engine import Journal

PATH = "/upstream/m/ws"


async def opened(gw: Gateway, path: str = PATH, **more: Any) -> aiohttp.ClientWebSocketResponse:
    """Open a websocket to a running engine."""
    if gw.state() is not State.READY:
        await gw.chat()
    socket: aiohttp.ClientWebSocketResponse = await gw.session.ws_connect(
        gw.url + path, max_msg_size=0, **more
    )
    return socket


async def refused(gw: Gateway, path: str = PATH, **more: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await gw.session.ws_connect(gw.url + path, **more)
    return caught.value.status


async def received(socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    async with asyncio.timeout(PATIENCE):
        return await socket.receive()


async def free(gw: Gateway) -> None:
    await until(lambda: not any(record.active for record in gw.manager.records()))


@pytest.mark.parametrize("compress", [0, 15])
async def test_messages_pass_both_ways(journal: Journal, compress: int) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        async with await opened(gw, compress=compress) as socket:
            for text in ("a", "", "Wörter" * 30, "x" * 70_000):
                await socket.send_str(text)
                assert await socket.receive_str() == text
            large = bytes(range(256)) * 20_000
            await socket.send_bytes(large)
            assert await socket.receive_bytes() == large
            for number in range(200):
                await socket.send_str(str(number))
            assert [await socket.receive_str() for _ in range(200)] == [str(n) for n in range(200)]
        await free(gw)
        [ended] = await journal.wait("websocket-end")
        assert ended["end"] == "1000 "


async def test_query_headers_and_protocol(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        more: dict[str, Any] = {
            "protocols": ("one", "openai-insecure-api-key.secret", "two"),
            "headers": {"X-Own": "yes", "Api-Key": "secret"},
        }
        async with await opened(gw, f"{PATH}?a=b%20c", **more) as socket:
            assert socket.protocol == "two"
            [event] = journal.events("websocket")
            assert event["headers"]["x-own"] == "yes"
            assert "origin" not in event["headers"]
            assert "secret" not in str(event)


async def test_pings_are_answered_on_each_side(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        socket = await opened(gw, autoping=False)
        await socket.ping(b"x")
        message = await received(socket)
        assert (message.type, message.data) == (WSMsgType.PONG, b"x")
        await socket.send_str("ping")
        await socket.send_str("after")
        assert await socket.receive_str() == "after"
        await socket.close()


async def test_the_client_s_end_reaches_the_engine(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        socket = await opened(gw)
        await socket.close(code=4001, message=b"genug")
        [ended] = await journal.wait("websocket-end")
        assert ended["end"] == "4001 genug"
        await free(gw)


async def test_the_engine_s_end_reaches_the_client(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        socket = await opened(gw)
        await socket.send_str("close 4002 done")
        message = await received(socket)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4002, "done")
        await free(gw)
        assert gw.state() is State.READY


async def test_a_client_that_vanishes(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        socket = await opened(gw)
        assert socket._response.connection is not None
        socket._response.connection.transport.abort()  # type: ignore[union-attr] # it is open
        [ended] = await journal.wait("websocket-end")
        assert ended["end"] in {"1001 ", "lost"}
        await free(gw)


@pytest.mark.parametrize("end", ["die", "drop"])
async def test_an_engine_that_vanishes(journal: Journal, end: str) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        socket = await opened(gw)
        await socket.send_str(end)
        message = await received(socket)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
        await free(gw)
        assert (await gw.chat()).status == 200


async def test_a_gateway_that_ends(journal: Journal) -> None:
    async with client_session() as session:
        async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
            await gw.chat()
            socket = await session.ws_connect(gw.url + PATH)
            reading = asyncio.create_task(received(socket))
        message = await reading
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert message.extra == "the gateway is shutting down"


async def test_a_message_that_is_too_large(journal: Journal) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal)), max_request_bytes=10_000
    ) as gw:
        socket = await opened(gw)
        await socket.send_str("x" * 20_000)
        message = await received(socket)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
        await free(gw)


async def test_an_open_socket_keeps_its_engine(journal: Journal) -> None:
    short = Timeouts(health_check=5.0, startup=PATIENCE, idle=0.05, stop=PATIENCE)
    async with running_gateway(journal, fake_model(fake_variant(journal, timeouts=short))) as gw:
        async with await opened(gw) as socket:
            other = asyncio.create_task(gw.chat("other"))
            await gw.until_waiting(1)
            await socket.send_str("still here")
            assert await socket.receive_str() == "still here"
            assert not journal.events("sigterm")
        assert (await other).status == 200
        await gw.until_state(State.STOPPED)


async def test_an_open_socket_is_a_request_in_flight(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        async with await opened(gw) as socket:
            (seen,) = (await gw.request("GET", "/running")).json["requests"]
            assert (seen["path"], seen["variant"], seen["state"]) == (PATH, "m@256", "streaming")
            answer = await gw.request("DELETE", f"/admin/requests/{seen['id']}")
            assert answer.json == {"cancelled": seen["id"]}
            message = await received(socket)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await free(gw)
        assert (await gw.request("GET", "/running")).json["requests"] == []
        await until(lambda: any(PATH in line for line in caplog.messages))
        lines = [line for line in caplog.messages if PATH in line]
        assert len(lines) == 1
        assert f"GET {PATH} 101 model=m variant=m@256" in lines[0]
        assert lines[0].endswith(f"id={seen['id']} (RequestCancelled)")
        metrics = (await gw.request("GET", "/metrics")).body.decode()
        counted = 'llm_gateway_requests_total{model="m",status="503",variant="m@256"} 1.0'
        assert counted in metrics


async def test_an_upgrade_starts_nothing(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        assert await refused(gw) == 503
        assert await refused(gw, "/upstream/none/ws") == 404
        assert gw.starts() == []


async def test_an_upgrade_does_not_wait(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, stall_at=1))) as gw:
        client = await (await gw.stream()).head()
        await client.data()
        assert await refused(gw) == 503
        assert gw.manager.waiting() == 0
        client.leave()
        await free(gw)
        assert gw.starts() == [256]


async def test_an_engine_without_websockets(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        await gw.chat()
        assert await refused(gw, "/upstream/m/v1/models/none") == 502
        await free(gw)


async def test_strangers_pages_open_none(journal: Journal) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal)), cors_origins=("https://a.example",)
    ) as gw:
        await gw.chat()
        assert await refused(gw, headers={"Origin": "https://b.example"}) == 403
        assert await refused(gw, headers={"Origin": "null"}) == 403
        for origin in ("https://a.example", "http://localhost:3000", gw.url):
            async with await opened(gw, headers={"Origin": origin}) as socket:
                await socket.send_str("a")
                assert await socket.receive_str() == "a"
            await free(gw)


async def test_a_handshake_at_fault(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        await gw.chat()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        (await gw.request("GET", PATH, headers=upgrade)).error(400, "invalid_request")
        await free(gw)
