"""Requests in the lane and those that aiohttp reads have the same answers and log lines."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from gateway import fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT, chat_body
from raw_client import RawClient, post

from server.lane import Lane

if TYPE_CHECKING:
    from fake_engine import Journal

TOLD: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "a chat": (json.dumps(chat_body()).encode(), ()),
    "a stream": (json.dumps(chat_body(stream=True)).encode(), ()),
    "from a page": (json.dumps(chat_body()).encode(), ("Origin: http://localhost:3000",)),
    "from another page": (json.dumps(chat_body()).encode(), ("Origin: http://evil.example",)),
    "closing": (json.dumps(chat_body()).encode(), ("Connection: close",)),
    "no JSON": (b"no JSON", ()),
    "too long": (json.dumps(chat_body("w " * 600)).encode(), ()),
    "another model": (json.dumps(chat_body(model="nobody")).encode(), ()),
    "too large": (b" " * 3000, ()),
    "a wrong priority": (json.dumps(chat_body()).encode(), ("X-Priority: most",)),
}
VARYING = re.compile(r"id=\S+|[a-z]+=\d+\.\d+s")


async def told(client: RawClient, data: bytes) -> tuple[int, dict[str, str], bytes]:
    await client.send(data)
    await client.head()
    if "content-length" in client.headers:
        body = await client.body()
    else:
        client.chunks.clear()
        while await client.chunk():
            pass
        body = b"".join(client.chunks)
    return client.status, client.headers, body


async def test_both_ways_give_the_same_headers(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    settings: dict[str, Any] = {"max_request_bytes": 2000, "priority_header": True}
    async with running_gateway(journal, fake_model(fake_variant(journal)), **settings) as gw:
        await gw.chat()
        await logged(caplog, 1)
        for name, (body, lines) in TOLD.items():
            found: list[Any] = []
            before = len(accesses(caplog))
            for number, fast in enumerate((True, False), 1):
                client = await gw.connect()
                # A header that occurs twice leaves the lane.
                more = lines if fast else (*lines, "X-Any: 1", "X-Any: 2")
                status, headers, answer = await told(client, post(CHAT, body, *more))
                for header in ("date", "x-request-id"):
                    assert headers.pop(header)
                text = re.sub(rb'"(id|created)":\s*[^,]*', b"", answer)
                found.append((status, headers, text))
                # The line may follow the answer's last byte.
                await logged(caplog, before + number)
            assert found[0] == found[1], name
            lines_logged = {VARYING.sub("", line) for line in accesses(caplog)[before:]}
            assert len(lines_logged) == 1, name


def accesses(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "gateway.access"]


async def logged(caplog: pytest.LogCaptureFixture, count: int) -> None:
    """Wait until so many requests are in the access log."""
    await until(lambda: len(accesses(caplog)) == count)


@pytest.mark.parametrize("fast", [True, False])
async def test_the_setting_turns_the_lane_off(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    came: list[bytes] = []
    before = Lane.data_received

    def noted(lane: Lane, data: bytes) -> None:
        came.append(data)
        before(lane, data)

    monkeypatch.setattr(Lane, "data_received", noted)
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, fast_lane=fast) as gw:
        data = post(CHAT, json.dumps(chat_body()).encode())
        status, _, _ = await told(await gw.connect(), data)
        assert status == 200
    assert came == ([data] if fast else [])
