"""Engines that are not llama.cpp: real servers started by commands, and one that is only asked.

Eliza, the chatbot of 1966, speaks OpenAI's API and wants a key. It has no health path: that it
answers 404 there is enough to know that it is ready. ``mlx_lm.server`` is started by
its preset, with a tiny model; ``MLX_LM_SERVER`` names it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import psutil
import pytest
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model, until
from tiny_safetensors import CONTEXT, write_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator

ELIZA = shutil.which("eliza-gpt", path=Path(sys.executable).parent)
COMMAND = f'"{ELIZA}", "--port", "${{PORT}}", "--api-key", "geheim", "--avg-response-time", 0'
MLX_LM = os.environ.get("MLX_LM_SERVER") or shutil.which("mlx_lm.server")
# By the model's name, what its server is called.
SERVERS = {"eliza": "eliza-gpt"} | ({"mlx": "mlx_lm.server"} if MLX_LM else {})
SAD: Any = [{"role": "user", "content": "I am sad"}]
TOKEN = "operator"


def generic(more: str = "", command: str = COMMAND) -> str:
    return (
        '{ name = "eliza", engine = presets.engines.generic, api_key = "geheim",'
        ' ready_status = 404, endpoints = { "/v1/chat/completions" },'
        f" {more} variants = {{ {{ command = {{ {command} }} }} }} }}"
    )


def mlx(model: Path) -> str:
    return (
        f'presets.servers.mlx_lm({{ name = "mlx", model = "{model}", context = {CONTEXT},'
        f' command = {{ "{MLX_LM}" }}, env = {{ HF_HUB_OFFLINE = "1" }} }})'
    )


@pytest.fixture(scope="module", params=SERVERS)
def served(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp(request.param)
    models = generic() if request.param == "eliza" else mlx(write_safetensors(folder / "model"))
    with gateway(folder, lua_config(folder, models, f'admin_token = "{TOKEN}",')) as running:
        yield running


@pytest.fixture
def model(request: Any) -> str:
    """The name of the model that is served."""
    name: str = request.node.callspec.params["served"]
    return name


def admin(served: Gateway, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Admin-Token": TOKEN}
    request = urllib.request.Request(f"{served.url}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def client(served: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="the client's own", max_retries=0)


def said(served: Gateway, model: str = "eliza") -> str:
    with client(served) as asking:
        answer = asking.chat.completions.create(model=model, messages=SAD, max_tokens=12)
    return answer.choices[0].message.content or ""


def engine(served: Gateway) -> dict[str, Any]:
    """What is told of the only engine; {} when there is none."""
    return next(iter(admin(served, "/running")["engines"]), {})


def answered(model: str, text: str) -> bool:
    """Whether the model can have said so: Eliza repeats a word, the tiny one writes letters."""
    return "sad" in text if model == "eliza" else len(text) == 12 and text.isalpha()


def test_a_server_is_started_for_a_request_and_answers(served: Gateway, model: str) -> None:
    [listed] = admin(served, "/v1/models")["data"]
    context = CONTEXT if model == "mlx" else None
    assert (listed["capabilities"], listed["context_length"]) == (["text"], context)
    assert answered(model, said(served, model))
    running = engine(served)
    assert (running["model"], running["state"]) == (model, "ready")
    assert SERVERS[model] in " ".join(psutil.Process(running["pid"]).cmdline())


def test_it_streams(served: Gateway, model: str) -> None:
    with client(served) as asking:
        chunks = list(
            asking.chat.completions.create(model=model, messages=SAD, stream=True, max_tokens=12)
        )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(chunks) > 2
    assert answered(model, text)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_paths_that_it_has_not_are_refused_by_name(served: Gateway, model: str) -> None:
    with client(served) as asking:
        with pytest.raises(openai.BadRequestError, match="does not serve /v1/embeddings"):
            asking.embeddings.create(model=model, input="a")
        with pytest.raises(openai.BadRequestError, match="does not serve /other"):
            asking.post(f"{served.url}/upstream/{model}/other", cast_to=object, body={})


def test_it_is_unloaded_and_started_again(served: Gateway, model: str) -> None:
    said(served, model)
    first = engine(served)
    assert admin(served, "/admin/unload", {"model": model}) == {"unloaded": [first["variant"]]}
    assert not psutil.pid_exists(first["pid"])
    assert engine(served) == {}
    loaded = admin(served, "/admin/load", {"model": model})
    assert loaded["variant"] == first["variant"]
    assert answered(model, said(served, model))
    assert engine(served)["pid"] != first["pid"]


def test_it_crashes_and_is_started_again(served: Gateway, model: str) -> None:
    said(served, model)
    first = engine(served)["pid"]
    os.kill(first, signal.SIGKILL)
    assert answered(model, said(served, model))
    assert engine(served)["pid"] != first
    assert any("ended by itself, signal 9" in line for line in served.log)


def test_a_crash_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    slowly = COMMAND.replace('"--avg-response-time", 0', '"--avg-response-time", 3')
    config = lua_config(tmp_path, generic(command=slowly), f'admin_token = "{TOKEN}",')
    with gateway(tmp_path, config) as served, client(served) as asking:
        chat = asking.chat.completions
        chunks = chat.create(model="eliza", messages=SAD, stream=True)
        assert next(chunks).choices
        os.kill(engine(served)["pid"], signal.SIGKILL)
        with pytest.raises(openai.APIError, match="eliza@default broke off its answer: signal 9"):
            list(chunks)
        again = chat.create(model="eliza", messages=SAD, stream=True)
        assert next(again).choices
        again.close()


@pytest.mark.parametrize("served", [name for name in SERVERS if name == "mlx"], indirect=True)
def test_its_own_count_is_told_and_remembered(served: Gateway) -> None:
    """It counts no prompt before its answer; the bytes of a prompt tell how long it is at most."""
    asked: Any = [{"role": "user", "content": "How many bytes?"}]

    def told() -> str:
        with client(served) as asking:
            answer = asking.chat.completions.with_raw_response.create(
                model="mlx", messages=asked, max_tokens=12
            )
        usage = answer.parse().usage
        assert usage is not None
        # A byte is a token, and the template adds two.
        assert (usage.prompt_tokens, usage.completion_tokens) == (17, 12)
        return answer.headers["X-Gateway-Prompt-Tokens"]

    assert told().endswith("; source=bound")
    assert told() == "17; source=cache"
    until(lambda: any("prompt=17 completion=12" in line for line in served.log))


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    models = generic(command=f'{COMMAND}, "--colour"')
    with (
        gateway(tmp_path, lua_config(tmp_path, models)) as served,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        said(served)
    assert "eliza@default" in caught.value.message
    assert "unrecognized arguments: --colour" in caught.value.message


def test_a_server_elsewhere_is_asked_beside_the_one_here(tmp_path: Path) -> None:
    """The one elsewhere is a llama-server behind a gateway; max_loaded_models is 1."""
    (tmp_path / "far").mkdir()
    far = lua_config(tmp_path / "far", lua_model("smol", ENGINES["bundled"], (512,)))
    with gateway(tmp_path / "far", far) as other:
        remote = (
            f'{{ name = "small", engine = presets.engines.remote, url = "{other.url}/v1",'
            ' upstream_model = "smol", health_path = "/health", health_check_timeout = 1,'
            ' endpoints = { "/v1/chat/completions", "/tokenize" } }'
        )
        models = f"{generic()}, {remote}"
        with gateway(tmp_path, lua_config(tmp_path, models, f'admin_token = "{TOKEN}",')) as served:
            assert "sad" in said(served)
            here = engine(served)["pid"]
            with client(served) as asking:
                answer = asking.chat.completions.create(model="small", messages=SAD, max_tokens=8)
            assert answer.usage is not None
            assert answer.usage.completion_tokens == 8
            engines = {each["model"]: each for each in admin(served, "/running")["engines"]}
            assert engines["eliza"]["pid"] == here, "it did not make room"
            assert (engines["small"]["pid"], engines["small"]["url"]) == (None, other.url)
            # Access lines are written some together, a moment later.
            until(lambda: any("model=small" in line and "POST" in line for line in served.log))
            [line] = [line for line in served.log if "model=small" in line and "POST" in line]
            assert "completion=8" in line
            assert admin(served, "/admin/unload", {"model": "small"}) == {
                "unloaded": ["small@default"]
            }
            other.stop()
            with pytest.raises(openai.InternalServerError, match="did not say within health_check"):
                said(served, "small")
            until(lambda: "small@default" in str(admin(served, "/running")))
