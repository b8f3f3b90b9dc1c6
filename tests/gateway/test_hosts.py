"""A name that is not this machine's is refused on every path."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import psutil
import pytest
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import chat_body
from raw_client import post

if TYPE_CHECKING:
    from fake_engine import Journal

REBOUND = {"Host": "evil.example:7777"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/v1/models"),
        ("GET", "/slots"),
        ("GET", "/running"),
        ("GET", "/nowhere"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/admin/load"),
        ("GET", "/upstream/m/props"),
        ("POST", "/upstream/m/slots/0?action=erase"),
        ("GET", "/v1/stream?conv_id=x"),
        ("OPTIONS", "/v1/chat/completions"),
    ],
)
async def test_every_path_refuses_it(journal: Journal, method: str, path: str) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        # As a page sees its own server: from the same origin, with no word of another.
        answer = await gw.request(method, path, headers=REBOUND)
        assert "server.hosts" in answer.error(421, "host_not_served")["message"]
        assert gw.starts() == []


async def test_a_websocket_refuses_it(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        await gw.chat()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await gw.session.ws_connect(f"{gw.url}/upstream/m/ws", headers=REBOUND)
        assert caught.value.status == 421
        assert journal.events("websocket") == []


async def test_a_messages_client_is_told_in_its_own_words(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        answer = await gw.request("POST", "/v1/messages", headers=REBOUND)
        assert answer.status == 421
        assert answer.json["type"] == "error"


async def test_names_and_addresses_of_this_machine(journal: Journal) -> None:
    found = [a for each in psutil.net_if_addrs().values() for a in each]
    addresses = [a.address for a in found if a.family is socket.AF_INET]
    async with running_gateway(
        journal, fake_model(fake_variant(journal)), hosts=("llm.example.com",)
    ) as gw:
        for name in (
            "ui.localhost",
            "[::1]:1",
            socket.gethostname(),
            "LLM.example.com",
            *addresses,
        ):
            answer = await gw.request("GET", "/health", headers={"Host": name})
            assert answer.status == 200, name


async def test_a_target_in_absolute_form_counts(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        for target, status in (
            ("http://evil.example/health", 421),
            ("http://localhost/health", 200),
        ):
            client = await gw.connect()
            await client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert (await client.head()).status == status


async def test_old_clients_may_give_no_name(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        for version, status in (("1.0", 200), ("1.1", 400)):
            client = await gw.connect()
            await client.send(f"GET /health HTTP/{version}\r\n\r\n".encode())
            assert (await client.head()).status == status


async def test_a_reload_changes_the_names(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        gw.following.settings = type(gw.following.settings)(
            listen_v4=gw.following.settings.listen_v4, hosts=("evil.example",)
        )
        assert (await gw.request("GET", "/health", headers=REBOUND)).status == 421
        await gw.reloader.reload()
        assert (await gw.request("GET", "/health", headers=REBOUND)).status == 200
        # What was found of the head of a request does not outlive its configuration.
        for hosts, status in ((("evil.example",), 200), ((), 421), (("evil.example",), 200)):
            gw.following.settings = replace(gw.following.settings, hosts=hosts)
            await gw.reloader.reload()
            for _ in range(2):
                answer = await gw.post(chat_body(), headers=REBOUND)
                assert answer.status == status


async def test_two_host_headers_are_no_way_round(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        body = b'{"messages":[]}'
        data = post("/v1/chat/completions", body, "Host: evil.example")
        client = await gw.connect()
        async with asyncio.timeout(30):
            await client.send(data)
            assert (await client.head()).status in (400, 421)
