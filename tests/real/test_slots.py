"""Real engines with two slots: answers side by side, and slots that are saved at an unload."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model, until
from talk import unload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from pathlib import Path

# So quick a model writes for seconds until this is full.
CONTEXT = 4096
# Two answers of this length are slower, side by side in one cache.
SHARED = 1024
TALE = "A fox walks through the snow and meets a bear who is looking for honey. " * 12


@pytest.fixture(scope="module", params=list(ENGINES))
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny: Path
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("slots")
    args = ("-np", "2", "-c", str(2 * CONTEXT))
    model = lua_model("smol", ENGINES[request.param], (CONTEXT,), args=args, file=tiny)
    model = model.replace("context =", "parallel = 2, context =")
    with gateway(folder, lua_config(folder, model)) as running:
        yield running


def ask(served: Gateway, path: str, text: str, **fields: Any) -> HTTPResponse:
    asked = {"model": "smol", "messages": [{"role": "user", "content": text}], **fields}
    request = urllib.request.Request(served.url + path, json.dumps(asked).encode())
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=120)
    return answer


def chat(served: Gateway, text: str, **fields: Any) -> HTTPResponse:
    return ask(served, "/v1/chat/completions", text, ignore_eos=True, **fields)


def active(served: Gateway) -> int:
    with urllib.request.urlopen(f"{served.url}/health", timeout=30) as told:
        [engine] = json.load(told)["engines"]
    return int(engine["active"])


def until_token(stream: HTTPResponse) -> None:
    """Read to the end of the next event with text."""
    while b'"content":"' not in (line := stream.readline()):
        assert line, "the answer has ended"


def test_short_answers_do_not_wait_for_a_long_one(served: Gateway) -> None:
    # Nothing names the slot of a request that wants nothing remembered.
    with chat(served, TALE, stream=True, max_tokens=CONTEXT - 600, cache_prompt=False) as long:
        until_token(long)
        for text in ("one", "two", "three"):
            with chat(served, text, max_tokens=3) as short:
                assert json.load(short)["usage"]["completion_tokens"] == 3
        # The long one has its end before it.
        until(lambda: active(served) <= 1)
        assert active(served) == 1


def test_messages_of_two_conversations_outlive_an_unload(served: Gateway) -> None:
    for text in (f"Ann: {TALE}", f"Bob tells another tale than Ann. {TALE}"):
        with ask(served, "/v1/messages", text, max_tokens=4) as answer:
            usage = json.load(answer)["usage"]
        unload(served, "smol")
        with ask(served, "/v1/messages", text, max_tokens=4) as answer:
            again = json.load(answer)["usage"]
        asked = usage["input_tokens"] + usage["cache_read_input_tokens"]
        assert again["cache_read_input_tokens"] >= asked - 8


@pytest.mark.parametrize("engine", ONE)
def test_an_answer_without_a_limit_leaves_its_neighbour_room(
    engine: str, tmp_path: Path, tiny: Path
) -> None:
    # Each slot may fill all the tokens, of which half belong to each request.
    args = ("-np", "2", "-c", str(2 * SHARED), "-kvu")
    model = lua_model("smol", ENGINES[engine], (SHARED,), args=args, file=tiny)
    model = model.replace("context =", "parallel = 2, context =")
    reserve = "default_max_tokens = 64, extra_tokens_per_request = 32"
    model = model.replace("variants =", f"tokenization = {{ {reserve} }}, variants =")
    with gateway(tmp_path, lua_config(tmp_path, model)) as served:
        with chat(served, "one", stream=True) as endless:
            for _ in range(50):
                until_token(endless)
            with chat(served, "two", max_tokens=SHARED - 100) as neighbour:
                answer = json.load(neighbour)
            assert answer["usage"]["completion_tokens"] == SHARED - 100
            events = endless.read().decode()
        assert '"finish_reason":"length"' in events
        assert "[DONE]" in events
        assert served.stop() == 0


def test_two_answers_at_once_are_one_response(served: Gateway) -> None:
    with chat(served, "one", n=2, max_tokens=3) as answer:
        whole = json.load(answer)
    assert sorted(choice["index"] for choice in whole["choices"]) == [0, 1]
    options = {"include_usage": True}
    with chat(served, "one", n=2, max_tokens=3, stream=True, stream_options=options) as stream:
        told = [line[6:] for line in stream if line.startswith(b"data: ")]
    assert told.pop() == b"[DONE]\n"
    events = [json.loads(line) for line in told]
    usage = [event["usage"] for event in events if event.get("usage")]
    assert [(each["completion_tokens"], each["prompt_tokens"]) for each in usage] == [
        (6, whole["usage"]["prompt_tokens"])
    ]
    roles = [c["index"] for e in events for c in e["choices"] if c["delta"].get("role")]
    assert sorted(roles) == [0, 1]
