"""engine/llamacpp/client.py: command line, environment, address and key of a llama-server."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from builders import variant
from hypothesis import given
from hypothesis import strategies as st

from engine.llamacpp.client import (
    LlamaCppEngine,
    Properties,
    _integer,
    _properties,
    api_key,
    build_launch,
    engine_url,
    library_environment,
)
from utils.errors import CountUnavailable

URL = "http://127.0.0.1:8080"
words = st.lists(st.sampled_from(["--host", "--port", "-c", "4096", "x"]), max_size=8)


@pytest.mark.parametrize(
    ("args", "env", "connect", "url"),
    [
        ((), {}, None, None),
        (("--host", "10.0.0.7"), {}, None, None),
        (("--port", "9000"), {}, None, "http://127.0.0.1:9000"),
        (("--port", "9000", "--host", "10.0.0.7"), {}, None, "http://10.0.0.7:9000"),
        (("--port", "9000", "--host", "0.0.0.0"), {}, None, "http://127.0.0.1:9000"),
        (("--port", "9000", "--host", "::"), {}, None, "http://127.0.0.1:9000"),
        (("--port", "9000", "--host", "::1"), {}, None, "http://[::1]:9000"),
        ((), {"LLAMA_ARG_PORT": "9001"}, None, "http://127.0.0.1:9001"),
        (
            (),
            {"LLAMA_ARG_PORT": "9001", "LLAMA_ARG_HOST": "localhost"},
            None,
            "http://localhost:9001",
        ),
        (("--port", "9000"), {"LLAMA_ARG_PORT": "9001"}, None, "http://127.0.0.1:9000"),
        ((), {}, URL, URL),
        (("--port", "9000"), {}, f"{URL}/", URL),
    ],
)
def test_where_an_engine_will_listen(
    args: tuple[str, ...], env: dict[str, str], connect: str | None, url: str | None
) -> None:
    assert engine_url(variant(args=args, env=env), connect) == url


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ["/opt/llama"]),
        ("", ["/opt/llama"]),
        ("/usr/local/cuda", ["/opt/llama", "/usr/local/cuda"]),
    ],
)
def test_the_folder_of_the_binary_is_searched_first(
    name: str, before: str | None, after: list[str]
) -> None:
    environ = {"PATH": "/bin"} | ({} if before is None else {name: before})
    env = library_environment(environ, "/opt/llama/llama-server")
    assert env[name] == os.pathsep.join(after)
    assert env["PATH"] == "/bin"
    assert set(env) == {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}


def test_the_environment_that_was_given_is_left_alone() -> None:
    environ = {"LD_LIBRARY_PATH": "/lib"}
    library_environment(environ, "/opt/llama/llama-server")
    assert environ == {"LD_LIBRARY_PATH": "/lib"}


@pytest.mark.parametrize(
    ("args", "env", "added"),
    [
        ((), {}, "--host 127.0.0.1 --port 8080 --alias m"),
        (("--host", "::1"), {}, "--port 8080 --alias m"),
        (("--port", "8080"), {}, "--host 127.0.0.1 --alias m"),
        (("--alias", "qwen"), {}, "--host 127.0.0.1 --port 8080"),
        (("-a", "qwen"), {}, "--host 127.0.0.1 --port 8080"),
        ((), {"LLAMA_ARG_HOST": "::1"}, "--port 8080 --alias m"),
        ((), {"LLAMA_ARG_PORT": "8080"}, "--host 127.0.0.1 --alias m"),
        ((), {"LLAMA_ARG_ALIAS": "qwen"}, "--host 127.0.0.1 --port 8080"),
    ],
)
def test_only_what_the_user_left_out_is_added(
    args: tuple[str, ...], env: dict[str, str], added: str
) -> None:
    launch = build_launch(variant(args=args, env=env), URL, {})
    assert launch.argv == ("/opt/llama/llama-server", *args, *added.split())


def test_the_launch_of_a_variant() -> None:
    spec = variant(8192, "qwen", args=("-m", "q.gguf"), env={"CUDA_VISIBLE_DEVICES": "1"})
    launch = build_launch(spec, "http://[::1]:9000", {"CUDA_VISIBLE_DEVICES": "0", "HOME": "/root"})
    assert launch.label == "qwen@8192"
    assert launch.url == "http://[::1]:9000"
    assert launch.argv[3:] == ("--host", "::1", "--port", "9000", "--alias", "qwen")
    assert launch.env == {
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/root",
        "LD_LIBRARY_PATH": "/opt/llama",
        "DYLD_LIBRARY_PATH": "/opt/llama",
    }


def test_the_word_for_a_picture_in_an_embedding() -> None:
    name = "LLAMA_MEDIA_MARKER"
    embeds = variant(args=("--embeddings",))
    assert build_launch(embeds, URL, {}).env[name] == "<__media__>"
    assert build_launch(embeds, URL, {name: "<own>"}).env[name] == "<own>"
    assert name not in build_launch(variant(), URL, {}).env


def test_a_variant_s_own_library_path_comes_after_the_binary_s_folder() -> None:
    launch = build_launch(variant(env={"LD_LIBRARY_PATH": "/cuda"}), URL, {"LD_LIBRARY_PATH": "/x"})
    assert launch.env["LD_LIBRARY_PATH"] == os.pathsep.join(["/opt/llama", "/cuda"])


@given(words)
def test_the_user_s_words_stay_as_they_are_and_what_is_added_adds_up(args: list[str]) -> None:
    launch = build_launch(variant(args=tuple(args)), URL, {})
    assert launch.argv[1 : len(args) + 1] == tuple(args)
    for name in ("--host", "--port", "--alias"):
        assert launch.argv.count(name) == max(1, args.count(name))


@pytest.mark.parametrize(
    ("args", "env", "key"),
    [
        ((), {}, None),
        (("--api-key", "secret"), {}, "secret"),
        (("--api-key", "first,second"), {}, "first"),
        ((), {"LLAMA_API_KEY": "from-env"}, "from-env"),
        (("--api-key", "secret"), {"LLAMA_API_KEY": "from-env"}, "secret"),
        (("--api-key", ""), {}, None),
    ],
)
def test_the_key_that_the_engine_asks_for(
    args: tuple[str, ...], env: dict[str, str], key: str | None
) -> None:
    spec = variant(args=args, env=env)
    assert api_key(spec, {}) == key
    assert api_key(spec, {"LLAMA_API_KEY": "inherited"}) == (key or "inherited")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    assert LlamaCppEngine(spec, URL)._headers == headers


def test_a_number_in_an_answer() -> None:
    assert _integer({"input_tokens": 37, "object": "x"}, "input_tokens") == 37


@pytest.mark.parametrize("answer", [None, [], "37", 37, {}, {"n": None}, {"n": "37"}, {"n": 3.5}])
def test_an_answer_without_that_number_is_no_count(answer: Any) -> None:
    with pytest.raises(CountUnavailable, match="has no n"):
        _integer(answer, "n")


@pytest.mark.parametrize(
    ("answer", "properties"),
    [
        ({"total_slots": 2}, Properties(2)),
        ({"total_slots": 2, "default_generation_settings": None}, Properties(2)),
        (
            {
                "total_slots": 1,
                "default_generation_settings": {"n_ctx": 512},
                "model_path": "/models/x.gguf",
            },
            Properties(1, 512, "/models/x.gguf"),
        ),
    ],
)
def test_what_an_engine_says_of_itself(answer: Any, properties: Properties) -> None:
    assert _properties(answer) == properties


def test_an_engine_that_does_not_tell_its_slots_says_nothing() -> None:
    with pytest.raises(CountUnavailable, match="total_slots"):
        _properties({"model_path": "/models/x.gguf"})


def too_large(tokens: int) -> str:
    return (
        f"input ({tokens} tokens) is too large to process. increase the physical batch size"
        " (current batch size: 512)"
    )


@pytest.mark.parametrize(
    ("status", "error", "found"),
    [
        (
            400,
            {"type": "exceed_context_size_error", "n_prompt_tokens": 3519, "n_ctx": 512},
            (3519, 512),
        ),
        (500, {"type": "server_error", "message": too_large(5000)}, (5000, 4096)),
        # The batch is too small, not the context: the engine's words tell what to change.
        (500, {"type": "server_error", "message": too_large(801)}, None),
        (500, {"type": "server_error", "message": "something else"}, None),
        (500, {"type": "server_error"}, None),
        (400, {"type": "invalid_request_error", "message": "no"}, None),
    ],
)
def test_a_prompt_that_is_too_long(status: int, error: Any, found: tuple[int, int] | None) -> None:
    answer: Any = SimpleNamespace(status=status, first=orjson.dumps({"error": error}))
    assert LlamaCppEngine(variant(4096), URL).too_long(answer) == found
