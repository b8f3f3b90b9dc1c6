"""Pydantic AI: agents by OpenAI's chat API, its Responses API and Anthropic's."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput, UsageLimits
from pydantic_ai.messages import ToolCallPart
from zoo_client import (
    CALLER,
    ENDLESS,
    GATEWAY,
    MODEL,
    OPENAI,
    STORY,
    TOO_LONG_TEXT,
    UNKNOWN,
    check,
    main,
    too_long,
    unknown,
    until_idle,
)

API = os.environ["ZOO_API"]
QUESTION = "What is the weather in Paris?"


class Place(BaseModel):
    """A city."""

    city: Literal["Paris", "Rome"]


def model(name: str = MODEL) -> Any:
    """Return the model class of this API."""
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=OPENAI, api_key="none")
    if API == "chat":
        from pydantic_ai.models.openai import OpenAIChatModel

        return OpenAIChatModel(name, provider=provider)
    if API == "responses":
        from pydantic_ai.models.openai import OpenAIResponsesModel

        return OpenAIResponsesModel(name, provider=provider)
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(name, provider=AnthropicProvider(base_url=GATEWAY, api_key="none"))


def agent(name: str = MODEL, tokens: int = 16, **more: Any) -> Any:
    return Agent(model(name), model_settings={"max_tokens": tokens}, **more)


@check("whole")
def whole() -> None:
    assert agent().run_sync("Hello").output


@check("stream")
async def stream() -> None:
    async with agent().run_stream("Hello") as answer:
        assert "".join([text async for text in answer.stream_text(delta=True)])


@check("tools")
def tools() -> None:
    # An answer of this type is a forced call of a tool.
    result = agent(CALLER, 96, output_type=Place).run_sync(QUESTION)
    assert result.output.city
    parts = [part for message in result.all_messages() for part in message.parts]
    assert any(isinstance(part, ToolCallPart) for part in parts)


@check("structured")
def structured() -> None:
    if API == "messages":
        # It asks for JSON only from models whose names it knows; a tool is its usual way.
        asked = agent(CALLER, 96, output_type=ToolOutput(Place, name="place"))
    else:
        asked = agent(MODEL, 64, output_type=NativeOutput(Place))
    result = asked.run_sync(QUESTION)
    assert result.output.city


@check("too long")
def long() -> None:
    with too_long():
        agent().run_sync(TOO_LONG_TEXT, usage_limits=UsageLimits(request_limit=1))


@check("unknown model")
def strange() -> None:
    with unknown():
        agent(UNKNOWN).run_sync("Hello")


@check("cancel")
async def cancel() -> None:
    async with agent(ENDLESS, tokens=3000).run_stream(STORY) as answer:
        texts = answer.stream_text(delta=True)
        await anext(texts)
        await answer.cancel()
    await asyncio.to_thread(until_idle)


main()
