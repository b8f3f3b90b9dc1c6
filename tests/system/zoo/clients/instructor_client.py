"""Instructor, on OpenAI's library."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import instructor
import openai
from pydantic import BaseModel, Field
from zoo_client import (
    CALLER,
    ENDLESS,
    MODEL,
    OPENAI,
    QUESTION,
    TOO_LONG,
    UNKNOWN,
    check,
    main,
    too_long,
    unknown,
    until_active,
    until_idle,
)


class Place(BaseModel):
    """A city."""

    city: Literal["Paris", "Rome"]


class Walk(BaseModel):
    """Many steps."""

    steps: Annotated[list[Literal["left", "right"]], Field(min_length=1000)]


plain = openai.OpenAI(base_url=OPENAI, api_key="none")
by_tool: Any = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
by_schema: Any = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)


def ask(client: Any, model: str, messages: Any = QUESTION, **more: Any) -> Any:
    fields = {"response_model": Place, "max_tokens": 96, "max_retries": 0, **more}
    return client.chat.completions.create(model=model, messages=messages, **fields)


@check("whole")
def whole() -> None:
    assert ask(by_schema, MODEL).city


@check("stream")
def stream() -> None:
    *_, last = ask(by_schema, MODEL, response_model=instructor.Partial[Place], stream=True)
    assert last.city


@check("tools")
def tools() -> None:
    assert ask(by_tool, CALLER).city


@check("structured")
def structured() -> None:
    assert ask(by_schema, MODEL).city


@check("too long")
def long() -> None:
    with too_long():
        ask(by_schema, MODEL, TOO_LONG)


@check("unknown model")
def strange() -> None:
    with unknown():
        ask(by_schema, UNKNOWN)


@check("cancel")
async def cancel() -> None:
    client: Any = instructor.from_openai(
        openai.AsyncOpenAI(base_url=OPENAI, api_key="none"), mode=instructor.Mode.JSON_SCHEMA
    )
    asked = asyncio.ensure_future(ask(client, ENDLESS, response_model=Walk, max_tokens=3000))
    await asyncio.to_thread(until_active)
    asked.cancel()
    await asyncio.to_thread(until_idle)


main()
