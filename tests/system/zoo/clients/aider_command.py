"""Aider, asked once: ``aider --message``."""

from __future__ import annotations

import os

import aider.main
from zoo_client import (
    ENDLESS,
    MODEL,
    OPENAI,
    STORY,
    TOO_LONG_TEXT,
    UNKNOWN,
    Program,
    check,
    main,
    until_active,
    until_idle,
)

SETTINGS = {**os.environ, "OPENAI_API_BASE": OPENAI, "OPENAI_API_KEY": "none"}
# No look for news, no file for git, and no question to a user who is not there.
QUIET = (
    *("--no-check-update", "--no-show-model-warnings", "--no-git", "--yes-always"),
    *("--no-analytics", "--map-tokens", "0", "--no-pretty", "--no-detect-urls"),
)


def program(model: str, message: str, *more: str) -> Program:
    words = ("aider", "--model", f"openai/{model}", *QUIET, "--chat-mode", "ask", *more)
    return Program(aider.main.main, *words, "--message", message, env=SETTINGS)


def asked(model: str, message: str, *more: str) -> str:
    return program(model, message, *more).ended(100)


@check("whole")
def whole() -> None:
    assert "Tokens:" in asked("brief", "Hello", "--no-stream")


@check("stream")
def stream() -> None:
    assert "Tokens:" in asked("brief", "Hello", "--stream")


@check("too long")
def long() -> None:
    text = asked(MODEL, TOO_LONG_TEXT)
    assert "context" in text.lower(), text


@check("unknown model")
def strange() -> None:
    text = asked(UNKNOWN, "Hello")
    assert "does not exist" in text, text


@check("cancel")
def cancel() -> None:
    running = program(ENDLESS, STORY)
    try:
        until_active()
    finally:
        running.stop()
    until_idle()


main()
