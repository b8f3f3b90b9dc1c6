"""LiteLLM, as a library, by one of three APIs."""

from __future__ import annotations

import os
from typing import Any

import litellm
from zoo_client import (
    CALLER,
    ENDLESS,
    GATEWAY,
    HELLO,
    MODEL,
    OPENAI,
    QUESTION,
    SCHEMA,
    STORY,
    TOO_LONG,
    TOOL,
    UNKNOWN,
    check,
    is_city,
    left,
    main,
    too_long,
    unknown,
)

API = os.environ["ZOO_API"]
PROVIDERS: Any = {
    "chat": {"custom_llm_provider": "openai", "api_base": OPENAI, "api_key": "none"},
    "messages": {"custom_llm_provider": "anthropic", "api_base": GATEWAY, "api_key": "none"},
    "ollama": {"custom_llm_provider": "ollama_chat", "api_base": GATEWAY},
}
PROVIDER = PROVIDERS[API]
litellm.suppress_debug_info = True


def ask(model: str, messages: Any, **more: Any) -> Any:
    return litellm.completion(model=model, messages=messages, **PROVIDER, **more)


@check("list")
def listed() -> None:
    names = litellm.get_valid_models(check_provider_endpoint=True, **PROVIDER)
    assert any(MODEL in name for name in names), names


@check("whole")
def whole() -> None:
    answer = ask(MODEL, HELLO, max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens


@check("stream")
def stream() -> None:
    chunks = list(ask(MODEL, HELLO, max_tokens=8, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@check("tools")
def tools() -> None:
    # Ollama's API cannot force a call; the model that the gateway names "caller" makes one.
    more: Any = {} if API == "ollama" else {"tool_choice": "required"}
    answer = ask(CALLER, QUESTION, tools=[TOOL], max_tokens=96, **more)
    [call] = answer.choices[0].message.tool_calls
    is_city(call.function.arguments)


@check("structured")
def structured() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    # By Anthropic's API it forces a call of a tool with this schema.
    model = CALLER if API == "messages" else MODEL
    answer = ask(model, QUESTION, response_format=form, max_tokens=64)
    is_city(answer.choices[0].message.content)


@check("too long")
def long() -> None:
    kind = Exception if API == "ollama" else litellm.ContextWindowExceededError
    with too_long(kind):
        ask(MODEL, TOO_LONG)


@check("unknown model")
def strange() -> None:
    with unknown():
        ask(UNKNOWN, HELLO)


@check("cancel")
async def cancel() -> None:
    # Not all of its streams can be closed, but a task that reads one can be cancelled.
    story = [{"role": "user", "content": STORY}]
    more = {"max_tokens": 3000, "stream": True, **PROVIDER}
    await left(lambda: litellm.acompletion(model=ENDLESS, messages=story, **more))


main()
