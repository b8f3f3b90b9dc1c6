"""Claude Code, asked once: ``claude -p``."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from zoo_client import (
    CALLER,
    ENDLESS,
    GATEWAY,
    MODEL,
    STORY,
    UNKNOWN,
    check,
    command,
    main,
    stopped,
)

CLAUDE = os.environ["CLAUDE"]
# Its own prompt is longer than SmolLM2's context.
BRIEF = "brief"
# A prompt that engines read in no time. The names of its tools follow.
SHORT = ("--system-prompt", "Be brief.", "--tools")
SETTINGS = {
    "ANTHROPIC_BASE_URL": GATEWAY,
    "ANTHROPIC_AUTH_TOKEN": "none",
    # The test has no network but the gateway.
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
}


def settings(model: str) -> dict[str, str]:
    return {**os.environ, **SETTINGS, "ANTHROPIC_MODEL": model}


def claude(model: str, *words: str) -> str:
    return command(CLAUDE, "-p", *words, env=settings(model), timeout=200)


def failed(model: str, *words: str) -> str:
    try:
        return claude(model, *words)
    except AssertionError as error:
        return str(error)


# It always asks for a stream, so one run shows both.
@cache
def hello() -> list[Any]:
    more = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")
    return [json.loads(line) for line in claude(BRIEF, "Hello", *more).splitlines()]


@check("whole")
def whole() -> None:
    *_, answer = hello()
    assert answer["type"] == "result"
    assert answer["is_error"] is False
    assert answer["result"]


@check("stream")
def stream() -> None:
    told = [event["event"]["type"] for event in hello() if event["type"] == "stream_event"]
    # Pings keep it waiting where the engine reads its long prompt slowly.
    kinds = [kind for kind in told if kind != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


@check("tools")
def tools() -> None:
    # The model calls a tool in each of its turns.
    more = ("--output-format", "stream-json", "--verbose", "--max-turns", "2")
    text = failed(CALLER, "Hello", *SHORT, "Read", *more)
    assert '"type":"tool_use"' in text, text
    assert '"type":"tool_result"' in text, text


@check("too long")
def long() -> None:
    text = failed(MODEL, "Hello")
    assert "too long" in text.lower(), text


@check("unknown model")
def strange() -> None:
    text = failed(UNKNOWN, "Hello", *SHORT, "")
    assert UNKNOWN in text, text


@check("cancel")
def cancel() -> None:
    stopped(CLAUDE, "-p", STORY, *SHORT, "", env=settings(ENDLESS))


main()
