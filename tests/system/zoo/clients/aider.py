"""Aider, asked once: ``aider --message``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from zoo_client import (
    ENDLESS,
    MODEL,
    OPENAI,
    STORY,
    TOO_LONG_TEXT,
    UNKNOWN,
    check,
    command,
    main,
    stopped,
)

AIDER = str(Path(sys.executable).with_name("aider"))
SETTINGS = {**os.environ, "OPENAI_API_BASE": OPENAI, "OPENAI_API_KEY": "none"}
# No look for news, no file for git, and no question to a user who is not there.
QUIET = (
    *("--no-check-update", "--no-show-model-warnings", "--no-git", "--yes-always"),
    *("--no-analytics", "--map-tokens", "0", "--no-pretty", "--no-detect-urls"),
)


def words(model: str, message: str, *more: str) -> tuple[str, ...]:
    return (AIDER, "--model", f"openai/{model}", *QUIET, *more, "--message", message)


def aider(model: str, message: str, *more: str) -> str:
    return command(*words(model, message, "--chat-mode", "ask", *more), env=SETTINGS, timeout=100)


@check("whole")
def whole() -> None:
    assert "Tokens:" in aider("brief", "Hello", "--no-stream")


@check("stream")
def stream() -> None:
    assert "Tokens:" in aider("brief", "Hello", "--stream")


@check("too long")
def long() -> None:
    text = aider(MODEL, TOO_LONG_TEXT)
    assert "context" in text.lower(), text


@check("unknown model")
def strange() -> None:
    text = aider(UNKNOWN, "Hello")
    assert "does not exist" in text, text


@check("cancel")
def cancel() -> None:
    stopped(*words(ENDLESS, STORY, "--chat-mode", "ask"), env=SETTINGS)


main()
