"""Events, log lines and metrics of a whole gateway on fake engines."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fake_engine import LLAMA_SERVER
from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT
from prometheus_client.parser import text_string_to_metric_families

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from fake_engine import Journal
    from raw_client import RawClient


async def listen(gateway: Gateway, path: str, *headers: str) -> RawClient:
    client = await gateway.connect()
    token = f"X-Admin-Token: {gateway.token}"
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", token, *headers)
    await client.send("\r\n".join([*lines, "", ""]).encode())
    return await client.head()


async def fact(client: RawClient) -> dict[str, Any]:
    """Return the next event, decoded; check its name and number."""
    while (event := await client.event()) is not None and event.startswith(":"):
        client.comments += 1
    assert event is not None, "the stream ended"
    name, number, data = event.split("\n")
    assert int(number.removeprefix("id: ")) > 0
    told: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert name == f"event: {told['type']}"
    return told


async def facts_until(
    client: RawClient, last: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    told = [await fact(client)]
    while not last(told[-1]):
        told.append(await fact(client))
    return told


def watch_of(gateway: Gateway) -> Any:
    return gateway.manager._observer


# -- Events


async def test_events_begin_with_what_is_and_tell_what_happens(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        client = await listen(gateway, "/events")
        assert client.status == 200
        assert client.headers["content-type"].startswith("text/event-stream")
        first = await fact(client)
        assert (first["type"], first["engines"]) == ("snapshot", [])
        answer = await gateway.chat()
        told = await facts_until(client, lambda e: e.get("phase") == "ended")
        states = [e["state"] for e in told if e["type"] == "engine"]
        assert states == ["starting", "ready"]
        assert [e["waiting"] for e in told if e["type"] == "queue"] == [1, 0]
        ended = told[-1]
        assert ended["id"] == answer.headers["X-Request-Id"]
        assert (ended["status"], ended["variant"], ended["path"]) == (200, "m@256", CHAT)
        assert ended["completion_tokens"] == 4
        (began,) = [e for e in told if e.get("phase") == "began"]
        assert began["id"] == ended["id"]
        await gateway.request("POST", "/admin/unload", json={"model": "m"})
        told = await facts_until(client, lambda e: e.get("state") == "stopped")
        assert [e["state"] for e in told if e["type"] == "engine"] == ["stopping", "stopped"]


async def test_a_start_that_fails_is_told_with_its_reason(journal: Journal) -> None:
    broken = fake_variant(journal, exit_code=3, exit_line="error: no such tensor")
    async with running_gateway(journal, fake_model(broken)) as gateway:
        client = await listen(gateway, "/events")
        (await gateway.chat()).error(503, "engine_start_failed")
        told = await facts_until(client, lambda e: e.get("state") == "backoff")
        assert "no such tensor" in told[-1]["reason"]


# The start of an engine that tells how it gets on, as llama-server b11434 does.
SCRIPT = """#!/bin/sh
[ -c /dev/stdin ] || echo "its input is open"
line='cmd_child_to_router:state:{"state":"loading","payload":'
echo "$line"'{"stages":["text_model"],"current":"text_model","value":0.25}}'
echo "$line"'{"stages":["text_model"],"current":"text_model","value":1.0}}'
echo "$line"'oops'
exec "$FAKE" "$@"
"""


async def test_the_progress_of_a_load_is_told_where_the_engine_tells_it(
    journal: Journal, tmp_path: Path
) -> None:
    script = tmp_path / "engine"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    env = {"LLAMA_SERVER_ROUTER_PORT": "1", "FAKE": LLAMA_SERVER}
    telling = fake_variant(journal, binary=str(script), env=env)
    async with running_gateway(journal, fake_model(telling)) as gateway:
        client = await listen(gateway, "/events")
        assert (await gateway.chat()).status == 200
        told = await facts_until(client, lambda e: e.get("phase") == "ended")
        assert [(e["variant"], e["percent"]) for e in told if e["type"] == "load"] == [
            ("m@256", 25.0),
            ("m@256", 100.0),
        ]
        lines = (await gateway.request("GET", "/logs?model=m")).body.decode()
        assert "its input is open" in lines
        assert "cmd_child_to_router" not in lines


async def test_a_quiet_stream_is_kept_alive(journal: Journal) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, keepalive_interval=0.02) as gateway:
        client = await listen(gateway, "/events")
        assert (await fact(client))["type"] == "snapshot"
        await client.comment()
        await client.comment()


async def test_a_listener_that_leaves_is_forgotten(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        watch = watch_of(gateway)
        clients = [await listen(gateway, path) for path in ("/events", "/logs/stream")]
        assert (len(watch.events.subscriptions), len(watch.log.feed.subscriptions)) == (1, 1)
        for client in clients:
            client.leave()
        await until(lambda: not watch.events.subscriptions and not watch.log.feed.subscriptions)


async def test_a_hundred_listeners_that_come_and_leave_leave_nothing(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        watch = watch_of(gateway)
        for _ in range(10):
            clients = [await listen(gateway, "/events") for _ in range(10)]
            await gateway.chat()
            for client in clients:
                client.leave()
        await until(lambda: not watch.events.subscriptions)


async def test_a_listener_that_does_not_read_holds_up_nobody_and_is_told(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        watch = watch_of(gateway)
        client = await listen(gateway, "/events")
        assert (await fact(client))["type"] == "snapshot"
        filler = "x" * 10_000
        for number in range(2500):
            watch._tell("engine", number=number, filler=filler)
            if number % 100 == 0:
                # The socket takes what it can; then nobody waits for it.
                await asyncio.sleep(0)
        assert (await gateway.chat()).status == 200
        told = await facts_until(client, lambda e: e.get("phase") == "ended")
        (lost,) = [e["events"] for e in told if e["type"] == "lost"]
        assert lost > 100
        numbers = [e["number"] for e in told if "number" in e]
        assert numbers == sorted(numbers)
        assert len(numbers) + lost >= 2500


async def test_a_listener_that_never_reads_is_cut_off(journal: Journal) -> None:
    model = fake_model(fake_variant(journal))
    async with running_gateway(journal, model, client_timeout=0.3) as gateway:
        watch = watch_of(gateway)
        client = await listen(gateway, "/events")
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's own
        filler = "x" * 10_000

        def stuck() -> bool:
            for _ in range(100):
                watch._tell("engine", filler=filler)
            return not watch.events.subscriptions

        await until(stuck)


async def to_the_end(client: RawClient) -> bool:
    """Read to the end; return whether the response was complete."""
    while await client.chunk():
        pass
    client.leave()
    return not client.cut


async def test_a_shutdown_ends_every_stream_in_good_order(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        paths = ("/events", "/logs/stream", "/logs/stream?model=m")
        readers = [asyncio.create_task(to_the_end(await listen(gateway, path))) for path in paths]
        # They are not to be ended by their own side.
        gateway.clients.clear()
    assert await asyncio.gather(*readers) == [True, True, True]


# -- Logs


async def test_the_last_lines_are_shown_by_model(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chatty = fake_variant(journal, model="a", log_lines=3)
    quiet = fake_variant(journal, model="b")
    async with running_gateway(journal, fake_model(chatty, aliases=("x",)), fake_model(quiet)) as (
        gateway
    ):
        await gateway.chat(model="a")
        whole = await gateway.request("GET", "/logs")
        assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
        text = whole.body.decode()
        assert "gateway.access  POST /v1/chat/completions 200 model=a" in text
        assert text.count("noise") > 3
        own = (await gateway.request("GET", "/logs?model=x")).body.decode()
        assert own.count("a@256  noise") == 3
        assert "gateway.access" not in own
        assert (await gateway.request("GET", "/logs?model=b")).body == b""
        unknown = await gateway.request("GET", "/logs?model=nobody")
        unknown.error(404, "model_not_found")


async def test_a_stream_of_lines_loses_and_doubles_none(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        watch = watch_of(gateway)
        variant = gateway.manager.records()[0].variant
        for number in range(50):
            watch.said(variant, f"line {number}.")
        client = await listen(gateway, "/logs/stream?model=m")
        assert client.headers["content-type"] == "text/plain; charset=utf-8"
        for number in range(50, 100):
            watch.said(variant, f"line {number}.")
            watch.log.add("", "of the gateway")
        text = b""
        while b"line 99." not in text:
            text += await client.chunk()
        lines = text.decode().splitlines()
        assert [line.rpartition("line ")[2] for line in lines] == [f"{n}." for n in range(100)]


async def test_lines_come_as_events_to_clients_that_accept_them(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        watch = watch_of(gateway)
        watch.log.add("m", "one\ntwo")
        client = await listen(gateway, "/logs/stream?model=m", "Accept: text/event-stream")
        assert await client.event() == "data: one\ndata: two"
        watch.log.add("m", "three")
        assert await client.event() == "data: three"


async def test_a_reader_that_is_too_slow_is_told_how_many_lines_it_missed(
    journal: Journal,
) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        watch = watch_of(gateway)
        client = await listen(gateway, "/logs/stream?model=m")
        for number in range(1500):
            watch.log.add("m", f"{number}")
        text = b""
        while b"1499" not in text:
            text += await client.chunk()
        assert "500 lines were not read in time" in text.decode().splitlines()[0]


# -- Metrics


async def test_metrics_of_a_whole_gateway(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        await gateway.chat()
        await gateway.chat(model="made-up")
        page = await gateway.request("GET", "/metrics")
        assert page.headers["Content-Type"].startswith("text/plain")
        families = {f.name: f for f in text_string_to_metric_families(page.body.decode())}
        both = {"model": "m", "variant": "m@256"}

        def value(name: str, **labels: str) -> float:
            samples = [s for f in families.values() for s in f.samples]
            (found,) = [s.value for s in samples if s.name == name and s.labels == labels]
            return float(found)

        assert value("llm_gateway_requests_total", **both, status="200") == 1
        unknown = {"model": "", "variant": "", "status": "404"}
        assert value("llm_gateway_requests_total", **unknown) == 1
        assert value("llm_gateway_completion_tokens_total", **both) == 4
        assert value("llm_gateway_engine_loads_total", **both, outcome="ready") == 1
        assert value("llm_gateway_engine_load_seconds_count", **both) == 1
        assert value("llm_gateway_first_token_seconds_count", **both) == 1
        assert value("llm_gateway_engine_state", **both, state="ready") == 1
        assert value("llm_gateway_requests_in_flight") == 0
        assert b"made-up" not in page.body


async def test_the_queue_is_a_gauge(journal: Journal) -> None:
    slow = fake_variant(journal, token_delay=0.05)
    async with running_gateway(journal, fake_model(slow)) as gateway:
        first = await (await gateway.stream(max_tokens=400)).head()
        await gateway.until_state(State.READY)
        second = await gateway.stream()
        await gateway.until_waiting(1)
        page = (await gateway.request("GET", "/metrics")).body.decode()
        assert "llm_gateway_queue_length 1.0" in page
        assert "llm_gateway_requests_in_flight 2.0" in page
        assert 'llm_gateway_engine_requests{model="m",variant="m@256"} 1.0' in page
        for client in (first, second):
            client.leave()


async def test_a_path_of_any_bytes_can_be_told(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        client = await listen(gateway, "/events")
        other = await gateway.connect()
        await other.send(b"GET /upstream/m/\xff%ff HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await other.head()).status in {400, 503}
        assert (await gateway.chat()).status == 200
        told = await facts_until(
            client, lambda e: e.get("phase") == "ended" and e.get("path") == CHAT
        )
        assert told[0]["type"] == "snapshot"
