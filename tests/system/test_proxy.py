"""Behind a proxy of the same machine that adds no header, the admin paths stay closed.

A relay of bytes, which is what ``ssh -R`` does, is always tried; nginx where this machine has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from gateway import until
from gateway_child import config, gateway_process, outcome
from ports import quiet_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_engine import Journal

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
PROXIES = ["relay", *(["nginx"] if NGINX else [])]
PATHS = ["/running", "/metrics", "/logs", "/events", "/logs/stream"]
CONF = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}
}}
"""


@asynccontextmanager
async def relay(_folder: Path, port: int, behind: int) -> AsyncIterator[None]:
    """Pass bytes from ``port`` to the gateway and back, and add nothing."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
        writer.close()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async with await asyncio.start_server(through, "127.0.0.1", port):
        yield


@asynccontextmanager
async def nginx(folder: Path, port: int, behind: int) -> AsyncIterator[None]:
    """A plain ``proxy_pass``, as most configurations have it."""
    file = folder / "nginx.conf"
    file.write_text(CONF.format(folder=folder, port=port, behind=behind))
    process = await asyncio.create_subprocess_exec(
        str(NGINX), "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")
    )
    try:
        await until((folder / "nginx.pid").exists)
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("kind", PROXIES)
async def test_the_admin_paths_are_closed_through_it_and_open_for_the_command_line(
    journal: Journal, tmp_path: Path, kind: str
) -> None:
    port, outside = quiet_port(), quiet_port()
    proxy = {"relay": relay, "nginx": nginx}[kind](tmp_path, outside, port)
    async with gateway_process(journal, config(journal, port), port) as gateway, proxy:
        beyond = f"http://127.0.0.1:{outside}"
        async with gateway.session.get(f"{beyond}/health") as answer:
            assert answer.status == 200
        for path in PATHS:
            async with gateway.session.get(beyond + path) as answer:
                assert answer.status == 401
        for path in ("load", "unload", "reload", "config/reload"):
            async with gateway.session.post(f"{beyond}/admin/{path}", json={}) as answer:
                assert answer.status == 401
        assert gateway.starts() == []
        file = str(tmp_path / "gateway.cfg.lua")
        status, text = await outcome("status", "-c", file, folder=tmp_path)
        assert (status, text.startswith(gateway.url)) == (0, True)
