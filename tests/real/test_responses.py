"""The Responses API with OpenAI's own library for Python, on real engines."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Literal

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from raw_client import PATIENCE
from real_engines import ONE, Gateway
from sdk_gateway import CITIES, PARAMETERS, sdk_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": PARAMETERS,
    "strict": True,
}
QUESTION = "What is the weather in Paris?"
# Its answers end by themselves.
STOPPED: Any = {"model": "smol", "input": "Say hello to all the animals."}
# Its answers end at their limit.
ASKED: Any = {**STOPPED, "max_output_tokens": 24, "extra_body": {"ignore_eos": True}}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    sunny: bool


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    with sdk_gateway(tmp_path_factory.mktemp("responses"), request.param) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def until_over(api: openai.OpenAI, key: str) -> Response:
    deadline = time.monotonic() + PATIENCE
    while (response := api.responses.retrieve(key)).status in {"queued", "in_progress"}:
        assert time.monotonic() < deadline, "it did not happen in time"
    return response


def test_every_event_is_one_of_the_api(api: openai.OpenAI) -> None:
    with api.responses.with_streaming_response.create(**ASKED, stream=True) as raw:
        lines = [line for line in raw.iter_lines() if line.startswith("data: ")]
    events = [EVENT.validate_json(line.removeprefix("data: ")) for line in lines]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    assert events[-1].response.usage.output_tokens == ASKED["max_output_tokens"]


def test_the_stream_helper_passes(api: openai.OpenAI) -> None:
    with api.responses.stream(**STOPPED) as stream:
        said = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.output_text == said


def test_the_text_of_a_custom_tool_keeps_to_its_expression(api: openai.OpenAI) -> None:
    form: Any = {"type": "grammar", "syntax": "regex", "definition": r"\d{4}-\d{2}(?:!|\?)"}
    tool: Any = {"type": "custom", "name": "remember", "format": form}
    asked: Any = {"model": "caller", "input": QUESTION, "max_output_tokens": 96}
    answer = api.responses.create(**asked, tools=[tool], tool_choice="required")
    [call] = [item for item in answer.output if item.type == "custom_tool_call"]
    assert re.fullmatch(form["definition"], call.input)


def test_a_schema_is_obeyed(api: openai.OpenAI) -> None:
    parsed = api.responses.parse(model="smol", input=QUESTION, text_format=Weather)
    assert parsed.output_parsed is not None
    assert parsed.output_parsed.city in CITIES
    with api.responses.stream(model="smol", input=QUESTION, text_format=Weather) as stream:
        assert stream.get_final_response().output_parsed is not None
    made = api.responses.create(
        model="smol",
        input=QUESTION,
        text={"format": {"type": "json_object"}},
        max_output_tokens=400,
    )
    if made.status == "completed":
        json.loads(made.output_text)


def test_tokens_are_counted(api: openai.OpenAI) -> None:
    made = api.responses.create(**ASKED)
    counted = api.responses.input_tokens.count(model="smol", input=ASKED["input"])
    assert made.usage is not None
    assert counted.input_tokens == made.usage.input_tokens


def test_a_tool_is_called_and_its_result_answered(api: openai.OpenAI) -> None:
    asked: Any = {"model": "caller", "input": QUESTION, "tools": [TOOL]}
    chosen: Any = {"type": "function", "name": "weather"}
    for_one = api.responses.create(**asked, tool_choice=chosen, max_output_tokens=96)
    called = api.responses.create(**asked, tool_choice="required", max_output_tokens=96)
    for output in (for_one.output, called.output):
        [call] = output
        assert call.type == "function_call"
        assert json.loads(call.arguments)["city"] in CITIES
    [call] = called.output
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    after = api.responses.create(
        model="smol", previous_response_id=called.id, input=[result], max_output_tokens=8
    )
    assert after.output_text
    with api.responses.stream(**asked, tool_choice="required", max_output_tokens=96) as stream:
        final = stream.get_final_response()
    [streamed] = final.output
    assert streamed.type == "function_call"
    assert json.loads(streamed.arguments)["city"] in CITIES


def test_log_probabilities_are_included(api: openai.OpenAI) -> None:
    made = api.responses.create(**ASKED, include=["message.output_text.logprobs"], top_logprobs=2)
    [message] = made.output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert len(part.logprobs) == ASKED["max_output_tokens"]
    assert len(part.logprobs[0].top_logprobs) == 2


def test_a_later_turn_reads_only_what_is_new(api: openai.OpenAI) -> None:
    turn = api.responses.create(**ASKED, instructions="Be brief.")
    for _ in range(2):
        before = turn.usage
        turn = api.responses.create(
            model="smol",
            input="And then?",
            previous_response_id=turn.id,
            instructions="Be brief.",
            max_output_tokens=24,
        )
        assert before is not None
        assert turn.usage is not None
        # The last token of an answer is not in the cache, and neither is what ends it.
        assert turn.usage.input_tokens_details.cached_tokens >= before.total_tokens - 2


def test_a_conversation_goes_on(api: openai.OpenAI) -> None:
    talk = api.conversations.create(metadata={"about": "animals"})
    first = api.responses.create(**ASKED, conversation=talk.id)
    second = api.responses.create(**{**ASKED, "input": "And then?"}, conversation=talk.id)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.total_tokens
    assert second.usage.input_tokens_details.cached_tokens >= first.usage.total_tokens - 2
    items = list(api.conversations.items.list(talk.id, order="asc", limit=3))
    assert [item.type for item in items] == ["message"] * 4
    found = api.conversations.items.retrieve(items[0].id or "", conversation_id=talk.id)
    assert found == items[0]
    api.conversations.items.delete(items[0].id or "", conversation_id=talk.id)
    api.conversations.items.create(talk.id, items=[{"role": "user", "content": "Hello"}])
    assert api.conversations.update(talk.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert api.conversations.retrieve(talk.id).id == talk.id
    assert api.conversations.delete(talk.id).deleted
    with pytest.raises(openai.NotFoundError):
        api.conversations.retrieve(talk.id)


def test_a_response_is_read_and_deleted(api: openai.OpenAI) -> None:
    made = api.responses.create(**ASKED)
    assert api.responses.retrieve(made.id) == made
    [item] = api.responses.input_items.list(made.id)
    assert item.type == "message"
    api.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        api.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as unknown:
        api.responses.create(**ASKED, previous_response_id=made.id)
    assert unknown.value.code == "previous_response_not_found"


def test_a_response_in_the_background(api: openai.OpenAI) -> None:
    queued = api.responses.create(**ASKED, background=True)
    assert queued.status in {"queued", "in_progress"}
    done = until_over(api, queued.id)
    assert done.status == "incomplete"
    assert done.output_text
    endless: Any = {**ASKED, "max_output_tokens": 16000}
    stream = api.responses.create(**endless, background=True, stream=True)
    first = [next(stream) for _ in range(6)]
    stream.close()
    [created, *_] = first
    assert created.type == "response.created"
    key = created.response.id
    again = api.responses.retrieve(key, stream=True, starting_after=first[-1].sequence_number)
    following = next(again)
    assert following.sequence_number == first[-1].sequence_number + 1
    cancelled = api.responses.cancel(key)
    assert cancelled.status == "cancelled"
    *_, last = again
    assert last.type == "response.incomplete"
    assert last.response == cancelled


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0].type"),
        ({"prompt": {"id": "p"}}, "prompt"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    api: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        api.responses.create(**ASKED, **fields)
    assert refused.value.param == param


def test_too_long_has_its_code(api: openai.OpenAI) -> None:
    asked: Any = {**ASKED, "input": "the quick brown fox " * 5000}
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as long:
            api.responses.create(**asked, stream=stream)
        assert long.value.code == "context_length_exceeded"
