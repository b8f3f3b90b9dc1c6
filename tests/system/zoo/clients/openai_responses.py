"""OpenAI's library for Python, by its Responses API."""

from __future__ import annotations

from typing import Any

import openai
from pydantic import BaseModel
from zoo_client import (
    CALLER,
    ENDLESS,
    FUNCTION,
    MODEL,
    OPENAI,
    STORY,
    TOO_LONG_TEXT,
    UNKNOWN,
    check,
    is_city,
    main,
    too_long,
    unknown,
    until_idle,
)

api = openai.OpenAI(base_url=OPENAI, api_key="none")
TOOL: Any = {"type": "function", **FUNCTION, "strict": True}
QUESTION = "What is the weather in Paris?"


class Place(BaseModel):
    city: str


@check("whole")
def whole() -> None:
    first = api.responses.create(model=MODEL, input="Hello", max_output_tokens=16)
    assert first.output_text
    assert api.responses.retrieve(first.id).output_text == first.output_text
    second = api.responses.create(
        model=MODEL, input="Once more.", max_output_tokens=16, previous_response_id=first.id
    )
    assert second.output_text
    assert second.usage
    assert first.usage
    assert second.usage.input_tokens > first.usage.input_tokens
    api.responses.delete(first.id)


@check("stream")
def stream() -> None:
    with api.responses.stream(model=MODEL, input="Hello", max_output_tokens=16) as events:
        seen = list(events)
        final = events.get_final_response()
    assert final.output_text
    assert seen[0].type == "response.created"
    numbers = [event.sequence_number for event in seen]
    assert numbers == list(range(len(seen)))


@check("tools")
def tools() -> None:
    first = api.responses.create(
        model=CALLER, input=QUESTION, tools=[TOOL], tool_choice="required", max_output_tokens=96
    )
    [call] = [item for item in first.output if item.type == "function_call"]
    is_city(call.arguments)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    after = api.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        input=[result],
        tools=[TOOL],
        max_output_tokens=16,
    )
    assert after.output_text
    with api.responses.stream(
        model=CALLER, input=QUESTION, tools=[TOOL], tool_choice="required", max_output_tokens=96
    ) as events:
        final = events.until_done().get_final_response()
    [call] = [item for item in final.output if item.type == "function_call"]
    is_city(call.arguments)


@check("structured")
def structured() -> None:
    answer = api.responses.parse(
        model=CALLER, input=QUESTION, text_format=Place, max_output_tokens=64
    )
    assert answer.output_parsed


@check("too long")
def long() -> None:
    with too_long(openai.BadRequestError):
        api.responses.create(model=MODEL, input=TOO_LONG_TEXT)
    with too_long(openai.BadRequestError):
        api.responses.create(model=MODEL, input=TOO_LONG_TEXT, stream=True)


@check("unknown model")
def strange() -> None:
    with unknown(openai.NotFoundError):
        api.responses.create(model=UNKNOWN, input="Hello")


@check("cancel")
def cancel() -> None:
    events = api.responses.create(model=ENDLESS, input=STORY, max_output_tokens=3000, stream=True)
    next(iter(events))
    events.close()
    until_idle()


main()
