"""LangChain's chat models, by the API that the command line names after the checks."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import BaseModel
from zoo_client import (
    CALLER,
    ENDLESS,
    GATEWAY,
    MODEL,
    OPENAI,
    STORY,
    TOO_LONG_TEXT,
    TOOL,
    UNKNOWN,
    check,
    is_city,
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


def model(name: str = MODEL, tokens: int = 8) -> Any:
    """Return the chat model of LangChain for this API."""
    if API == "chat":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(base_url=OPENAI, api_key="none", model=name, max_tokens=tokens)
    if API == "messages":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(base_url=GATEWAY, api_key="none", model=name, max_tokens=tokens)
    from langchain_ollama import ChatOllama

    return ChatOllama(base_url=GATEWAY, model=name, num_predict=tokens)


@check("whole")
def whole() -> None:
    answer = model().invoke("Hello")
    assert answer.text
    assert answer.usage_metadata["output_tokens"]


@check("stream")
async def stream() -> None:
    assert "".join(chunk.text for chunk in model().stream("Hello"))
    assert "".join([chunk.text async for chunk in model().astream("Hello")])


@check("tools")
def tools() -> None:
    # Ollama's API cannot force a call; the model that the gateway names "caller" makes one.
    more = {} if API == "ollama" else {"tool_choice": "any"}
    caller = model(CALLER, 96).bind_tools([TOOL], **more)
    answer = caller.invoke(QUESTION)
    [call] = answer.tool_calls
    is_city(call["args"])
    from langchain_core.messages import HumanMessage, ToolMessage

    result = ToolMessage("Sunny.", tool_call_id=call["id"])
    assert model().bind_tools([TOOL]).invoke([HumanMessage(QUESTION), answer, result]).text


@check("structured")
def structured() -> None:
    if API == "messages":
        # Anthropic's class forces a call of a tool unless it is told otherwise.
        asked = model(CALLER, 96).with_structured_output(Place)
    else:
        asked = model(MODEL, 64).with_structured_output(Place, method="json_schema")
    parsed = asked.invoke(QUESTION)
    assert parsed.city


@check("too long")
def long() -> None:
    with too_long():
        model().invoke(TOO_LONG_TEXT)


@check("unknown model")
def strange() -> None:
    with unknown():
        model(UNKNOWN).invoke("Hello")


@check("cancel")
async def cancel() -> None:
    chunks = model(ENDLESS, tokens=3000).astream(STORY)
    await anext(chunks)
    await chunks.aclose()
    import asyncio

    await asyncio.to_thread(until_idle)


main()
