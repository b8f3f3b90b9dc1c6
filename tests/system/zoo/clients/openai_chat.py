"""OpenAI's library for Python, by its chat API."""

from __future__ import annotations

import openai
from pydantic import BaseModel
from zoo_client import (
    CALLER,
    ENDLESS,
    HELLO,
    MODEL,
    OPENAI,
    QUESTION,
    STORY,
    TOO_LONG,
    TOOL,
    UNKNOWN,
    check,
    is_city,
    main,
    too_long,
    unknown,
    until_idle,
)

api = openai.OpenAI(base_url=OPENAI, api_key="none")


class Place(BaseModel):
    city: str


@check("list")
def listed() -> None:
    assert MODEL in [model.id for model in api.models.list()]
    assert api.models.retrieve(MODEL).id == MODEL


@check("whole")
def whole() -> None:
    answer = api.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage


@check("stream")
def stream() -> None:
    # The helper takes an answer that a limit ended for an error, so this one ends by itself.
    with api.chat.completions.stream(
        model=MODEL, messages=HELLO, max_tokens=1900, stop=["e", "a", "o"]
    ) as events:
        deltas = "".join(event.delta for event in events if event.type == "content.delta")
        final = events.get_final_completion()
    assert (final.choices[0].message.content or "") == deltas
    *chunks, last = api.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert last.usage


@check("tools")
def tools() -> None:
    answer = api.chat.completions.create(
        model=CALLER, messages=QUESTION, tools=[TOOL], tool_choice="required", max_tokens=96
    )
    message = answer.choices[0].message
    assert message.tool_calls
    [call] = message.tool_calls
    assert call.type == "function"
    is_city(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    after = api.chat.completions.create(
        model=MODEL, messages=[*QUESTION, message, result], tools=[TOOL], max_tokens=8
    )
    assert after.choices[0].message.content


@check("structured")
def structured() -> None:
    answer = api.chat.completions.parse(
        model=CALLER, messages=QUESTION, response_format=Place, max_tokens=64
    )
    assert answer.choices[0].message.parsed


@check("too long")
def long() -> None:
    with too_long(openai.BadRequestError):
        api.chat.completions.create(model=MODEL, messages=TOO_LONG)
    with too_long(openai.BadRequestError):
        api.chat.completions.create(model=MODEL, messages=TOO_LONG, stream=True)


@check("unknown model")
def strange() -> None:
    with unknown(openai.NotFoundError):
        api.chat.completions.create(model=UNKNOWN, messages=HELLO)


@check("cancel")
def cancel() -> None:
    chunks = api.chat.completions.create(
        model=ENDLESS, messages=[{"role": "user", "content": STORY}], max_tokens=3000, stream=True
    )
    next(iter(chunks))
    chunks.close()
    until_idle()


main()
