"""Anthropic's library for Python."""

from __future__ import annotations

from typing import Any

import anthropic
from pydantic import BaseModel
from zoo_client import (
    CALLER,
    ENDLESS,
    FUNCTION,
    GATEWAY,
    HELLO,
    MODEL,
    QUESTION,
    SCHEMA,
    STORY,
    TOO_LONG,
    UNKNOWN,
    check,
    is_city,
    main,
    too_long,
    unknown,
    until_idle,
)

api = anthropic.Anthropic(base_url=GATEWAY, api_key="none")
TOOL: Any = {
    "name": FUNCTION["name"],
    "description": FUNCTION["description"],
    "input_schema": SCHEMA,
}


class Place(BaseModel):
    city: str


@check("list")
def listed() -> None:
    models = {model.id: model for model in api.models.list()}
    assert models[MODEL].type == "model"
    assert models[MODEL].display_name
    assert api.models.retrieve(MODEL).id == MODEL


@check("whole")
def whole() -> None:
    answer = api.messages.create(model=MODEL, max_tokens=8, messages=HELLO)
    assert answer.content[0].text
    assert answer.stop_reason in {"end_turn", "max_tokens"}
    assert api.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens


@check("stream")
def stream() -> None:
    with api.messages.stream(model=MODEL, max_tokens=16, messages=HELLO) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    assert final.content[0].text == text != ""


@check("tools")
def tools() -> None:
    more: Any = {"model": CALLER, "max_tokens": 96, "messages": QUESTION, "tools": [TOOL]}
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        answer = api.messages.create(tool_choice=choice, **more)
        assert answer.stop_reason == "tool_use"
        [call] = [block for block in answer.content if block.type == "tool_use"]
        is_city(call.input)
        with api.messages.stream(tool_choice=choice, **more) as events:
            final = events.get_final_message()
        [call] = [block for block in final.content if block.type == "tool_use"]
        is_city(call.input)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
        told = [
            *QUESTION,
            {"role": "assistant", "content": final.content},
            {"role": "user", "content": [result]},
        ]
        after = api.messages.create(model=MODEL, max_tokens=8, messages=told, tools=[TOOL])
        assert after.usage.output_tokens


@check("structured")
def structured() -> None:
    answer = api.messages.parse(model=CALLER, max_tokens=64, messages=QUESTION, output_format=Place)
    assert answer.parsed_output


@check("too long")
def long() -> None:
    with too_long(anthropic.BadRequestError):
        api.messages.create(model=MODEL, max_tokens=8, messages=TOO_LONG)
    with (
        too_long(anthropic.BadRequestError),
        api.messages.stream(model=MODEL, max_tokens=8, messages=TOO_LONG) as events,
    ):
        events.until_done()


@check("unknown model")
def strange() -> None:
    with unknown(anthropic.NotFoundError):
        api.messages.create(model=UNKNOWN, max_tokens=8, messages=HELLO)


@check("cancel")
def cancel() -> None:
    story = [{"role": "user", "content": STORY}]
    with api.messages.stream(model=ENDLESS, max_tokens=3000, messages=story) as events:
        next(iter(events))
    until_idle()


main()
