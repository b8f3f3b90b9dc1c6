"""``llm``, on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

from llm.cli import cli
from zoo_client import (
    CALLER,
    CITIES,
    ENDLESS,
    MODEL,
    OPENAI,
    SCHEMA,
    STORY,
    TOO_LONG_TEXT,
    UNKNOWN,
    Program,
    check,
    is_city,
    main,
    refused,
    too_long,
    until_active,
    until_idle,
)

HOME = Path(os.environ["HOME"])
FOLDER = HOME / "llm"
FOLDER.mkdir()
# It lists what this file names.
FOLDER.joinpath("extra-openai-models.yaml").write_text(
    "".join(
        f"- model_id: {name}\n  model_name: {name}\n  api_base: {OPENAI}\n"
        f"  supports_tools: true\n  supports_schema: true\n"
        for name in (MODEL, ENDLESS, CALLER, UNKNOWN, "brief")
    )
)
SETTINGS = {**os.environ, "LLM_USER_PATH": str(FOLDER), "OPENAI_API_KEY": "none"}


def llm(*words: str) -> str:
    return Program(cli, "llm", *words, env=SETTINGS).ended(60)


@check("whole")
def whole() -> None:
    assert llm("-m", "brief", "--no-stream", "Hello").strip()


@check("stream")
def stream() -> None:
    assert llm("-m", "brief", "Hello").strip()


@check("tools")
def tools() -> None:
    functions = f"def weather(city: str) -> str:\n    return 'Sunny in {CITIES[0]}.'\n"
    words = ("--functions", functions, "--td", "--chain-limit", "2", "Which weather?")
    try:
        text = llm("-m", CALLER, *words)
    except AssertionError as error:
        text = str(error)
    assert "weather" in text, text
    assert "Sunny" in text, text


@check("structured")
def structured() -> None:
    is_city(llm("-m", MODEL, "--no-stream", "--schema", json.dumps(SCHEMA), "Which city?"))


@check("too long")
def long() -> None:
    with too_long(AssertionError):
        llm("-m", MODEL, TOO_LONG_TEXT)


@check("unknown model")
def strange() -> None:
    with refused("does not exist", kind=AssertionError):
        llm("-m", UNKNOWN, "Hello")


@check("cancel")
def cancel() -> None:
    running = Program(cli, "llm", "-m", ENDLESS, STORY, env=SETTINGS)
    try:
        until_active()
    finally:
        running.stop()
    until_idle()


main()
