"""Answers that outgrow their variant, on real engines, through a real gateway."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator

# Little room is kept for the answer, so that it begins in the smallest variant.
RESERVE = "tokenization = { default_max_tokens = 64, extra_tokens_per_request = 32 },"
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Write a long story about a fox."}],
    "temperature": 0,
    "extra_body": {"ignore_eos": True},
}


@pytest.fixture(scope="module", params=list(ENGINES))
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("growth")
    engine = ENGINES[request.param]
    models = [
        lua_model("small", engine, (256, 768), RESERVE),
        lua_model("large", engine, (768,)),
    ]
    with gateway(
        folder, lua_config(folder, ", ".join(models), "max_loaded_models = 2,")
    ) as running:
        yield running


def client(served: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def test_a_stream_goes_on_unbroken(served: Gateway) -> None:
    with client(served) as api, ThreadPoolExecutor() as pool:
        large = pool.submit(lambda: api.chat.completions.create(model="large", **ASKED))
        stream = api.chat.completions.create(
            model="small", stream=True, stream_options={"include_usage": True}, **ASKED
        )
        chunks = list(stream)
        whole = large.result()
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.choices[0].delta.role for c in chunks if c.choices and c.choices[0].delta.role] == [
        "assistant"
    ]
    ends = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert ends == ["length"]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert whole.usage is not None
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    assert usage.completion_tokens == whole.usage.completion_tokens >= 600
    assert usage.total_tokens == whole.usage.total_tokens
    log = "".join(served.log)
    assert "small@256 ready" in log
    assert "small@768 ready" in log
    # What the smaller engine had read and written, the larger did not read again.
    assert log.count("tokens restored") == 1
