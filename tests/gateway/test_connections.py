"""Each request leaves one log line, and idle connections keep no client out."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_child import config, gateway_process
from gateway_client import CHAT, chat_body
from ports import quiet_port
from raw_client import PATIENCE, post

if TYPE_CHECKING:
    import pytest
    from fake_engine import Journal

LOOK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return method, path and status of each request in the log."""
    written = [r.getMessage() for r in caplog.records if r.name == "gateway.access"]
    return [" ".join(line.split()[:3]) for line in written]


async def counted(gw: Gateway) -> float:
    """Return how many requests the metrics have counted before this one."""
    page = (await gw.request("GET", "/metrics")).body.decode()
    counts = [line for line in page.splitlines() if line.startswith("llm_gateway_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


async def test_a_half_closed_client_has_an_answer_and_a_log_line(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        body = json.dumps(chat_body("half")).encode()
        for data in (post(CHAT, body), LOOK, LOOK.replace(b"1.1", b"1.0")):
            client = await gw.connect()
            await client.send(data)
            client.writer.write_eof()
            while (await client.head()).status == 100:
                pass
            assert client.status == 200
            assert json.loads(await client.body())
            assert await client.closed()
    assert lines(caplog) == [f"POST {CHAT} 200", "GET /health 200", "GET /health 200"]


async def test_hundreds_that_come_at_once_are_let_in(journal: Journal) -> None:
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    async with running_gateway(journal) as gw:
        with ExitStack() as stack:
            # The gateway takes none of them meanwhile: its loop does not turn.
            for _ in range(min(300, most)):
                client = socket.create_connection(("127.0.0.1", gw.port), timeout=PATIENCE)
                stack.callback(client.close)


async def test_every_request_leaves_one_line_and_is_counted_once(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    page = {"Origin": "http://localhost:3000"}
    ask = {**page, "Access-Control-Request-Method": "POST"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    asked: list[tuple[str, str, dict[str, str], int]] = [
        ("GET", "/health", {}, 200),
        ("HEAD", "/v1/models", {}, 200),
        ("OPTIONS", CHAT, ask, 204),
        ("OPTIONS", CHAT, {**ask, "Origin": "http://evil.example"}, 403),
        ("GET", "/nowhere", {}, 404),
        ("GET", CHAT, {}, 405),
        ("GET", "/running", {}, 200),
        ("GET", "/running", {"Host": "evil.example"}, 421),
        ("GET", "/upstream/m/ws", upgrade, 400),
        ("GET", "/slots", {}, 503),
    ]
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        for method, path, headers, status in asked:
            answer = await gw.request(method, path, **({"headers": headers} if headers else {}))
            assert answer.status == status, path
            assert answer.headers["X-Request-Id"]
        client = await gw.connect()
        await client.send(b"no HTTP\r\n\r\n")
        assert (await client.head()).status == 400
        assert client.headers["x-request-id"]
        written = [f"{method} {path} {status}" for method, path, _, status in asked]
        await until(lambda: lines(caplog) == [*written, "- - 400"])
        assert await counted(gw) == len(asked) + 1
        assert await counted(gw) == len(asked) + 2


async def test_a_stream_of_events_and_a_websocket_leave_a_line(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        head = f"GET /events HTTP/1.1\r\nHost: localhost\r\nX-Admin-Token: {gw.token}\r\n\r\n"
        client = await gw.connect()
        await client.send(head.encode())
        assert (await client.head()).headers["x-request-id"]
        await gw.chat()
        async with gw.session.ws_connect(f"{gw.url}/upstream/m/ws") as socket:
            assert socket._response.headers["X-Request-Id"]
        client.leave()
        await until(lambda: len(lines(caplog)) == 3)
    assert sorted(lines(caplog)) == [
        "GET /events 499",
        "GET /upstream/m/ws 101",
        f"POST {CHAT} 200",
    ]


async def test_idle_connections_lock_nobody_out(journal: Journal) -> None:
    port = quiet_port()
    async with gateway_process(journal, config(journal, port), port, descriptors=256) as gw:
        for _ in range(300):
            await gw.connect()
        answer = await gw.chat()
        assert answer.status == 200
        assert "LimitNOFILE" in gw.said
        assert gw.said.count("file descriptors are short") == 1
