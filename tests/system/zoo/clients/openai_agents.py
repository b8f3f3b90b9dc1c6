"""OpenAI's Agents SDK, by the Responses API or by chat."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from pydantic import BaseModel
from zoo_client import (
    CALLER,
    ENDLESS,
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
# It takes a response that a limit ended for an error; this model ends by itself.
BRIEF = "brief"
QUESTION = "What is the weather in Paris?"
set_tracing_disabled(disabled=True)
called: list[str] = []


class Place(BaseModel):
    """A city."""

    city: Literal["Paris", "Rome"]


def weather(city: Literal["Paris", "Rome"]) -> str:
    """Tells the weather of a city."""
    called.append(city)
    return f"Sunny in {city}."


def agent(name: str = MODEL, tokens: int = 16, choice: str | None = None, **more: Any) -> Any:
    client = openai.AsyncOpenAI(base_url=OPENAI, api_key="none")
    kind = OpenAIResponsesModel if API == "responses" else OpenAIChatCompletionsModel
    settings = ModelSettings(max_tokens=tokens, tool_choice=choice)
    model = kind(model=name, openai_client=client)
    return Agent(name="zoo", instructions="Be brief.", model=model, model_settings=settings, **more)


@check("whole")
async def whole() -> None:
    assert (await Runner.run(agent(BRIEF), "Hello")).final_output


@check("stream")
async def stream() -> None:
    result = Runner.run_streamed(agent(BRIEF), "Hello")
    kinds = [event.type async for event in result.stream_events()]
    assert "raw_response_event" in kinds
    assert result.final_output


@check("tools")
async def tools() -> None:
    # The first call of the tool is the end: the model would call it for ever.
    caller = agent(
        CALLER,
        96,
        "required",
        tools=[function_tool(weather)],
        tool_use_behavior="stop_on_first_tool",
    )
    result = await Runner.run(caller, QUESTION)
    assert called
    assert str(result.final_output).startswith("Sunny")


@check("structured")
async def structured() -> None:
    result = await Runner.run(agent(MODEL, 64, output_type=Place), QUESTION)
    assert result.final_output.city


@check("too long")
async def long() -> None:
    with too_long(openai.BadRequestError):
        await Runner.run(agent(), TOO_LONG_TEXT)


@check("unknown model")
async def strange() -> None:
    with unknown(openai.NotFoundError):
        await Runner.run(agent(UNKNOWN), "Hello")


@check("cancel")
async def cancel() -> None:
    result = Runner.run_streamed(agent(ENDLESS, tokens=3000), STORY)
    async for event in result.stream_events():
        if event.type == "raw_response_event":
            result.cancel()
    await asyncio.to_thread(until_idle)


main()
