"""Ollama's own library for Python on real engines, through ``/api``."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from later import Later
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model
from sdk_gateway import (
    CITIES,
    CONTEXT,
    HELLO,
    QUESTION,
    TOO_LONG,
    TOOL,
    holding,
    sdk_gateway,
    until_waiting,
)
from tiny_models import PLAIN, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import ollama
else:
    ollama = Later("ollama")

MARKS = ("pre", "suf", "mid")
EIGHT, LONG = {"num_predict": 8}, {"num_predict": 250}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": CITIES}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    with sdk_gateway(tmp_path_factory.mktemp("ollama"), request.param) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[ollama.Client]:
    with ollama.Client(host=served.url) as client:
        yield client


def test_models(api: ollama.Client) -> None:
    listed = {each.model: each for each in api.list().models}
    assert {"smol:latest", "tiny:latest", "embed:latest"} <= listed.keys()
    smol = listed["smol:latest"]
    assert smol.details is not None
    assert (smol.details.family, smol.details.parameter_size) == ("llama", "645K")
    assert smol.size is not None
    assert smol.size > 1_000_000
    shown = api.show("smol")
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == CONTEXT
    assert {"completion", "tools"} <= {*(shown.capabilities or [])}
    assert api.show("embed:latest").capabilities == ["embedding"]


def test_chat(api: ollama.Client) -> None:
    answer = api.chat("tiny", HELLO, options=EIGHT)
    assert answer.message.content
    assert (answer.model, answer.message.role, answer.done) == ("tiny", "assistant", True)
    assert answer.done_reason in {"stop", "length"}
    assert 0 < (answer.eval_count or 0) <= 8
    assert (answer.prompt_eval_count or 0) > 0
    durations = (answer.prompt_eval_duration, answer.eval_duration, answer.total_duration)
    assert all((each or 0) > 0 for each in durations)
    running = {each.model: each for each in api.ps().models}
    assert running["smol:latest"].context_length == CONTEXT


def test_a_stream(api: ollama.Client) -> None:
    *parts, last = api.chat("smol", HELLO, stream=True, options={**EIGHT, "seed": 1})
    assert not any(part.done for part in parts)
    assert (last.done, last.message.content) == (True, "")
    whole = api.chat("smol", HELLO, options={**EIGHT, "seed": 1})
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert last.eval_count == whole.eval_count


def test_generate(api: ollama.Client) -> None:
    whole = api.generate("smol", "Hello", system="Be brief.", options=EIGHT)
    assert whole.response
    *parts, last = api.generate("smol", "Hello", system="Be brief.", stream=True, options=EIGHT)
    assert "".join(part.response or "" for part in parts) == whole.response
    assert last.done_reason == whole.done_reason
    raw = api.generate("smol", "The capital of France is", raw=True, options=EIGHT)
    assert raw.response
    # A raw prompt has no template around it.
    assert (raw.prompt_eval_count or 99) < 8


def test_structured_output(api: ollama.Client) -> None:
    for answer in (
        api.chat("caller", QUESTION, format=SCHEMA, options=LONG).message.content,
        api.generate("caller", "As JSON:", format=SCHEMA, options=LONG).response,
        api.generate("caller", "As JSON:", format=SCHEMA, raw=True, options=LONG).response,
    ):
        found = json.loads(answer or "")
        assert found["city"] in CITIES
        assert isinstance(found["warm"], bool)
    loose = api.chat("caller", QUESTION, format="json", options=EIGHT)
    assert (loose.message.content or "").lstrip().startswith("{")


def test_a_tool_is_called_and_its_result_answered(api: ollama.Client) -> None:
    said: Any = None
    for stream in (False, True):
        answers: Any = api.chat("caller", QUESTION, tools=[TOOL], stream=stream, options=LONG)
        answers = list(answers) if stream else [answers]
        [said] = [each.message for each in answers if each.message.tool_calls]
        [call] = said.tool_calls
        assert call.function.name == "weather"
        assert call.function.arguments["city"] in CITIES
        assert (answers[-1].done, answers[-1].done_reason) == (True, "stop")
    result = {"role": "tool", "content": "Sunny.", "tool_name": "weather"}
    after = api.chat("smol", [*QUESTION, said, result], tools=[TOOL], options=EIGHT)
    assert (after.eval_count or 0) > 0


def test_logprobs(api: ollama.Client) -> None:
    answer = api.chat("smol", HELLO, logprobs=True, top_logprobs=2, options=EIGHT)
    assert answer.logprobs
    assert len(answer.logprobs) == answer.eval_count
    for token in answer.logprobs:
        assert token.logprob <= 0
        assert len(token.top_logprobs or ()) == 2
    plain = api.generate("smol", "Hello", logprobs=True, options=EIGHT)
    assert plain.logprobs
    assert not any(token.top_logprobs for token in plain.logprobs)


def test_embeddings(api: ollama.Client) -> None:
    found = api.embed("embed", ["red wine", "white wine"])
    assert len(found.embeddings) == 2
    for vector in found.embeddings:
        assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-6)
    assert (found.prompt_eval_count or 0) >= 4
    # Both exceed the context, and are the same up to there.
    red, white = (f"{'wine ' * 800}{colour}" for colour in ("red", "white"))
    assert api.embed("embed", red).embeddings == api.embed("embed", white).embeddings
    with pytest.raises(ollama.ResponseError, match="maximum context length is 512"):
        api.embed("embed", red, truncate=False)
    short = api.embed("embed", "red wine", dimensions=16).embeddings[0]
    assert len(short) == 16
    one = api.embeddings("embed", "red wine").embedding
    assert len(one) == len(found.embeddings[0])


def test_errors(api: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'none' not found") as unknown:
        api.chat("none", HELLO)
    assert unknown.value.status_code == 404
    for stream in (True, False):
        with pytest.raises(
            ollama.ResponseError, match=f"maximum context length is {CONTEXT}"
        ) as long:
            list(api.chat("smol", TOO_LONG, stream=stream))
        assert long.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="not found") as missing:
        api.pull("none")
    assert missing.value.status_code == 404
    assert api.pull("smol").status == "success"
    with pytest.raises(ollama.ResponseError, match="configuration file"):
        api.create("new", from_="smol")


def test_load_and_unload(api: ollama.Client) -> None:
    assert api.generate("smol", keep_alive="5m").done_reason == "load"
    assert "smol:latest" in {each.model for each in api.ps().models}
    assert api.generate("smol", keep_alive=0).done_reason == "unload"
    assert "smol:latest" not in {each.model for each in api.ps().models}


def test_a_queue_that_is_full(served: Gateway, api: ollama.Client) -> None:
    with ThreadPoolExecutor(1) as thread, holding(served):
        second = thread.submit(api.chat, "smol", HELLO, options=EIGHT)
        until_waiting(served, 1)
        with pytest.raises(ollama.ResponseError) as full:
            api.chat("smol", HELLO)
        assert full.value.status_code == 429
    assert second.result().done


async def test_async(served: Gateway) -> None:
    async with ollama.AsyncClient(host=served.url) as api:
        whole = await api.chat("smol", HELLO, options=EIGHT)
        assert whole.message.content
        parts = [each async for each in await api.chat("smol", HELLO, stream=True, options=EIGHT)]
        assert parts[-1].done
        with pytest.raises(ollama.ResponseError, match="not found"):
            await api.chat("none", HELLO)


@pytest.mark.parametrize("engine", ONE)
def test_num_ctx_and_a_suffix(tmp_path: Path, engine: str) -> None:
    # The tokens that stand for the text before, after and in the gap.
    gap = {f"tokenizer.ggml.fim_{mark}_token_id": 4 + n for n, mark in enumerate(MARKS)}
    file = write(PLAIN, tmp_path / "tiny.gguf", more=gap)
    models = lua_model("plain", ENGINES[engine], (256, 512), file=file)
    with (
        gateway(tmp_path, lua_config(tmp_path, models)) as running,
        ollama.Client(host=running.url) as api,
    ):
        assert {"insert", "completion"} <= {*(api.show("plain").capabilities or [])}
        between = api.generate("plain", "one two", suffix="four five", options=EIGHT)
        assert between.response
        assert (between.eval_count or 0) > 0
        assert between.done_reason in {"stop", "length"}
        *parts, last = api.generate("plain", "one two", suffix="four", stream=True, options=EIGHT)
        assert parts
        assert (last.eval_count or 0) > 0

        def context(wanted: int) -> Any:
            api.chat("plain", HELLO, options={"num_ctx": wanted, "num_predict": 1})
            [loaded] = api.ps().models
            return loaded.context_length

        assert context(100) == 256
        assert context(300) == 512
        assert context(100) == 512
