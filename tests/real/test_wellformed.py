"""Answers that begin with half a character, which real engines send without their beginning."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from raw_client import PATIENCE
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types import MessageParam

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
