"""Answers that begin with half a character, which real engines send without their beginning."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import openai
import pytest
from later import Later
from raw_client import PATIENCE
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import anthropic
    from anthropic.types import MessageParam
else:
    anthropic = Later("anthropic")

SAID = "😉 hi"
GRAMMAR = {"grammar": f'root ::= "{SAID}"'}
# A grammar is no part of Anthropic's API. After these turns even a small model says it again.
TURNS: list[MessageParam] = [{"role": "user", "content": "wink"}]
for _ in range(3):
    TURNS += [{"role": "assistant", "content": SAID}, {"role": "user", "content": "wink"}]


@pytest.fixture(scope="module", params=list(ENGINES))
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("real")
    # Its template knows no tools, which would be refused before the engine sees them.
    able = 'capabilities = { "text", "tools" },'
    models = lua_model("smol", ENGINES[request.param], (1024,), able)
    with gateway(folder, lua_config(folder, models)) as running:
        yield running


def test_a_chat_begins_with_its_role(served: Gateway) -> None:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as api:
        stream = api.chat.completions.create(
            model="smol",
            messages=[{"role": "user", "content": "wink"}],
            stream=True,
            extra_body=GRAMMAR,
        )
        deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
        assert [delta.role for delta in deltas[:2]] == ["assistant", None]
        assert "".join(delta.content or "" for delta in deltas) == SAID


def test_a_message_begins_with_its_start(served: Gateway) -> None:
    with (
        anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as api,
        api.messages.stream(
            model="smol", max_tokens=6, messages=TURNS, extra_body={"temperature": 0}
        ) as stream,
    ):
        events = [event.type for event in stream]
        assert events[:2] == ["message_start", "content_block_start"]
        assert events.count("message_start") == 1
        assert stream.get_final_text() == SAID


@pytest.mark.parametrize(
    "fault",
    [
        # The engine calls the first its own: status 500.
        {"tools": [{"type": "function"}]},
        {"grammar": "root ::= ("},
        {"temperature": "warm"},
    ],
)
def test_a_fault_of_the_request_is_told_as_one(served: Gateway, fault: Any) -> None:
    body = {"model": "smol", "messages": [{"role": "user", "content": "hi"}], **fault}
    request = urllib.request.Request(f"{served.url}/v1/chat/completions", json.dumps(body).encode())
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    with refused.value as page:
        error = json.load(page)["error"]
    assert refused.value.code == 400
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"] == ("temperature" if "temperature" in fault else None)


# A template that gives earlier thoughts back to the model, and can begin without one.
THINKING_TEMPLATE = """{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}
{%- if message.reasoning_content %}{{- '<think>' + message.reasoning_content + '</think>' }}
{%- endif %}{{- message.content + '<|im_end|>\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\n\n</think>\n\n' }}
{%- endif %}{%- endif %}"""
THOUGHT: Any = [
    {"type": "thinking", "thinking": "hmm hmm", "signature": "x"},
    {"type": "text", "text": "yes"},
]


@pytest.mark.parametrize("engine", list(ENGINES))
def test_thoughts_are_blocks_in_order(engine: str, tmp_path: Path) -> None:
    template = tmp_path / "think.jinja"
    template.write_text(THINKING_TEMPLATE, encoding="utf-8")
    args = ("--chat-template-file", str(template))
    models = lua_model("smol", ENGINES[engine], (1024,), args=args)
    turns: list[Any] = [{"role": "user", "content": "hi"}]
    for _ in range(3):
        turns += [{"role": "assistant", "content": THOUGHT}, {"role": "user", "content": "hi"}]
    with (
        gateway(tmp_path, lua_config(tmp_path, models)) as running,
        anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0) as api,
    ):
        ask: Any = {"model": "smol", "messages": turns}
        with api.messages.stream(**ask, max_tokens=40, extra_body={"temperature": 0}) as stream:
            events: list[Any] = [e for e in stream if e.type.startswith("content_block_st")]
            final = stream.get_final_message()
        assert [(event.type, event.index) for event in events] == [
            ("content_block_start", 0),
            ("content_block_stop", 0),
            ("content_block_start", 1),
            ("content_block_stop", 1),
        ]
        assert [block.type for block in final.content] == ["thinking", "text"]
        # Without thinking, the template ends it before it begins.
        count = api.messages.count_tokens
        assert count(**ask, thinking={"type": "disabled"}).input_tokens > count(**ask).input_tokens
