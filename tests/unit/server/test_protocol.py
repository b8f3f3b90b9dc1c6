"""server/protocol.py, server/lane.py: connections that idle, stall, close a half, or leave.

Each way of serving a connection must do the same.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import pytest
from gateway_client import CHAT
from http_server import WAYS, served
from raw_client import PATIENCE

from server.descriptors import Descriptors
from server.lane import Lane
from server.protocol import Limits


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the connections of a test are served."""
    return str(request.param)


QUICK = Limits(head=0.05, idle=PATIENCE)
# Longer than any test.
FOREVER = 3600.0


# -- Heads that do not come ------------------------------------------------------------


async def test_a_connection_that_says_nothing_is_closed(way: str) -> None:
    async with served(way, QUICK) as at:
        assert await (await at.client()).closed()
        assert at.frame.seen == []


@pytest.mark.parametrize("sent", [b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"])
async def test_half_a_head_is_refused_in_time(way: str, sent: bytes) -> None:
    async with served(way, QUICK) as at:
        client = await at.client()
        await client.send(sent)
        assert (await client.head()).status == 408
        assert b"request_timeout" in await client.body()
        assert client.headers["x-request-id"] == "1"
        assert await client.closed()
        assert at.frame.seen == ["- - RequestTimeout"]


async def test_a_head_that_trickles_is_refused_in_time(way: str) -> None:
    async with served(way, QUICK) as at:
        client = await at.client()

        async def trickle() -> None:
            with suppress(ConnectionError):
                await client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
                while not client.writer.is_closing():
                    await client.send(b"G")
                    await asyncio.sleep(0.002)

        trickling = asyncio.create_task(trickle())
        assert (await client.head()).status == 408
        client.leave()
        await trickling


async def test_half_of_a_second_head_is_refused_in_time(way: str) -> None:
    async with served(way, QUICK) as at:
        client = await at.client("/")
        assert await (await client.head()).body() == b"done"
        await client.send(b"GET / HT")
        assert (await client.head()).status == 408


async def test_a_slow_answer_is_not_taken_for_a_slow_head(way: str) -> None:
    async with served(way, Limits(head=0.05, idle=0.05)) as at:
        client = await at.client("/slow")
        await at.frame.started.wait()
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        other = await at.client()
        assert await other.closed()  # its time has passed since
        at.frame.go_on.set()
        assert await (await client.head()).body() == b"done"


async def test_an_idle_connection_is_closed_after_its_time(way: str) -> None:
    async with served(way, Limits(head=PATIENCE, idle=0.05)) as at:
        client = await at.client("/")
        assert await (await client.head()).body() == b"done"
        assert await client.closed()


# -- Clients that close their half -----------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_half_closed_at_once_has_the_answer(way: str, version: str) -> None:
    async with served(way) as at:
        client = await at.client("/", version=version)
        client.writer.write_eof()
        while (await client.head()).status == 100:
            pass
        assert await client.reader.read() == b"done"
        assert at.frame.seen == ["/ answered"]


async def test_a_half_closed_client_that_waits_has_the_answer(way: str) -> None:
    async with served(way) as at:
        client = await at.client("/slow")
        client.writer.write_eof()
        assert (await client.head()).status == 100
        at.frame.go_on.set()
        assert (await client.head()).status == 200
        assert await client.body() == b"done"
        assert await client.closed()


async def test_all_that_was_asked_before_is_answered(way: str) -> None:
    async with served(way) as at:
        client = await at.client("/slow")
        await client.send(at.request("/"))
        client.writer.write_eof()
        assert (await client.head()).status == 100
        at.frame.go_on.set()
        for _ in range(2):
            assert await (await client.head()).body() == b"done"
        assert await client.closed()
        assert at.frame.seen == ["/slow answered", "/ answered"]


async def test_a_client_that_closes_before_its_end_has_left(way: str) -> None:
    async with served(way) as at:
        client = await at.client("/", more="Content-Length: 10\r\n")
        await client.send(b"half")
        await at.frame.started.wait()
        client.writer.write_eof()
        await at.frame.until("/ cancelled")
        assert await client.closed()


async def test_a_plain_stream_ends_where_nothing_is_written(way: str) -> None:
    async with served(way, Limits(grace=0.05)) as at:
        client = await at.client("/plain")
        await client.head()
        client.writer.write_eof()
        await at.frame.until("/plain cancelled")


async def test_a_stream_goes_on_for_half_a_connection(way: str) -> None:
    async with served(way) as at:
        client = await at.client("/stream")
        await client.head()
        client.writer.write_eof()
        await client.comment()
        client.checked = False  # the frame of this test writes comments alone
        at.frame.go_on.set()
        assert await client.rest() == []
        assert not client.cut


@pytest.mark.parametrize("path", ["/slow", "/stream"])
async def test_a_client_that_has_left_is_noticed(way: str, path: str) -> None:
    # It is not asked whether it is there.
    async with served(way, Limits(ask=FOREVER, grace=FOREVER)) as at:
        client = await at.client(path)
        await at.frame.started.wait()
        client.writer.close()
        await at.frame.until(f"{path} cancelled")


async def test_a_half_closed_client_that_has_left_is_noticed(way: str) -> None:
    async with served(way, Limits(ask=0.02)) as at:
        client = await at.client("/slow")
        client.writer.write_eof()
        assert (await client.head()).status == 100
        client.leave()
        await at.frame.until("/slow cancelled")


async def test_an_old_client_that_closes_a_half_has_a_moment(way: str) -> None:
    async with served(way, Limits(grace=0.05)) as at:
        client = await at.client("/slow", version="1.0")
        await at.frame.started.wait()
        client.writer.write_eof()
        await at.frame.until("/slow cancelled")
        assert await client.closed()


# -- Requests that nobody has begun to answer ------------------------------------------


async def test_a_request_that_was_never_begun_is_told(way: str) -> None:
    async with served(way) as at:
        client = await at.client("/slow")
        await at.frame.started.wait()
        await client.send(at.request("/next"))
        [connection] = at.connections
        while not (connection._next if isinstance(connection, Lane) else connection._messages):
            await asyncio.sleep(0.002)
        assert connection.transport is not None
        connection.transport.abort()
        await at.frame.until("/slow cancelled")
        told = f"POST {CHAT} left" if way == "lane" else "GET /next left"
        assert sorted(at.frame.seen) == ["/slow cancelled", told]


async def test_a_request_whose_task_never_ran_is_told(way: str) -> None:
    async with served(way) as at:
        client = await at.client()
        while not at.connections:
            await asyncio.sleep(0.002)
        [connection] = at.connections
        transport = connection.transport
        assert transport is not None
        # As when both come in one turn of the loop.
        for act in ("data_received", "connection_lost"):
            protocol = transport.get_protocol()
            getattr(protocol, act)(at.request("/") if act == "data_received" else None)
        told = f"POST {CHAT} left" if way == "lane" else "GET / left"
        assert at.frame.seen == [told]
        transport.abort()
        assert await client.closed()


# -- Descriptors -----------------------------------------------------------------------


def next_descriptor() -> int:
    """The number that the next descriptor of this process gets."""
    number = os.dup(0)
    os.close(number)
    return number


async def test_the_longest_idle_goes_where_descriptors_are_short(
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(way, descriptors=Descriptors(next_descriptor() + 16)) as at:
        busy = await at.client("/slow")
        await at.frame.started.wait()
        first = await at.client()
        while len(at.connections) < 2:
            await asyncio.sleep(0.002)
        second = await at.client("/")
        assert await (await second.head()).body() == b"done"
        assert await first.closed()
        at.frame.go_on.set()
        assert await (await busy.head()).body() == b"done"
        [told] = [record.message for record in caplog.records if "descriptors" in record.message]
        assert "closed 1 idle" in told
        assert "LimitNOFILE" in told


async def test_one_more_is_refused_where_none_is_idle(way: str) -> None:
    async with served(way, descriptors=Descriptors(next_descriptor() + 8)) as at:
        refused = await at.client()
        assert (await refused.head()).status == 503
        assert b"too_many_connections" in await refused.body()
        assert await refused.closed()
