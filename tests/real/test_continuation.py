"""Answers that outgrow their variant, on real engines, through a real gateway.

The clients are the makers' own libraries, which read what has grown as they read anything.
"""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

import openai
import pytest
from later import Later
from real_engines import ADMIN, ENGINES, Gateway, gateway, lua_config, lua_model
from tiny_models import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import anthropic
else:
    anthropic = Later("anthropic")

# Little room is kept for the answer, so that it begins in the smallest variant.
RESERVE = (
    "tokenization = { default_max_tokens = 64, max_reserved_tokens = 64,"
    " extra_tokens_per_request = 32 },"
)
QUESTION: Any = [{"role": "user", "content": "Write a long story about a fox."}]
ASKED: dict[str, Any] = {
    "messages": QUESTION,
    "temperature": 0,
    "extra_body": {"ignore_eos": True},
}
LENGTH = 400
COMPLETION: dict[str, Any] = {
    "prompt": "Once upon a time, there was a fox",
    "max_tokens": LENGTH,
    "temperature": 0,
    "extra_body": {"ignore_eos": True},
}


@pytest.fixture(scope="module", params=list(ENGINES))
def served(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("growth")
    engine = ENGINES[request.param]
    models = [
        lua_model("small", engine, (256, 768), RESERVE, EXACT, file=tiny),
        lua_model("large", engine, (768,), args=EXACT, file=tiny),
    ]
    with gateway(
        folder, lua_config(folder, ", ".join(models), "max_loaded_models = 2,")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def whole(served: Gateway) -> Any:
    """What a large engine says in one go."""
    with client(served) as api:
        return api.chat.completions.create(model="large", **ASKED)


@pytest.fixture(scope="module")
def completed(served: Gateway) -> str:
    """How a large engine goes on with a text, in one go."""
    with client(served) as api:
        answer = api.completions.create(model="large", **COMPLETION)
    return str(answer.choices[0].text)


@pytest.fixture
def small(served: Gateway, whole: Any) -> Iterator[str]:
    """What the large engine says; the smallest variant will be asked next."""
    start = len(served.log)
    yield whole.choices[0].message.content
    log = "".join(served.log[start:])
    # It did begin there, and what the smaller engine had read and written was not read again.
    assert "small@256 ready" in log
    assert "small@768 ready" in log
    assert log.count("tokens restored") == 1
    order = urllib.request.Request(
        f"{served.url}/admin/unload", b'{"model": "small", "force": true}', ADMIN
    )
    urllib.request.urlopen(order, timeout=30).close()


def client(served: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def claude(served: Gateway) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0)


def test_a_stream_goes_on_unbroken(served: Gateway, whole: Any, small: str) -> None:
    with client(served) as api:
        stream = api.chat.completions.create(
            model="small", stream=True, stream_options={"include_usage": True}, **ASKED
        )
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == small
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.choices[0].delta.role for c in chunks if c.choices and c.choices[0].delta.role] == [
        "assistant"
    ]
    ends = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert ends == ["length"]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    assert usage.completion_tokens == whole.usage.completion_tokens >= 600
    assert usage.total_tokens == whole.usage.total_tokens


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("stream", [False, True])
def test_a_completion_goes_on_from_its_state(
    served: Gateway, completed: str, *, stream: bool
) -> None:
    with client(served) as api:
        if stream:
            chunks = api.completions.create(model="small", stream=True, **COMPLETION)
            text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        else:
            text = api.completions.create(model="small", **COMPLETION).choices[0].text
    assert text == completed


def told(message: anthropic.types.Message, whole: Any, small: str) -> None:
    """The message is the beginning of what the large engine says, as long as was asked for."""
    [block] = message.content
    assert block.type == "text"
    assert small.startswith(block.text)
    assert len(block.text) > len(small) // 3
    assert message.stop_reason == "max_tokens"
    usage = message.usage
    assert usage.output_tokens == LENGTH
    read = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert read == whole.usage.prompt_tokens


def test_a_stream_of_messages_goes_on_unbroken(served: Gateway, whole: Any, small: str) -> None:
    with (
        claude(served) as api,
        api.messages.stream(
            model="small", max_tokens=LENGTH, messages=QUESTION, extra_body={"temperature": 0}
        ) as stream,
    ):
        events = list(stream)
        message = stream.get_final_message()
    told(message, whole, small)
    kinds = [event.type for event in events]
    for once in ("message_start", "content_block_start", "content_block_stop", "message_stop"):
        assert kinds.count(once) == 1
    said = "".join(event.text for event in events if event.type == "text")
    assert said == message.content[0].text  # type: ignore[union-attr]  # told() looked


def test_a_message_is_one(served: Gateway, whole: Any, small: str) -> None:
    with claude(served) as api:
        message = api.messages.create(
            model="small", max_tokens=LENGTH, messages=QUESTION, extra_body={"temperature": 0}
        )
    told(message, whole, small)


def responded(response: Any, whole: Any, small: str) -> None:
    """The same of a response."""
    [item] = response.output
    assert [item.type, item.role, item.status] == ["message", "assistant", "incomplete"]
    assert small.startswith(response.output_text)
    assert len(response.output_text) > len(small) // 3
    assert response.status == "incomplete"
    assert response.usage.input_tokens == whole.usage.prompt_tokens
    assert response.usage.output_tokens == LENGTH
    assert response.usage.total_tokens == whole.usage.prompt_tokens + LENGTH


def test_a_stream_of_a_response_goes_on_unbroken(served: Gateway, whole: Any, small: str) -> None:
    with client(served) as api:
        events = list(
            api.responses.create(
                model="small",
                input=QUESTION[0]["content"],
                max_output_tokens=LENGTH,
                temperature=0,
                stream=True,
            )
        )
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") == len(kinds) - 8
    last = events[-1]
    assert last.type == "response.incomplete"
    responded(last.response, whole, small)
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert said == last.response.output_text
    [done] = [event.text for event in events if event.type == "response.output_text.done"]
    assert done == said
    items = {e.item_id for e in events if e.type == "response.output_text.delta"}
    assert items == {last.response.output[0].id}
    created = events[0]
    assert created.type == "response.created"
    assert created.response.id == last.response.id


def test_a_response_is_one(served: Gateway, whole: Any, small: str) -> None:
    with client(served) as api:
        response = api.responses.create(
            model="small", input=QUESTION, max_output_tokens=LENGTH, temperature=0
        )
    responded(response, whole, small)
