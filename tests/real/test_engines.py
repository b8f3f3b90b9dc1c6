"""The whole gateway on real engines, through the clients that people use."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

import openai
import pytest
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTEXTS = (512, 1024, 2048)
WORDS = "the quick brown fox jumps over the lazy dog "


@pytest.fixture(scope="module", params=list(ENGINES))
def served(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("real")
    aliases = 'aliases = { "tiny" },'
    models = lua_model("smol", ENGINES[request.param], CONTEXTS, aliases, file=tiny)
    with gateway(folder, lua_config(folder, models)) as running:
        yield running


def client(served: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def test_sdk_answers_in_one_piece(served: Gateway) -> None:
    with client(served) as api:
        answer = api.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            max_tokens=24,
            temperature=0.7,
        )
    assert answer.choices[0].message.content
    # The engine answers under the model's name, whatever alias was asked for.
    assert answer.model == "smol"
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 24


def test_sdk_streams(served: Gateway) -> None:
    with client(served) as api:
        stream = api.chat.completions.create(
            model="smol",
            messages=[{"role": "user", "content": "Count to five."}],
            max_tokens=16,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        chunks = list(stream)
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(texts) > 4
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16


async def test_async_sdk_streams_to_several_at_once(served: Gateway) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key="none", max_retries=0
    ) as api:

        async def ask(word: str) -> str:
            stream = await api.chat.completions.create(
                model="smol",
                messages=[{"role": "user", "content": f"Say {word}."}],
                max_tokens=8,
                stream=True,
            )
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        answers = await asyncio.gather(*map(ask, ("red", "green", "blue")))
    assert all(answers)


async def test_async_sdk_completes_text(served: Gateway) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key="none", max_retries=0
    ) as api:
        answer = await api.completions.create(model="smol", prompt="Once upon a", max_tokens=8)
    assert answer.choices[0].text


def test_sdk_sees_its_own_error_classes(served: Gateway) -> None:
    with client(served) as api:
        with pytest.raises(openai.NotFoundError) as unknown:
            api.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "a"}])
        assert unknown.value.code == "model_not_found"
        assert "smol" in unknown.value.message
        with pytest.raises(openai.BadRequestError) as long:
            api.chat.completions.create(
                model="smol", messages=[{"role": "user", "content": WORDS * 400}], max_tokens=8
            )
        assert long.value.code == "context_length_exceeded"
        assert "2048" in long.value.message


def test_curl_streams_and_shows_what_was_decided(served: Gateway) -> None:
    # The head of a stream does not wait for a long load, and then tells no variant.
    headers_of(served, "Hello", 4)
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "stream": True}
    shown = subprocess.run(
        ["curl", "-sS", "-N", "-i", f"{served.url}/v1/chat/completions", "-d", json.dumps(body)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    head, _, stream = shown.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 200")
    assert "X-Accel-Buffering: no" in head
    assert "X-Gateway-Variant: smol@" in head
    assert "X-Gateway-Prompt-Tokens: " in head
    assert stream.rstrip().endswith("data: [DONE]")


def headers_of(served: Gateway, content: str, max_tokens: int) -> tuple[str, int, Any]:
    """Variant, prompt tokens as decided, and the answer of one request."""
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens}
    request = urllib.request.Request(f"{served.url}/v1/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        counted = int(response.headers["X-Gateway-Prompt-Tokens"].split(";")[0])
        return response.headers["X-Gateway-Variant"], counted, json.load(response)


def test_a_conversation_that_grows_moves_to_larger_variants(
    tmp_path_factory: Any, tiny: Path
) -> None:
    binary = list(ENGINES.values())[-1]
    folder = tmp_path_factory.mktemp("growing")
    with gateway(
        folder, lua_config(folder, lua_model("smol", binary, CONTEXTS, file=tiny))
    ) as running:
        small, _, _ = headers_of(running, "Hello", 8)
        middle, counted, answer = headers_of(running, WORDS * 45, 8)
        assert counted == answer["usage"]["prompt_tokens"], "the running engine counts exactly"
        large, _, _ = headers_of(running, WORDS * 100, 8)
        back, _, _ = headers_of(running, "Hello", 8)
        assert [small, middle, large, back] == ["smol@512", "smol@1024", "smol@2048", "smol@2048"]
        assert running.stop() == 0
    lines = [line for line in running.log if " gateway.access " in line]
    assert len(lines) == 4
    assert all("model=smol variant=smol@" in line and "completion=" in line for line in lines)


def test_one_model_gives_way_to_another(tmp_path_factory: Any, tiny: Path) -> None:
    folder = tmp_path_factory.mktemp("two")
    binaries = list(ENGINES.values())
    models = ", ".join(
        [
            lua_model("one", binaries[0], (512,), file=tiny),
            lua_model("two", binaries[-1], (512,), file=tiny),
        ]
    )
    with gateway(folder, lua_config(folder, models)) as running:
        with client(running) as api:
            for name in ("one", "two", "one"):
                answer = api.chat.completions.create(
                    model=name, messages=[{"role": "user", "content": "Hi"}], max_tokens=4
                )
                assert answer.model == name
        with urllib.request.urlopen(f"{running.url}/health", timeout=60) as response:
            engines = json.load(response)["engines"]
        assert [engine["model"] for engine in engines] == ["one"]
        assert running.stop() == 0
