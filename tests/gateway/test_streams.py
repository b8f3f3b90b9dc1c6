"""Streams are never silent, pass as they come, and end with a clear error when something breaks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from gateway import fake_model, fake_variant, running_gateway, until
from gateway_client import checked_error
from raw_client import RawClient, text_of

from engine.response_parser import ResponseParser
from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from fake_engine import Journal

SOON = 0.05


async def failed(client: RawClient, code: str) -> str:
    """Return the message of the one error event, of this code, that ends stream and connection."""
    *before, last = await client.rest()
    assert "[DONE]" not in before
    error = checked_error(last)
    assert error["code"] == code
    assert await client.closed()
    return str(error["message"])


# -- passed on -------------------------------------------------------------------------------


async def test_chunks_are_passed_on_unchanged_and_one_by_one(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    feed = ResponseParser.feed

    def recorded(self: ResponseParser, data: bytes) -> bytes:
        piece = feed(self, data)
        # The first piece of an answer is fed in two steps.
        if not sent or sent[-1] is not piece:
            sent.append(piece)
        return piece

    monkeypatch.setattr(ResponseParser, "feed", recorded)
    # The engine waits for its client to leave after two tokens: they came unbuffered.
    model = fake_model(fake_variant(journal, stall_at=2, times=1))
    async with running_gateway(journal, model) as gw:
        client = await (await gw.stream("älpha", max_tokens=3)).head()
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream"
        assert client.headers["x-accel-buffering"] == "no"
        events = [await client.data() for _ in range(3)]
        assert text_of(events) == "älpha.0 älpha.1"
        assert b"".join(client.chunks) == b"".join(sent)
        client.leave()
        await journal.wait("aborted")

        sent.clear()
        client = await (await gw.stream("beta", max_tokens=3)).head()
        *events, done = await client.rest()
        assert text_of(events) == "beta.0 beta.1 beta.2"
        assert done == "[DONE]"
        assert b"".join(client.chunks) == b"".join(sent)
        assert client.comments == 0


# -- keepalive -------------------------------------------------------------------------------


async def test_comments_tell_how_long_a_load_takes(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, load_seconds=0.4))
    async with running_gateway(journal, model) as gw:
        (shown,) = (await gw.request("GET", "/v1/models")).json["data"]
        assert shown["load_seconds"] == {"256": None}
        await gw.chat("alpha")
    # Another gateway knows what this one saw.
    async with running_gateway(journal, model, keepalive_interval=SOON) as gw:
        (shown,) = (await gw.request("GET", "/v1/models")).json["data"]
        assert shown["load_seconds"]["256"] >= 0.4
        client = await (await gw.stream("alpha")).head()
        comment = await client.event()
        assert comment is not None
        assert re.fullmatch(r": keep-alive, loading m@256, \d+ %, \d+ s left", comment)


async def test_comments_while_the_engine_loads(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, hold="load"))
    async with running_gateway(journal, model, keepalive_interval=SOON) as gw:
        client = await (await gw.stream("alpha")).head()
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["cache-control"] == "no-cache"
        await client.comment()
        assert await client.event() == ": keep-alive, loading m@256"
        assert gw.state() is State.STARTING
        journal.let_go("load")
        *events, done = await client.rest()
        assert text_of(events) == "alpha.0 alpha.1 alpha.2 alpha.3"
        assert done == "[DONE]"


async def test_comments_while_others_are_served(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, stall_at=1, times=1))
    async with running_gateway(journal, model, keepalive_interval=SOON) as gw:
        first = await (await gw.stream("first")).head()
        assert (await first.data())["choices"]
        waiting = await (await gw.stream("second")).head()
        await waiting.comment()
        assert await waiting.event() == ": keep-alive, queued"
        assert gw.manager.waiting() == 1
        first.leave()
        *events, _ = await waiting.rest()
        assert text_of(events) == "second.0 second.1 second.2 second.3"


@pytest.mark.parametrize("late_headers", [False, True])
async def test_comments_while_the_prompt_is_read(journal: Journal, *, late_headers: bool) -> None:
    variant = fake_variant(journal, hold="prefill", late_headers=int(late_headers))
    journal.let_go("prefill")
    async with running_gateway(journal, fake_model(variant), keepalive_interval=SOON) as gw:
        await gw.chat("warm")
        journal.hold("prefill")
        client = await (await gw.stream("alpha")).head()
        await client.comment()
        await client.comment()
        await until(lambda: len(gw.engine_requests()) == 2)
        assert not journal.events("first_byte", id=gw.engine_requests()[-1].get("id"))
        journal.let_go("prefill")
        *events, _ = await client.rest()
        assert text_of(events) == "alpha.0 alpha.1 alpha.2 alpha.3"


async def test_comments_between_slow_tokens_and_the_engines_own(journal: Journal) -> None:
    variant = fake_variant(journal, token_delay=0.3, ping_seconds=0.06)
    async with running_gateway(journal, fake_model(variant), keepalive_interval=SOON) as gw:
        client = await (await gw.stream("alpha", max_tokens=2)).head()
        *events, done = await client.rest()
        assert client.comments >= 2
        assert text_of(events) == "alpha.0 alpha.1"
        assert done == "[DONE]"


async def test_an_engine_that_falls_silent_leaves_the_client_with_comments(
    journal: Journal,
) -> None:
    model = fake_model(fake_variant(journal, stall_at=2, times=1))
    async with running_gateway(journal, model, keepalive_interval=SOON) as gw:
        client = await (await gw.stream("alpha")).head()
        assert text_of([await client.data() for _ in range(3)]) == "alpha.0 alpha.1"
        for _ in range(3):
            await client.comment()
        client.leave()
        await journal.wait("aborted", tokens=2)
        assert (await gw.chat("beta")).status == 200


async def test_a_client_that_does_not_stream_gets_no_comments(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, load_seconds=0.2, prefill_seconds=0.2))
    async with running_gateway(journal, model, keepalive_interval=0.01) as gw:
        answer = await gw.chat("alpha")
        assert answer.text == "alpha.0 alpha.1 alpha.2 alpha.3"
        assert answer.body.startswith(b"{")


# -- failures after the response has begun ---------------------------------------------------


async def test_a_failed_start_is_an_event(journal: Journal) -> None:
    variant = fake_variant(journal, load_seconds=0.2, exit_code=3, exit_line="error: no such gguf")
    async with running_gateway(journal, fake_model(variant), keepalive_interval=SOON) as gw:
        client = await (await gw.stream()).head()
        assert client.status == 200
        await client.comment()
        message = await failed(client, "engine_start_failed")
        assert "exit status 3" in message
        assert "error: no such gguf" in message


async def test_a_crash_in_the_middle_is_an_event(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, die_at=3, times=1))
    async with running_gateway(journal, model) as gw:
        client = await (await gw.stream("alpha", max_tokens=8)).head()
        events = [await client.data() for _ in range(4)]
        assert text_of(events) == "alpha.0 alpha.1 alpha.2"
        await failed(client, "engine_broke")
        # Nothing of it was tried again: the client has seen a beginning.
        assert len(gw.engine_requests()) == 1
        assert (await gw.chat("beta")).text == "beta.0 beta.1 beta.2 beta.3"
        assert gw.starts() == [256, 256]


async def test_a_connection_closed_in_the_middle_is_an_event(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, close_at=2, times=1))
    async with running_gateway(journal, model) as gw:
        client = await (await gw.stream("alpha")).head()
        assert text_of([await client.data() for _ in range(3)]) == "alpha.0 alpha.1"
        await failed(client, "engine_broke")
        assert (await gw.chat("beta")).status == 200
        assert gw.starts() == [256], "the engine lives and serves on"


async def test_an_error_event_of_the_engine_is_passed_on(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, error_at=2, times=1))
    async with running_gateway(journal, model) as gw:
        client = await (await gw.stream("alpha")).head()
        *events, error = await client.rest()
        assert text_of(events) == "alpha.0 alpha.1"
        assert error == {"error": {"code": 500, "message": "fake failure", "type": "server_error"}}


async def test_an_error_page_after_the_beginning_is_an_event(journal: Journal) -> None:
    """The client gets JSON, although the engine's error page is none."""
    variant = fake_variant(journal, load_seconds=0.2, status=500)
    async with running_gateway(journal, fake_model(variant), keepalive_interval=SOON) as gw:
        client = await (await gw.stream()).head()
        await client.comment()
        message = await failed(client, "engine_error")
        assert "500" in message
        assert "Oops" in message


async def test_a_json_error_after_the_beginning_keeps_its_words(journal: Journal) -> None:
    body = '{"error":{"code":400,"message":"bad grammar","type":"invalid_request_error"}}'
    variant = fake_variant(journal, load_seconds=0.2, status=400, body=body)
    async with running_gateway(journal, fake_model(variant), keepalive_interval=SOON) as gw:
        client = await (await gw.stream()).head()
        await client.comment()
        [error] = await client.rest()
        assert error["error"]["message"] == "bad grammar"
        assert await client.closed()


# -- failures before it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "stream"), [("request", False), ("request", True), ("headers", True)]
)
async def test_a_crash_before_the_first_byte_is_retried_unseen(
    journal: Journal, moment: str, *, stream: bool
) -> None:
    model = fake_model(fake_variant(journal, die_at=moment, times=1))
    async with running_gateway(journal, model) as gw:
        if stream:
            client = await (await gw.stream("alpha")).head()
            assert client.status == 200
            *events, done = await client.rest()
            assert text_of(events) == "alpha.0 alpha.1 alpha.2 alpha.3"
            assert done == "[DONE]"
        else:
            assert (await gw.chat("alpha")).text == "alpha.0 alpha.1 alpha.2 alpha.3"
        assert gw.starts() == [256, 256]
        assert len(gw.engine_requests()) == 2


async def test_a_connection_closed_before_the_first_byte_is_retried_unseen(
    journal: Journal,
) -> None:
    model = fake_model(fake_variant(journal, close_at="request", times=1))
    async with running_gateway(journal, model) as gw:
        assert (await gw.chat("alpha")).text == "alpha.0 alpha.1 alpha.2 alpha.3"
        assert gw.starts() == [256], "the engine lives: it is asked again, not started again"
        assert len(gw.engine_requests()) == 2


async def test_a_second_crash_before_the_first_byte_is_told(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, die_at="request", die_code=7))
    async with running_gateway(journal, model) as gw:
        message = (await gw.chat()).error(502, "engine_unreachable")["message"]
        assert "m@256" in message
        assert "model loaded" in message, "the last line of its log"
        assert gw.starts() == [256, 256]


async def test_a_second_crash_after_a_comment_is_an_event(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, load_seconds=0.2, die_at="request"))
    async with running_gateway(journal, model, keepalive_interval=SOON) as gw:
        client = await (await gw.stream()).head()
        await client.comment()
        await failed(client, "engine_unreachable")
        assert gw.starts() == [256, 256]


async def test_a_stream_that_began_before_the_decision_changed_is_told_of_it(
    journal: Journal,
) -> None:
    lying = fake_variant(journal, 256, real_ctx=8, load_seconds=0.3)
    model = fake_model(lying, fake_variant(journal, 512))
    async with running_gateway(journal, model, keepalive_interval=SOON) as gw:
        client = await (await gw.stream("a b c d e f g h i j", max_tokens=3)).head()
        assert "x-gateway-variant" not in client.headers, "the headers left before the load"
        told = []
        while (event := await client.event()) is not None and event.startswith(":"):
            told.append(event)
        assert ": X-Gateway-Variant: m@512\n: X-Gateway-Prompt-Tokens: 14; source=engine" in told
        assert event is not None
        assert event.startswith("data: "), "the answer comes after it"
        assert (await client.rest())[-1] == "[DONE]"
