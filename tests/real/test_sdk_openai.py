"""OpenAI's own library for Python on real engines: all that it offers and a gateway answers."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from real_engines import ONE, Gateway
from sdk_gateway import (
    CITIES,
    CONTEXT,
    ENDLESS,
    HELLO,
    QUESTION,
    TOO_LONG,
    TOOL,
    holding,
    sdk_gateway,
    until_idle,
    until_waiting,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    with sdk_gateway(tmp_path_factory.mktemp("openai"), request.param) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_api(served: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key="none", max_retries=0
    ) as client:
        yield client


def test_chat(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(model="tiny", messages=HELLO, max_completion_tokens=8)
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.model == "smol"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_stream(api: openai.OpenAI) -> None:
    stream = api.chat.completions.create(
        model="smol",
        messages=HELLO,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    *chunks, last = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == 8


def test_chat_stream_helper(api: openai.OpenAI) -> None:
    # The helper takes an answer that was cut short for an error: this one ends by itself.
    with api.chat.completions.stream(model="smol", messages=HELLO, max_tokens=100) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    deltas = "".join(event.delta for event in events if event.type == "content.delta")
    assert (final.choices[0].message.content or "") == deltas
    assert final.choices[0].finish_reason == "stop"


def test_text_completion(api: openai.OpenAI) -> None:
    whole = api.completions.create(model="smol", prompt="Once upon a", max_tokens=4)
    assert whole.choices[0].text
    stream = api.completions.create(model="smol", prompt="Once upon a", max_tokens=4, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream)


def test_a_tool_is_called_and_its_result_answered(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(
        model="caller", messages=QUESTION, tools=[TOOL], tool_choice="required", max_tokens=96
    )
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in CITIES
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    told: Any = [*QUESTION, message.model_dump(exclude_none=True), result]
    after = api.chat.completions.create(model="smol", messages=told, max_tokens=8)
    assert after.choices[0].message.content


def test_a_tool_call_in_a_stream(api: openai.OpenAI) -> None:
    stream = api.chat.completions.create(
        model="caller",
        messages=QUESTION,
        tools=[TOOL],
        tool_choice="required",
        max_tokens=96,
        stream=True,
    )
    name = arguments = ""
    for chunk in stream:
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            assert call.function is not None
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    assert name == "weather"
    assert json.loads(arguments)["city"] in CITIES


def test_several_answers(api: openai.OpenAI) -> None:
    # Each engine has one slot.
    whole = api.chat.completions.create(
        model="smol", messages=HELLO, n=3, max_tokens=4, temperature=1.5, seed=1
    )
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.choices}) > 1
    assert whole.usage is not None
    assert 3 < whole.usage.completion_tokens <= 12
    with api.chat.completions.stream(
        model="smol",
        messages=HELLO,
        n=2,
        max_tokens=4,
        stream_options={"include_usage": True},
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert [choice.index for choice in final.choices] == [0, 1]
    assert all(choice.message.role == "assistant" for choice in final.choices)
    assert final.usage is not None
    assert 2 < final.usage.completion_tokens <= 8


def test_embeddings(api: openai.OpenAI) -> None:
    # The library asks for base64 unless told otherwise, and decodes it.
    packed = api.embeddings.create(model="embed", input=["Hello", "world"])
    plain = api.embeddings.create(model="embed", input=["Hello"], encoding_format="float")
    assert [each.index for each in packed.data] == [0, 1]
    assert len(packed.data[0].embedding) == len(plain.data[0].embedding) > 16
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-3)
    assert packed.usage.prompt_tokens > 0


def test_models(api: openai.OpenAI) -> None:
    listed = {model.id: model for model in api.models.list()}
    assert listed.keys() == {"smol", "tiny", "caller", "embed"}
    assert (listed["smol"].model_extra or {})["context_length"] == CONTEXT
    assert (api.models.retrieve("tiny").model_extra or {})["alias_of"] == "smol"
    with pytest.raises(openai.NotFoundError):
        api.models.retrieve("gpt-9")


def test_errors_have_their_classes(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        api.chat.completions.create(model="gpt-9", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as long:
            api.chat.completions.create(model="smol", messages=TOO_LONG, stream=stream)
        assert long.value.code == "context_length_exceeded"
        assert str(CONTEXT) in long.value.message
    with pytest.raises(openai.BadRequestError) as incapable:
        api.embeddings.create(model="smol", input="Hello")
    assert incapable.value.code == "capability_missing"


def test_a_full_queue_is_a_rate_limit(served: Gateway, api: openai.OpenAI) -> None:
    ask = api.chat.completions.create
    with ThreadPoolExecutor(1) as thread, holding(served):
        second = thread.submit(ask, model="smol", messages=HELLO, max_tokens=4)
        until_waiting(served, 1)
        with pytest.raises(openai.RateLimitError) as full:
            ask(model="smol", messages=HELLO, max_tokens=4)
        assert full.value.code == "queue_full"
        assert int(full.value.response.headers["Retry-After"]) > 0
    assert second.result().choices[0].message.role == "assistant"


async def test_a_stream_that_is_closed_frees_the_engine(
    served: Gateway, async_api: openai.AsyncOpenAI
) -> None:
    stream = await async_api.chat.completions.create(
        model="smol", messages=HELLO, stream=True, **ENDLESS
    )
    await anext(aiter(stream))
    await stream.close()
    await asyncio.to_thread(until_idle, served)


async def test_async(async_api: openai.AsyncOpenAI) -> None:
    async def spoken() -> str:
        stream = await async_api.chat.completions.create(
            model="smol",
            messages=HELLO,
            max_tokens=8,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        return "".join(
            [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        )

    # Only one request may wait, and each loads a model if it is the first.
    await spoken()
    await async_api.embeddings.create(model="embed", input="Hello")
    text, vectors, listed = await asyncio.gather(
        spoken(),
        async_api.embeddings.create(model="embed", input="Hello"),
        async_api.models.list(),
    )
    assert text
    assert len(vectors.data) == 1
    assert len(listed.data) == 4
    with pytest.raises(openai.NotFoundError):
        await async_api.chat.completions.create(model="gpt-9", messages=HELLO)
