"""Streams of a conversation go on without their client and can be read again."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from gateway import Gateway, fake_model, fake_variant, in_flight, running_gateway, until
from gateway_client import CHAT, chat_body
from raw_client import RawClient, post, text_of

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from fake_engine import Journal

    from models.spec import ModelSpec

SLOW = {"resumable": True, "token_delay": 0.05}
CONTROL = "/v1/chat/completions/control"
HELLO = "hello.0 hello.1 hello.2 hello.3"


def keeping(journal: Journal, **knobs: Any) -> ModelSpec:
    return fake_model(fake_variant(journal, **{**SLOW, **knobs}))


async def begun(
    gw: Gateway, conversation: str = "c 1", patience: float | None = None, **fields: Any
) -> RawClient:
    """Open a stream of the conversation, and read its first token."""
    client = await gw.connect()
    body = json.dumps(chat_body(stream=True, **fields)).encode()
    header = f"X-Conversation-Id: {conversation}\r\n"
    if patience is not None:
        header += f"X-Conversation-Patience: {patience}\r\n"
    await client.send(post(CHAT, body).replace(b"\r\n", b"\r\n" + header.encode(), 1))
    await (await client.head()).data()
    return client


async def replayed(gw: Gateway, conversation: str = "c 1", **query: Any) -> list[Any]:
    """Return the events of the conversation, read again to their end."""
    query["conv_id"] = conversation
    answer = await gw.request("GET", "/v1/stream", params=query)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "text/event-stream"
    lines = [line[6:] for line in answer.body.decode().split("\n\n") if line.startswith("data:")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def stopped(journal: Journal) -> bool:
    """Return whether an engine has stopped writing, by an order or because its reader left."""
    return bool(journal.events("stopped") or journal.events("aborted"))


async def idle(gw: Gateway) -> None:
    await until(lambda: not any(record.active for record in gw.manager.records()))


async def test_a_client_that_left_reads_it_all(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        (await begun(gw)).leave()
        events = await replayed(gw)
        assert text_of(events) == HELLO
        assert events[-1] == "[DONE]"
        assert not journal.events("aborted")
        # And once more, when it is complete.
        await idle(gw)
        assert await replayed(gw) == events
        again = await gw.request("GET", "/v1/stream?conv_id=c%201&from=20")
        whole = await gw.request("GET", "/v1/stream?conv_id=c%201")
        assert again.body == whole.body[20:]
        assert again.headers["X-Gateway-Variant"] == "m@256"


async def test_the_engine_is_busy_until_the_answer_is_complete(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, hold="2")) as gw:
        (await begun(gw)).leave()
        second = asyncio.create_task(gw.chat("second"))
        await gw.until_waiting(1)
        journal.let_go("2")
        assert (await second).text == "second.0 second.1 second.2 second.3"
        finished = await journal.wait("finished", 2)
        assert [event["tokens"] for event in finished] == [4, 4]


async def test_a_client_that_leaves_before_the_first_token(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, prefill_seconds=0.3)) as gw:
        client = await gw.connect()
        body = json.dumps(chat_body(stream=True)).encode()
        await client.send(post(CHAT, body).replace(b"\r\n", b"\r\nX-Conversation-Id: c 1\r\n", 1))
        await until(gw.engine_requests)
        client.leave()
        [found] = (await gw.post({"conversation_ids": ["c 1"]}, "/v1/streams/lookup")).json
        assert (found["conversation_id"], found["is_done"]) == ("c 1", False)
        assert text_of(await replayed(gw)) == HELLO


async def test_a_client_that_leaves_the_queue_leaves_nothing(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, hold="2")) as gw:
        await begun(gw)
        client = await gw.connect()
        body = json.dumps(chat_body("other", stream=True)).encode()
        await client.send(post(CHAT, body).replace(b"\r\n", b"\r\nX-Conversation-Id: c 2\r\n", 1))
        await gw.until_waiting(1)
        client.leave()
        await gw.until_waiting(0)
        answer = await gw.request("GET", "/v1/stream?conv_id=c%202")
        answer.error(404, "stream_not_found")
        journal.let_go("2")


async def test_delete_stops_what_goes_on(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        (await begun(gw, max_tokens=200)).leave()
        for _ in range(2):
            answer = await gw.request("DELETE", "/v1/stream?conv_id=c%201")
            assert (answer.status, answer.body) == (204, b"")
        await until(lambda: stopped(journal))
        await idle(gw)


async def test_what_nobody_reads_ends_when_its_time_is_over(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        (await begun(gw, patience=0.05, max_tokens=2000)).leave()
        await until(lambda: stopped(journal))
        await idle(gw)
        assert not journal.events("finished")
        assert (await gw.request("GET", "/running")).json["requests"] == []


async def test_what_is_read_again_has_no_time_limit(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, hold="3")) as gw:
        client = await begun(gw, patience=0)
        reader = await gw.connect()
        await reader.send(b"GET /v1/stream?conv_id=c%201 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await (await reader.head()).data()
        client.leave()
        await in_flight(gw, "detached")
        journal.let_go("3")
        assert (await reader.rest())[-1] == "[DONE]"
        assert not stopped(journal)
        # The time begins when the last reader has left.
        client = await begun(gw, patience=0, max_tokens=2000)
        reader = await gw.connect()
        await reader.send(b"GET /v1/stream?conv_id=c%201 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await (await reader.head()).data()
        client.leave()
        await in_flight(gw, "detached")
        reader.leave()
        await until(lambda: stopped(journal))
        await idle(gw)


@pytest.mark.parametrize("state", ["streaming", "detached"])
async def test_what_an_operator_cancels_goes_on_for_nobody(journal: Journal, state: str) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        client = await begun(gw, max_tokens=2000)
        if state == "detached":
            client.leave()
        request = await in_flight(gw, state)
        answer = await gw.request("DELETE", f"/admin/requests/{request}")
        assert answer.json == {"cancelled": request}
        if state == "streaming":
            assert (await client.rest())[-1]["error"]["code"] == "request_cancelled"
        await idle(gw)
        await until(lambda: stopped(journal))
        assert not journal.events("finished")
        assert (await gw.request("GET", "/running")).json["requests"] == []
        (await gw.request("DELETE", f"/admin/requests/{request}")).error(404, "unknown_request")


async def test_what_is_cancelled_before_its_first_token_goes_on_for_nobody(
    journal: Journal,
) -> None:
    async with running_gateway(journal, keeping(journal, prefill_seconds=30)) as gw:
        headers = {"X-Conversation-Id": "c 1"}
        asked = asyncio.create_task(gw.post(chat_body(stream=True), headers=headers))
        await until(gw.engine_requests)
        await gw.request("DELETE", f"/admin/requests/{await in_flight(gw, 'prefill')}")
        (await asked).error(503, "request_cancelled")
        await idle(gw)
        await until(lambda: stopped(journal))


async def test_what_goes_on_without_its_client_is_seen(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, hold="2")) as gw:
        client = await begun(gw)
        (one,) = (await gw.request("GET", "/running")).json["requests"]
        client.leave()
        request = await in_flight(gw, "detached")
        (seen,) = (await gw.request("GET", "/running")).json["requests"]
        assert (seen["id"], seen["variant"]) == (one["id"], "m@256") == (request, "m@256")
        assert seen["tokens"] >= one["tokens"]
        journal.let_go("2")
        await idle(gw)
        assert (await gw.request("GET", "/running")).json["requests"] == []


async def test_a_new_request_of_the_conversation_ends_the_old(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        (await begun(gw, max_tokens=200)).leave()
        client = await begun(gw)
        assert (await client.rest())[-1] == "[DONE]"
        await until(lambda: stopped(journal))
        assert text_of(await replayed(gw)) == HELLO


async def test_lookup(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        names = {"conversation_ids": ["c 1", "c 2"]}
        answer = await gw.post(names, "/v1/streams/lookup")
        assert (answer.status, answer.json) == (200, [])
        for body in (b"", b"[]"):
            (await gw.post(body, "/v1/streams/lookup")).error(400, "invalid_request")
        (await begun(gw)).leave()
        await idle(gw)
        [found] = (await gw.post(names, "/v1/streams/lookup")).json
        assert (found["conversation_id"], found["is_done"]) == ("c 1", True)
        assert gw.starts() == [256]


async def test_an_engine_that_keeps_nothing_ends_with_its_client(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, resumable=0)) as gw:
        client = await begun(gw, max_tokens=200)
        client.leave()
        await journal.wait("aborted")
        await idle(gw)


async def test_only_streams_have_a_conversation(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        header = {"X-Conversation-Id": "c 1"}
        assert (await gw.post(chat_body(), headers=header)).status == 200
        await gw.post({"content": "x"}, "/tokenize", headers=header)
        for path in (CHAT, "/tokenize"):
            [asked] = gw.engine_requests(path)
            assert "x-conversation-id" not in asked["headers"]
        (await begun(gw)).leave()
        assert gw.engine_requests()[-1]["headers"]["x-conversation-id"] == "c 1"
        await idle(gw)


async def test_an_engine_that_dies_takes_its_streams_along(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, die_at=3, times=1)) as gw:
        (await begun(gw)).leave()
        await journal.wait("exit")
        await idle(gw)
        await until(lambda: gw.state() is not State.READY)
        answer = await gw.request("GET", "/v1/stream?conv_id=c%201")
        answer.error(404, "stream_not_found")
        assert (await gw.chat()).text == HELLO
        # A later run of the same engine does not hold it either.
        answer = await gw.request("GET", "/v1/stream?conv_id=c%201")
        answer.error(404, "stream_not_found")


async def test_nothing_is_kept_of_an_engine_that_has_ended(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, token_delay=0)) as gw:
        await (await begun(gw, max_tokens=1)).rest()
        await idle(gw)
        [(_, client)] = gw.manager.ready()
        kept = weakref.ref(client)
        del client
        await gw.manager.unload(None)

        def forgotten() -> bool:
            gc.collect()
            return kept() is None

        await until(forgotten)
        assert (await gw.request("GET", "/v1/stream?conv_id=c%201")).status == 404


async def test_a_gateway_that_ends_does_not_wait_for_nobody(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal, stall_at=2)) as gw:
        (await begun(gw)).leave()
        await until(lambda: any(t.get_name() == "streams/rest" for t in asyncio.all_tasks()))


async def test_streams_are_found_under_upstream_too(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        (await begun(gw, max_tokens=2000)).leave()
        names = {"conversation_ids": ["c 1"]}
        [found] = (await gw.post(names, "/upstream/m/v1/streams/lookup")).json
        assert found["is_done"] is False
        answer = await gw.request("DELETE", "/upstream/m/v1/stream?conv_id=c%201")
        assert (answer.status, answer.body) == (204, b"")
        await until(lambda: stopped(journal))
        await idle(gw)


async def test_what_the_gateway_does_not_know_has_no_conversation(journal: Journal) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        header = {"X-Conversation-Id": "c 1"}
        await gw.post(chat_body(stream=True), "/upstream/m/api/chat", headers=header)
        [asked] = gw.engine_requests("/api/chat")
        assert "x-conversation-id" not in asked["headers"]


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/stream?conv_id="])
async def test_a_conversation_must_be_named(journal: Journal, path: str) -> None:
    async with running_gateway(journal, keeping(journal)) as gw:
        for method in ("GET", "DELETE"):
            (await gw.request(method, path)).error(400, "invalid_request")
        long = {"X-Conversation-Id": "c" * 513}
        answer = await gw.post(chat_body(stream=True), headers=long)
        assert b"longer than 512" in answer.body
        assert gw.starts() == []


@pytest.mark.parametrize("path", [CONTROL, f"/upstream/m{CONTROL}"])
async def test_a_completion_is_steered_while_it_is_written(journal: Journal, path: str) -> None:
    async with running_gateway(journal, keeping(journal, stall_at=1)) as gw:
        steer = {"id": "mine", "action": "reasoning_end"}
        (await gw.post(steer, path)).error(503, "model_not_loaded")
        client = await begun(gw)
        answer = await gw.post(steer, path)
        assert (answer.status, answer.json) == (200, {"success": True})
        assert answer.headers["X-Gateway-Variant"] == "m@256"
        answer = await gw.post(steer | {"id": "other"}, path)
        assert (answer.status, answer.json) == (200, {"success": False})
        (await gw.post(steer, f"/upstream/none{CONTROL}")).error(404, "model_not_found")
        client.leave()


async def test_a_stream_that_can_be_read_again_stays_as_the_engine_wrote_it(
    journal: Journal,
) -> None:
    """A client goes on at a place that it counts in bytes."""
    half = fake_model(fake_variant(journal, resumable=True, lacks="begin"))
    async with running_gateway(journal, half) as gateway:
        headers = {"X-Conversation-Id": "c"}
        body = chat_body(stream=True)
        first = await gateway.post(body, headers=headers, check=False)
        again = await gateway.request("GET", "/v1/stream?conv_id=c&from=0", check=False)
        assert first.body == again.body
        assert b'"role"' not in first.body
