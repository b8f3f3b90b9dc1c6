"""Every endpoint that has no SDK test, on real engines: what is sized is what they count."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model
from talk import unload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = "the quick brown fox jumps over the lazy dog "
LONG = WORDS * 45
TOOL = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def embedding_model(binary: str, tiny: Path) -> str:
    variants = ", ".join(
        f'{{ binary = "{binary}", context = {context}, args = {{ "-m", "{tiny}", "-c", {context},'
        f' "-np", 1, "-t", 1, "--no-warmup", "--embeddings", "--pooling", "mean",'
        f' "-ub", {context}, "-b", {context} }} }}'
        for context in (512, 1024)
    )
    return f'{{ name = "embed", variants = {{ {variants} }} }}'


@pytest.fixture(scope="module", params=list(ENGINES))
def served(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("endpoints")
    binary = ENGINES[request.param]
    models = [
        lua_model("smol", binary, (512, 1024), 'capabilities = { "text", "tools" },', file=tiny),
        lua_model("idle", binary, (512,), file=tiny),
        embedding_model(binary, tiny),
    ]
    server = 'default_model = "smol", max_loaded_models = 2'
    config = lua_config(folder, ", ".join(models), server)
    with gateway(folder, config) as running:
        yield running


def ask(served: Gateway, path: str, **body: Any) -> tuple[int, Any, Any]:
    request = urllib.request.Request(served.url + path, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def told(served: Gateway, path: str, **body: Any) -> Any:
    status, _, answer = ask(served, path, **body)
    assert status == 200, answer
    return json.loads(answer)


def test_auxiliary_requests(served: Gateway) -> None:
    tokens = told(served, "/tokenize", content="Hello world")["tokens"]
    assert told(served, "/detokenize", tokens=tokens)["content"] == "Hello world"
    messages = [{"role": "user", "content": "Hello"}]
    assert "Hello" in told(served, "/apply-template", messages=messages)["prompt"]
    for path, body in (
        ("/v1/chat/completions/input_tokens", {"messages": messages}),
        ("/v1/responses/input_tokens", {"input": "Hello"}),
        ("/v1/messages/count_tokens", {"messages": messages}),
    ):
        assert told(served, path, **body)["input_tokens"] > 5


@pytest.mark.parametrize("tools", [[], [TOOL]])
def test_messages(served: Gateway, tools: list[Any]) -> None:
    body = {
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": LONG}]}],
        "max_tokens": 4,
        **({"tools": tools} if tools else {}),
    }
    ask(served, "/tokenize", content="so that an engine runs")
    status, headers, answer = ask(served, "/v1/messages", **body)
    assert status == 200, answer
    usage = json.loads(answer)["usage"]
    counted, source = headers["X-Gateway-Prompt-Tokens"].split("; ")
    assert source in {"source=engine", "source=cache"}
    assert int(counted) == usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)
    assert headers["X-Gateway-Variant"] == "smol@1024"


def test_messages_stream(served: Gateway) -> None:
    said = [{"role": "user", "content": "Hello"}]
    status, _, answer = ask(served, "/v1/messages", messages=said, max_tokens=4, stream=True)
    assert status == 200
    assert answer.startswith(b"event: message_start")
    assert b"event: message_stop" in answer


def test_messages_that_are_too_long(served: Gateway) -> None:
    said = [{"role": "user", "content": WORDS * 300}]
    status, _, answer = ask(served, "/v1/messages", messages=said, max_tokens=4)
    assert status == 400
    error = json.loads(answer)
    assert error["type"] == "error"
    assert error["error"]["message"].startswith("prompt is too long: ")


def test_responses(served: Gateway) -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": LONG}]}]
    ask(served, "/tokenize", content="so that an engine runs")
    status, headers, answer = ask(
        served, "/v1/responses", input=items, instructions="Be brief.", max_output_tokens=4
    )
    assert status == 200, answer
    counted = int(headers["X-Gateway-Prompt-Tokens"].split(";")[0])
    assert counted == json.loads(answer)["usage"]["input_tokens"]
    assert headers["X-Gateway-Variant"] == "smol@1024"
    status, _, stream = ask(served, "/v1/responses", input="Hi", max_output_tokens=4, stream=True)
    assert status == 200
    assert b"event: response.incomplete" in stream


def test_completions_of_llama_server_s_own(served: Gateway) -> None:
    assert told(served, "/completion", prompt="Once upon a", n_predict=4)["content"]
    assert told(served, "/completions", prompt="Once upon a", n_predict=4)["content"]
    said = [{"role": "user", "content": "Hello"}]
    assert told(served, "/chat/completions", messages=said, max_tokens=4)["choices"]


def test_a_model_without_the_tokens_for_infill_says_so(served: Gateway) -> None:
    status, _, answer = ask(served, "/infill", input_prefix="a", input_suffix="b", n_predict=4)
    assert status in {200, 400}, answer


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/embedding"])
def test_embeddings(served: Gateway, path: str) -> None:
    short = ask(served, path, model="embed", input=["Hello", "world"])
    assert short[0] == 200, short[2]
    found = json.loads(short[2])
    assert len(found["data"] if isinstance(found, dict) else found) == 2
    status, headers, answer = ask(served, path, model="embed", input=["Hello", LONG])
    assert status == 200, answer
    assert headers["X-Gateway-Variant"] == "embed@1024"


def test_an_input_that_is_too_long_to_embed(served: Gateway) -> None:
    status, _, answer = ask(served, "/v1/embeddings", model="embed", input=WORDS * 300)
    assert status == 400
    assert json.loads(answer)["error"]["code"] == "context_length_exceeded"


def test_pages_of_the_engine(served: Gateway) -> None:
    # Another test may have had it asked.
    unload(served, "idle")
    ask(served, "/tokenize", content="so that an engine runs")
    for path in ("/props", "/smol/props", "/slots?model=smol", "/upstream/smol/v1/models"):
        with urllib.request.urlopen(served.url + path, timeout=60) as response:
            assert json.load(response)
            # Where none is named, any engine that runs is asked.
            asked = ("smol@", "embed@") if path == "/props" else "smol@"
            assert response.headers["X-Gateway-Variant"].startswith(asked)
        head = urllib.request.Request(served.url + path, method="HEAD")
        with urllib.request.urlopen(head, timeout=60) as response:
            assert response.read() == b""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served.url}/idle/props", timeout=60)
    assert caught.value.code == 503
    caught.value.close()


def test_what_a_model_is_not_started_for(served: Gateway) -> None:
    status, _, answer = ask(served, "/v1/embeddings", model="smol", input="a")
    assert (status, json.loads(answer)["error"]["code"]) == (400, "capability_missing")
