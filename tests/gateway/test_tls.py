"""A gateway that serves https, and one behind a proxy that it trusts."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT, chat_body
from paths import ROOT
from raw_client import post

from server.admin.commands import AdminClient
from utils.config.settings import TlsTable
from utils.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_engine import Journal

FOLDER = ROOT / "tests" / "support" / "certificates"


def installed(folder: Path, name: str) -> TlsTable:
    """Copy the pair of this name to where the gateway looks for its own."""
    for end in ("crt", "key"):
        shutil.copy(FOLDER / f"{name}.{end}", folder / f"gateway.{end}")
    return TlsTable(cert=str(folder / "gateway.crt"), key=str(folder / "gateway.key"))


def trusting(name: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(FOLDER / f"{name}.crt"))


@asynccontextmanager
async def connected(
    gw: Gateway, name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to a gateway that must show the certificate of this name."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gw.port, ssl=trusting(name), server_hostname=f"{name}.example"
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def test_https_and_its_renewal(journal: Journal, tmp_path: Path) -> None:
    tls = installed(tmp_path, "one")
    async with running_gateway(journal, fake_model(fake_variant(journal)), tls=tls) as gw:
        url = f"https://127.0.0.1:{gw.port}"
        for stream in (False, True):
            body = chat_body(stream=stream)
            async with gw.session.post(url + CHAT, json=body, ssl=trusting("one")) as answer:
                assert answer.status == 200
                assert b"hello" in await answer.read()
        # The commands of the gateway ask an address of this machine, whatever the names.
        client = AdminClient(url, gw.token)
        running = await asyncio.to_thread(client.ask, "GET", "/running")
        assert len(running["engines"]) == 1
        with pytest.raises(ssl.SSLCertVerificationError):
            await connected(gw, "other").__aenter__()
        async with connected(gw, "one") as (reader, writer):
            shutil.copy(FOLDER / "other.key", tmp_path / "gateway.key")
            with pytest.raises(ConfigError, match="is not the key of"):
                await gw.reloader.reload()
            async with connected(gw, "one"):
                pass
            installed(tmp_path, "other")
            await gw.reloader.reload(dry_run=True)
            async with connected(gw, "one"):
                pass
            await gw.reloader.reload()
            async with connected(gw, "other"):
                pass
            # The connection from before goes on.
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


async def test_a_client_that_leaves_ends_its_answer(journal: Journal, tmp_path: Path) -> None:
    model = fake_model(fake_variant(journal, token_delay=0.05))
    async with running_gateway(journal, model, tls=installed(tmp_path, "one")) as gw:
        async with connected(gw, "one") as (reader, writer):
            body = chat_body(stream=True, max_tokens=200)
            writer.write(post(CHAT, json.dumps(body).encode()))
            await reader.readuntil(b"data: ")
        await journal.wait("aborted")


async def test_behind_a_proxy_the_client_is_the_one_that_the_proxy_names(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    model = fake_model(fake_variant(journal))
    told = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "llm.example",
    }
    async with running_gateway(
        journal, model, trusted_proxies=("127.0.0.1",), hosts=("llm.example",)
    ) as gw:
        page = (await gw.request("GET", "/", headers=told)).json
        assert page["base_urls"]["anthropic"] == "https://llm.example"
        await gw.post(chat_body(), headers=told)
        await until(lambda: f"POST {CHAT} 200" in caplog.text)
        assert " from=192.0.2.7 id=" in caplog.text
        # The page of the proxy's name is the gateway's own; one of another name is not.
        own = {**told, "Origin": "https://llm.example"}
        assert (await gw.post(chat_body(), headers=own)).status == 200
        other = {**told, "Origin": "https://evil.example"}
        (await gw.post(chat_body(), headers=other)).error(403, "origin_not_allowed")
        rebound = {**told, "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
        assert (await gw.post(chat_body(), headers=rebound)).status == 421


async def test_what_a_stranger_forwards_does_not_count(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, trusted_proxies=("192.0.2.1",)) as gw:
        told = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Host": "evil.example"}
        assert (await gw.post(chat_body(), headers=told)).status == 200
        await until(lambda: " from=127.0.0.1 id=" in caplog.text)
