"""Anthropic's own library for Python on real engines, through ``/v1/messages``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from later import Later
from real_engines import ONE, Gateway
from sdk_gateway import (
    CITIES,
    CONTEXT,
    HELLO,
    PARAMETERS,
    QUESTION,
    TOO_LONG,
    holding,
    sdk_gateway,
    until_idle,
    until_waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anthropic
else:
    anthropic = Later("anthropic")

PLEASE: Any = [{"type": "text", "text": "Sum it up."}]
TOOL: Any = {"name": "weather", "description": "Tells the weather.", "input_schema": PARAMETERS}


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    with sdk_gateway(tmp_path_factory.mktemp("anthropic"), request.param) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[anthropic.Anthropic]:
    # Its paths begin with /v1 themselves.
    with anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as client:
        yield client


def test_message(api: anthropic.Anthropic) -> None:
    answer = api.messages.create(model="tiny", max_tokens=8, system="Be brief.", messages=HELLO)
    [block] = answer.content
    assert block.type == "text"
    assert block.text
    assert answer.role == "assistant"
    assert answer.stop_reason in {"end_turn", "max_tokens"}
    assert 0 < answer.usage.output_tokens <= 8


def test_stream(api: anthropic.Anthropic) -> None:
    with api.messages.stream(model="smol", max_tokens=16, messages=HELLO) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    [block] = final.content
    assert block.type == "text"
    assert block.text == "".join(texts)
    assert 0 < final.usage.output_tokens <= 16
    assert final.stop_reason in {"end_turn", "max_tokens"}


def test_count_tokens(api: anthropic.Anthropic) -> None:
    counted = api.messages.count_tokens(model="smol", system="Be brief.", messages=HELLO)
    answer = api.messages.create(model="smol", max_tokens=1, system="Be brief.", messages=HELLO)
    usage = answer.usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def asked(city: str) -> list[Any]:
    """A user's question, the call of the tool that answers it, and what came of it."""
    call = {"type": "tool_use", "id": f"call_{city}", "name": "weather", "input": {"city": city}}
    result = {"type": "tool_result", "tool_use_id": f"call_{city}", "content": "Sunny."}
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]


def test_a_tool_is_called_and_its_result_answered(api: anthropic.Anthropic) -> None:
    answer = api.messages.create(
        model="caller",
        max_tokens=96,
        messages=QUESTION,
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert answer.stop_reason == "tool_use"
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert call.input["city"] in CITIES
    after = api.messages.create(model="smol", max_tokens=8, messages=asked("Paris"))
    assert after.usage.output_tokens > 0


def test_a_tool_is_forced(api: anthropic.Anthropic) -> None:
    other: Any = {**TOOL, "name": "other"}
    asked_for: Any = {"model": "caller", "max_tokens": 96, "messages": QUESTION}
    answer = api.messages.create(
        **asked_for, tools=[other, TOOL], tool_choice={"type": "tool", "name": "weather"}
    )
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert call.name == "weather"
    with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
        api.messages.create(**asked_for, tools=[TOOL], tool_choice={"type": "tool", "name": "x"})


def test_a_stop_sequence_is_the_reason(api: anthropic.Anthropic) -> None:
    ask: Any = {"model": "smol", "max_tokens": 32, "messages": HELLO}
    text = api.messages.create(**ask).content[0].text
    stop = text[3]
    whole = api.messages.create(**ask, stop_sequences=[stop])
    with api.messages.stream(**ask, stop_sequences=[stop]) as stream:
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", stop)


def test_a_document_is_read_as_text(api: anthropic.Anthropic) -> None:
    def sized(*words: str) -> int:
        source = {"type": "text", "media_type": "text/plain", "data": " ".join(words)}
        content: Any = [{"type": "document", "source": source, "title": "Notes"}, *PLEASE]
        said: Any = [{"role": "user", "content": content}]
        answer = api.messages.create(model="smol", max_tokens=1, messages=said)
        counted = api.messages.count_tokens(model="smol", messages=said).input_tokens
        usage = answer.usage
        assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)
        return counted

    assert sized(*["word"] * 40) - sized(*["word"] * 10) == 30


def test_models(api: anthropic.Anthropic) -> None:
    listed = {model.id: model for model in api.models.list(limit=2)}
    assert listed.keys() == {"smol", "tiny", "caller", "embed"}
    assert listed["smol"].max_input_tokens == CONTEXT
    assert api.models.retrieve("tiny").display_name == "tiny"
    with pytest.raises(anthropic.NotFoundError):
        api.models.retrieve("claude-9")


def test_errors_have_their_classes_and_their_shape(api: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        api.messages.create(model="claude-9", max_tokens=4, messages=HELLO)
    assert unknown.value.type == "not_found_error"
    with pytest.raises(anthropic.BadRequestError) as long:
        api.messages.create(model="smol", max_tokens=4, messages=TOO_LONG)
    assert long.value.type == "invalid_request_error"
    assert "prompt is too long" in str(long.value)
    with (
        pytest.raises(anthropic.BadRequestError),
        api.messages.stream(model="smol", max_tokens=4, messages=TOO_LONG) as stream,
    ):
        stream.until_done()


def test_a_full_queue_is_a_rate_limit(served: Gateway, api: anthropic.Anthropic) -> None:
    ask = api.messages.create
    with ThreadPoolExecutor(1) as thread, holding(served):
        second = thread.submit(ask, model="smol", max_tokens=4, messages=HELLO)
        until_waiting(served, 1)
        with pytest.raises(anthropic.RateLimitError) as full:
            ask(model="smol", max_tokens=4, messages=HELLO)
        assert full.value.type == "rate_limit_error"
    assert second.result().usage.output_tokens > 0


def test_a_stream_that_is_left_frees_the_engine(served: Gateway, api: anthropic.Anthropic) -> None:
    with api.messages.stream(model="smol", max_tokens=16000, messages=HELLO) as stream:
        next(iter(stream))
    until_idle(served)


async def test_async(served: Gateway) -> None:
    async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none", max_retries=0) as api:
        whole = await api.messages.create(model="smol", max_tokens=4, messages=HELLO)
        assert whole.usage.output_tokens > 0
        async with api.messages.stream(model="smol", max_tokens=4, messages=HELLO) as stream:
            texts = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
        assert final.usage.output_tokens >= len([text for text in texts if text])
        with pytest.raises(anthropic.NotFoundError):
            await api.messages.create(model="claude-9", max_tokens=4, messages=HELLO)
