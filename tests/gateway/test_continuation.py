"""Answers that fill their context, and go on in a larger variant or end as they were ended."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gateway import Gateway, fake_model, fake_variant, running_gateway, until
from gateway_client import CHAT, COMPLETIONS, Answer, checked_error
from growth_models import FIRST, LENGTH, PROMPT, WHOLE, growing
from raw_client import RawClient, post, text_of

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fake_engine import Journal
USAGE = {"stream_options": {"include_usage": True}}


def chat(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hello"}], **fields}


async def streamed(gw: Gateway, **fields: Any) -> RawClient:
    client = await gw.connect()
    body = chat(model="m", stream=True, **fields)
    await client.send(post(CHAT, json.dumps(body).encode()))
    return client


async def filled(gw: Gateway) -> RawClient:
    """Open a stream whose first engine is full and whose next one is starting."""
    client = await (await streamed(gw)).head()
    await gw.journal.wait("start", 2, who="llama-server")
    return client


async def unload(gw: Gateway) -> None:
    answer = await gw.post({"model": "m", "force": True}, "/admin/unload")
    assert answer.status == 200, answer.body


def ends_of(events: list[Any]) -> list[str]:
    choices = [event["choices"][0] for event in events if event != "[DONE]" and event["choices"]]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def ended_by_the_engine(answer: Answer) -> None:
    """Check that the answer is the smallest engine's, and says that its context was full."""
    assert answer.status == 200, answer.body
    assert answer.text == FIRST
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["usage"]["total_tokens"] == 128
    assert answer.headers["X-Gateway-Variant"] == "m@128"


# -- one answer --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefill", ["", "silent"])
@pytest.mark.parametrize("contexts", [(128, 512), (128, 256, 512)])
async def test_a_stream_is_one(journal: Journal, contexts: tuple[int, ...], prefill: str) -> None:
    async with running_gateway(journal, growing(journal, *contexts, prefill=prefill)) as gw:
        client = await (await streamed(gw, **USAGE)).head()
        *events, done = await client.rest()
        assert done == "[DONE]"
        assert text_of(events) == WHOLE
        assert len({event["id"] for event in events}) == 1
        assert ends_of(events) == ["stop"]
        deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
        assert [delta["role"] for delta in deltas if "role" in delta] == ["assistant"]
        (usage,) = [event["usage"] for event in events if "usage" in event]
        assert usage["prompt_tokens"] == PROMPT
        assert usage["completion_tokens"] == LENGTH
        assert usage["total_tokens"] == PROMPT + LENGTH
        assert gw.starts() == list(contexts)
        # The head had left; the new variant is told in a comment.
        assert client.headers["x-gateway-variant"] == "m@128"
        assert b": X-Gateway-Variant: m@512\n" in b"".join(client.chunks)


async def test_a_long_stream_is_one_too(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread reads it, so that other requests go on."""
    monkeypatch.setattr("inference.continuation.relay._READ_INLINE", 0)
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        *events, done = await (await (await streamed(gw)).head()).rest()
        assert (text_of(events), done) == (WHOLE, "[DONE]")
        assert gw.starts() == [128, 512]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, {"prompt": ["hello", "world"]}),
        (COMPLETIONS, {"prompt": "hello", "n": 2}),
        (COMPLETIONS, {"prompt": [1, 2, 3]}),
        (CHAT, chat(n=2)),
        (CHAT, chat(logprobs=True)),
    ],
)
async def test_what_cannot_go_on_is_not_held_back(
    journal: Journal, path: str, body: dict[str, Any]
) -> None:
    """The end of a first choice comes as it is written, and does not end the stream.

    The engine has a slot for each choice, and so gives them at once.
    """
    model = growing(journal, 128, 512, large={})
    small, large = (replace(variant, parallel=2) for variant in model.variants)
    slow = replace(small, env={**small.env, "FAKE_STALL_AT": "done"})
    async with running_gateway(journal, replace(model, variants=(slow, large))) as gw:
        client = await gw.connect()
        fields = {**body, "model": "m", "stream": True, "max_tokens": 3}
        await client.send(post(path, json.dumps(fields).encode()))
        await client.head()
        while (event := await client.data())["choices"][0]["finish_reason"] is None:
            pass
        assert event["choices"][0]["finish_reason"] == "length"
        client.leave()


async def test_a_stream_without_usage_tells_its_timings(journal: Journal) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        *events, _ = await (await (await streamed(gw)).head()).rest()
        assert not [event for event in events if "usage" in event]
        (timings,) = [event["timings"] for event in events if "timings" in event]
        assert (timings["prompt_n"], timings["predicted_n"]) == (PROMPT, LENGTH)


@pytest.mark.parametrize("prefill", ["", "silent"])
async def test_an_answer_in_one_piece_is_one(journal: Journal, prefill: str) -> None:
    model = growing(journal, 128, 256, 512, prefill=prefill)
    async with running_gateway(journal, model) as gw:
        answer = await gw.post(chat())
        assert answer.text == WHOLE
        assert answer.json["choices"][0]["finish_reason"] == "stop"
        assert answer.json["usage"]["prompt_tokens"] == PROMPT
        assert answer.json["usage"]["completion_tokens"] == LENGTH
        assert answer.headers["X-Gateway-Variant"] == "m@512"
        assert answer.headers["X-Gateway-Prompt-Tokens"].startswith("77;")
        assert gw.starts() == [128, 256, 512]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_text_completion_is_one(journal: Journal, stream: bool) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        body = {"prompt": "hello ", "stream": stream}
        answer = await gw.post(body, COMPLETIONS)
        if stream:
            said = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
            events = [json.loads(each) for each in said]
            text = "".join(event["choices"][0]["text"] for event in events)
            (usage,) = [event["usage"] for event in events if "usage" in event]
            assert ends_of(events) == ["stop"]
        else:
            text, usage = answer.json["choices"][0]["text"], answer.json["usage"]
        assert text == WHOLE
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1, LENGTH)


async def test_the_books_tell_of_the_whole(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        await gw.post(chat(stream=True))
        await gw.post(chat())
        assert caplog.text.count("an answer fills m@128; it goes on in m@512") == 1
        line = f"variant=m@512 prompt={PROMPT} completion={LENGTH} "
        await until(lambda: sum(line in each for each in caplog.messages) == 2)
        metrics = (await gw.request("GET", "/metrics")).body.decode()
        labels = 'model="m",variant="m@512"'
        assert f"llm_gateway_prompt_tokens_total{{{labels}}} {2 * PROMPT}.0" in metrics
        assert f"llm_gateway_completion_tokens_total{{{labels}}} {2 * LENGTH}.0" in metrics
        # The next of the conversation is sized by what was sent, not by what engines read again.
        said = [*chat()["messages"], {"role": "assistant", "content": "x"}]
        again = await gw.post(chat(messages=[*said, {"role": "user", "content": "y"}]))
        assert int(again.headers["X-Gateway-Prompt-Tokens"].split(";")[0]) < 2 * 77


async def test_an_answer_that_the_client_began_is_continued(journal: Journal) -> None:
    begun = [*chat()["messages"], {"role": "assistant", "content": "hello.0 hello.1"}]
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        answer = await gw.post(chat(messages=begun))
        assert answer.text == WHOLE
        assert answer.json["usage"]["prompt_tokens"] == PROMPT + 2
        assert gw.starts() == [128, 512]


# -- no continuation -----------------------------------------------------------------------------


async def test_a_limit_that_is_reached_is_the_end(journal: Journal) -> None:
    model = growing(journal, 128, 512)
    async with running_gateway(journal, model) as gw:
        # The smallest has room for these and no more.
        answer = await gw.post(chat(max_tokens=32))
        assert answer.json["usage"]["completion_tokens"] == 32
        body = chat(n_predict=-1, max_tokens=None)
        assert (await gw.post(body)).json["usage"]["completion_tokens"] == LENGTH
        assert gw.starts() == [128, 512]


@pytest.mark.parametrize(
    "field",
    [
        {"logprobs": True},
        {"stop": ["2 and more"]},
    ],
)
async def test_what_is_not_exact_ends(journal: Journal, field: dict[str, Any]) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        ended_by_the_engine(await gw.post(chat(**field)))
        assert gw.starts() == [128]


async def test_each_of_several_answers_grows(journal: Journal) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        choices = (await gw.post(chat(n=2))).json["choices"]
        assert [choice["message"]["content"] for choice in choices] == [WHOLE, WHOLE]
        assert gw.starts() == [128, 512]


async def test_it_can_be_turned_off(journal: Journal) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, grow_answers=False)) as gw:
        ended_by_the_engine(await gw.post(chat()))
        *events, _ = await (await (await streamed(gw)).head()).rest()
        assert text_of(events) == FIRST
        assert gw.starts() == [128]


async def test_conversations_that_can_be_read_again_do_not_grow(journal: Journal) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        headers = {"X-Conversation-Id": "c"}
        answer = await gw.post(chat(stream=True), headers=headers)
        assert b'"finish_reason":"length"' in answer.body
        assert gw.starts() == [128]


@pytest.mark.parametrize("prefill", ["refuse", "anew"])
async def test_a_template_that_takes_no_beginning_starts_nothing(
    journal: Journal, prefill: str
) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, prefill=prefill)) as gw:
        ended_by_the_engine(await gw.post(chat()))
        assert gw.starts() == [128]


# -- the larger one fails ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        {"exit_code": 3},
        {"prefill": "refuse"},
        {"prefill": "similar"},
        {"status": 500},
        {"die_at": "request"},
        {"die_at": "headers"},
    ],
    ids=lambda faults: "-".join(map(str, *faults.items())),
)
async def test_the_engines_own_end_stands(journal: Journal, faults: Mapping[str, Any]) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, large=faults)) as gw:
        client = await (await streamed(gw, **USAGE)).head()
        *events, done = await client.rest()
        assert done == "[DONE]"
        assert text_of(events) == FIRST
        assert ends_of(events) == ["length"]
        (usage,) = [event["usage"] for event in events if "usage" in event]
        assert usage["total_tokens"] == 128
        assert b"m@512" not in b"".join(client.chunks)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_answers_anew_is_not_tried_again(
    journal: Journal, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    def said(answer: Answer) -> str:
        return answer.body.decode().replace('\\"', "") if stream else answer.text

    model = growing(journal, 128, 512, large={"prefill": "similar"})
    async with running_gateway(journal, model) as gw:
        for starts in ([128, 512], [128, 512, 128], [128, 512, 128]):
            assert said(await gw.post(chat(stream=stream))).count("hello.122") == 1
            assert gw.starts() == starts
            # Or the larger one would answer the next.
            if len(starts) == 2:
                await unload(gw)
        told = [each for each in caplog.messages if "answers anew" in each]
        assert len(told) == 1
        # What puts no template between the words and the model grows as before.
        answer = await gw.post({"prompt": "hello "}, COMPLETIONS)
        assert answer.json["choices"][0]["text"] == WHOLE
        await unload(gw)
        # Defined otherwise, it is tried once more.
        other = growing(journal, 128, 640, large={"prefill": "similar"})
        gw.following.catalog = type(gw.following.catalog)((other,))
        await gw.request("POST", "/admin/config/reload")
        await gw.post(chat(stream=stream))
        assert gw.starts()[-2:] == [128, 640]
        told = [each for each in caplog.messages if "answers anew" in each]
        assert len(told) == 2


@pytest.mark.parametrize(
    "faults", [{"exit_code": 3}, {"prefill": "refuse"}, {"prefill": "similar"}, {"status": 500}]
)
async def test_also_of_an_answer_in_one_piece(journal: Journal, faults: Mapping[str, Any]) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, large=faults)) as gw:
        ended_by_the_engine(await gw.post(chat()))


async def test_what_an_engine_says_against_a_request_is_logged_at_debug_level_alone(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    # It may quote what the client wrote.
    words = {"status": 500, "body": "cannot read 'my secret'"}
    async with running_gateway(journal, growing(journal, 128, 512, large=words)) as gw:
        ended_by_the_engine(await gw.post(chat()))
    told = [each.levelname for each in caplog.records if "my secret" in each.getMessage()]
    assert told == ["DEBUG"]
    assert "cannot grow: the larger engine answered 500" in caplog.text


async def test_an_engine_that_dies_in_its_part_is_told(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running_gateway(journal, growing(journal, 128, 512, large={"die_at": 7})) as gw:
        client = await (await streamed(gw)).head()
        *before, last = await client.rest()
        assert text_of(before) == " ".join(f"hello.{i}" for i in range(128 - PROMPT + 7))
        error = checked_error(last)
        assert error["code"] == "engine_broke"
        assert "m@512" in error["message"]
        assert not ends_of(before)
        await until(lambda: any("EngineBroke" in each for each in caplog.messages))
        (line,) = [each for each in caplog.messages if "EngineBroke" in each]
        assert "variant=m@512" in line


# -- the gap -------------------------------------------------------------------------------------


async def test_it_is_not_silent(journal: Journal) -> None:
    model = growing(journal, 128, 512, large={"load_seconds": 0.5})
    async with running_gateway(journal, model, keepalive_interval=0.05) as gw:
        client = await (await streamed(gw)).head()
        *events, _ = await client.rest()
        assert text_of(events) == WHOLE
        assert b": keep-alive, loading m@512" in b"".join(client.chunks)


async def test_a_client_that_leaves_during_it_leaves_nothing(journal: Journal) -> None:
    model = growing(journal, 128, 512, large={"load_seconds": 0.5})
    async with running_gateway(journal, model) as gw:
        client = await filled(gw)
        client.leave()
        await until(lambda: not gw.manager.waiting())
        # The start goes on, and the next finds it.
        await gw.until_state(State.READY, 512)
        assert (await gw.post(chat(max_tokens=4))).status == 200
        assert len(gw.engine_requests()) == 2


async def test_the_status_shows_the_engine_that_writes(journal: Journal) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, large={"stall_at": 7})) as gw:
        client = await filled(gw)
        await journal.wait("fault", fault="stall")
        (request,) = (await gw.request("GET", "/running")).json["requests"]
        assert (request["variant"], request["state"]) == ("m@512", "streaming")
        client.leave()


async def test_a_client_is_told_of_a_cancelled_continuation(journal: Journal) -> None:
    model = growing(journal, 128, 512, large={"load_seconds": 0.5})
    async with running_gateway(journal, model) as gw:
        client = await filled(gw)
        running = (await gw.request("GET", "/running")).json
        (request,) = running["requests"]
        assert request["tokens"] >= 1
        answer = await gw.request("DELETE", f"/admin/requests/{request['id']}")
        assert answer.status == 200
        *before, last = await client.rest()
        assert text_of(before) == FIRST
        assert checked_error(last)["code"] == "request_cancelled"


async def test_others_that_wait_get_their_turn(journal: Journal) -> None:
    other = fake_model(fake_variant(journal, model="other"))
    async with running_gateway(journal, growing(journal, 128, 512), other) as gw:
        first = await streamed(gw)
        second = await gw.stream("beta", model="other")
        third = await streamed(gw)
        for client in (first, third):
            *events, _ = await (await client.head()).rest()
            assert text_of(events) == WHOLE
        *events, _ = await (await second.head()).rest()
        assert text_of(events) == "beta.0 beta.1 beta.2 beta.3"


async def test_without_the_larger_variant_any_more_it_ends(journal: Journal) -> None:
    large = {"load_seconds": 0.5}
    model = growing(journal, 128, 512, large=large)
    async with running_gateway(journal, model) as gw:
        client = await filled(gw)
        gw.following.catalog = type(gw.following.catalog)((fake_model(model.variants[0]),))
        answer = await gw.request("POST", "/admin/config/reload")
        assert answer.status == 200, answer.body
        *events, done = await client.rest()
        assert done == "[DONE]"
        assert text_of(events) == FIRST
        assert ends_of(events) == ["length"]


# -- ahead of the need -----------------------------------------------------------------------------


async def test_the_next_turn_finds_the_larger_variant_loaded(journal: Journal) -> None:
    model = growing(journal, 128, 512, grow_ahead=True)
    async with running_gateway(journal, model) as gw:
        # 85 % of 128 are 109.
        assert (await gw.post(chat(max_tokens=50))).status == 200
        said = {"role": "user", "content": " ".join(["w"] * 96)}
        answer = await gw.post(chat(messages=[said], max_tokens=8))
        assert answer.json["usage"]["total_tokens"] == 108
        assert gw.starts() == [128]
        said["content"] += " w"
        answer = await gw.post(chat(messages=[said], max_tokens=8))
        assert answer.headers["X-Gateway-Variant"] == "m@128"
        await gw.until_state(State.READY, 512)
        assert gw.starts() == [128, 512]
