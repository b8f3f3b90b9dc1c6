"""LlamaIndex's models: OpenAI-like, and Ollama's."""

from __future__ import annotations

import os
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel
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
    left,
    main,
    too_long,
    unknown,
)

API = os.environ["ZOO_API"]
QUESTION = "What is the weather in Paris?"


class Place(BaseModel):
    """A city."""

    city: str


def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"Sunny in {city}."


def model(name: str = MODEL, tokens: int = 8) -> Any:
    """Return LlamaIndex's model for this API."""
    if API == "chat":
        from llama_index.llms.openai_like import OpenAILike

        return OpenAILike(
            model=name,
            api_base=OPENAI,
            api_key="none",
            is_chat_model=True,
            is_function_calling_model=True,
            should_use_structured_outputs=True,
            context_window=4096,
            max_tokens=tokens,
        )
    from llama_index.llms.ollama import Ollama

    return Ollama(
        model=name,
        base_url=GATEWAY,
        context_window=4096,
        additional_kwargs={"num_predict": tokens},
    )


def said(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


@check("whole")
def whole() -> None:
    assert model().chat(said("Hello")).message.content
    assert model().complete("Hello").text


@check("stream")
def stream() -> None:
    assert "".join(chunk.delta or "" for chunk in model().stream_chat(said("Hello")))


@check("tools")
def tools() -> None:
    caller = model(CALLER, 96)
    tool = FunctionTool.from_defaults(weather)
    answer = caller.chat_with_tools([tool], user_msg=QUESTION, tool_required=True)
    [call] = caller.get_tool_calls_from_response(answer)
    assert call.tool_name == "weather"
    assert "city" in call.tool_kwargs


@check("structured")
def structured() -> None:
    asked = model(CALLER, 64).as_structured_llm(Place)
    is_text = asked.chat(said(QUESTION)).raw.city
    assert isinstance(is_text, str)


@check("too long")
def long() -> None:
    with too_long():
        model().chat(said(TOO_LONG_TEXT))


@check("unknown model")
def strange() -> None:
    with unknown():
        model(UNKNOWN).chat(said("Hello"))


@check("cancel")
async def cancel() -> None:
    # To close the stream of one API closes no connection; to cancel the task that reads it does.
    await left(lambda: model(ENDLESS, tokens=3000).astream_chat(said(STORY)))


main()
