"""Codex, asked once: ``codex exec``."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

from zoo_client import (
    CALLER,
    MODEL,
    OPENAI,
    SCHEMA,
    STORY,
    UNKNOWN,
    check,
    command,
    is_city,
    main,
    stopped,
)

# Its own prompt is longer than SmolLM2's context.
BRIEF = "brief"
HOME = Path(os.environ["HOME"])
HOME.joinpath(".codex").mkdir()
HOME.joinpath(".codex", "config.toml").write_text(
    f"""
model_provider = "gateway"
web_search = "disabled"

[model_providers.gateway]
name = "gateway"
base_url = "{OPENAI}"
request_max_retries = 0
stream_max_retries = 0
"""
)
WORDS = (os.environ["CODEX"], "exec", "--skip-git-repo-check", "--json")


def codex(model: str, *words: str) -> str:
    return command(*WORDS, "-m", model, *words, timeout=200)


def failed(model: str, *words: str) -> str:
    try:
        return codex(model, *words)
    except AssertionError as error:
        return str(error)


def answer_in(text: str) -> str:
    """Return the last message of the agent."""
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return str([item for item in items if item["type"] == "agent_message"][-1]["text"])


# It always asks for a stream, and takes one that has no proper end for an error. So one run shows
# both.
@cache
def hello() -> str:
    return codex(BRIEF, "Hello")


@check("whole")
def whole() -> None:
    assert answer_in(hello())


@check("stream")
def stream() -> None:
    assert '"turn.completed"' in hello()


@check("structured")
def structured() -> None:
    schema = HOME / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    is_city(answer_in(codex(BRIEF, "--output-schema", str(schema), "Which city?")))


@check("too long")
def long() -> None:
    text = failed(MODEL, "Hello").lower()
    assert "context" in text, text


@check("unknown model")
def strange() -> None:
    text = failed(UNKNOWN, "Hello")
    assert "does not exist" in text, text


@check("cancel")
def cancel() -> None:
    stopped(*WORDS, "-m", BRIEF, "--output-schema", str(_endless()), STORY)


def _endless() -> Path:
    """Return a schema whose text takes minutes to write."""
    schema = HOME / "endless.json"
    # A list in a list: the engine refuses a list of thousands, and soon, so that nobody can leave.
    walk = {"type": "array", "minItems": 500, "items": {"enum": ["left", "right"]}}
    steps = {"type": "array", "minItems": 500, "items": walk}
    schema.write_text(json.dumps({"type": "object", "properties": {"steps": steps}}))
    return schema


@check("tools")
def tools() -> None:
    # The model calls a tool in each of its turns, for ever; what a call came to is told at once.
    import re
    import subprocess

    told = "command_execution|tools::router|mcp_tool_call|todo_list|collab"
    with subprocess.Popen(
        [*WORDS, "-m", CALLER, "Hello"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        seen = []
        for line in process.stdout:
            seen.append(line)
            if re.search(told, line):
                break
        else:
            raise AssertionError("".join(seen))
        process.terminate()


main()
