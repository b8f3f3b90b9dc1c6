"""A real engine hangs: a signal stops it, as a driver or a full disk would."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFTEN = (
    "health_check_interval = 0.2, health_check_timeout = 1, health_check_failures = 2,"
    " engine_stop_timeout = 1,"
)
PATIENCE = 60.0
# An answer that fills it lasts for seconds.
CONTEXT = 8192
FOX = "the quick brown fox jumps over the lazy dog "


@pytest.fixture(params=ONE)
def served(request: pytest.FixtureRequest, tmp_path: Path, tiny: Path) -> Iterator[Gateway]:
    models = lua_model("smol", ENGINES[request.param], (CONTEXT,), file=tiny)
    with gateway(tmp_path, lua_config(tmp_path, models, OFTEN)) as running:
        yield running


def ask(served: Gateway, text: str = "Hello", max_tokens: int = 4, **fields: Any) -> Any:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens, **fields}
    request = urllib.request.Request(f"{served.url}/v1/chat/completions", json.dumps(body).encode())
    return urllib.request.urlopen(request, timeout=PATIENCE)


def hang(served: Gateway) -> None:
    """Stop every process of the engine."""
    children = psutil.Process(served.process.pid).children(recursive=True)
    assert children
    for child in children:
        child.suspend()
    # On a busy machine they may still have a word to say.
    deadline = time.monotonic() + PATIENCE
    while any(child.status() != psutil.STATUS_STOPPED for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stream_from_an_engine_that_hangs_is_told_and_the_next_is_served(
    served: Gateway,
) -> None:
    with ask(served, max_tokens=CONTEXT - 200, stream=True, ignore_eos=True) as stream:
        for line in stream:
            if b'"content":"' in line:
                break
        hang(served)
        # Cut off after the event that says why, so that no client takes it for a whole answer.
        with pytest.raises(http.client.IncompleteRead) as cut:
            stream.read()
        rest = cut.value.partial.decode()
    assert "engine_broke" in rest
    assert "none of its last 2 health checks" in rest
    with ask(served) as answer:
        assert answer.status == 200
    assert served.stop() == 0


def test_a_request_that_waits_for_its_answer_gets_it_from_the_next_engine(served: Gateway) -> None:
    with ask(served) as answer:
        assert answer.status == 200
    hang(served)
    with ask(served) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"]
    assert served.stop() == 0


@pytest.mark.parametrize("engine", ONE)
def test_an_engine_that_reads_a_long_prompt_is_not_taken_for_one_that_hangs(
    engine: str, tmp_path: Path
) -> None:
    # Seconds without a byte of an answer, and many looks. Its counter moves once per batch of 16
    # tokens, within the limit; all of it takes longer.
    models = lua_model("smol", ENGINES[engine], (2048,), args=("-b", "16", "-ub", "16"))
    checks = "health_check_interval = 0.2, health_check_timeout = 2, health_check_failures = 2,"
    with gateway(tmp_path, lua_config(tmp_path, models, f"{checks} stall_timeout = 2,")) as served:
        with ask(served, FOX * 40) as answer:
            assert json.load(answer)["usage"]["prompt_tokens"] > 350
        assert not [line for line in served.log if "is replaced" in line]
        assert served.stop() == 0


@pytest.mark.parametrize("engine", ONE)
def test_computing_without_a_sign_of_progress_is_cut_off(engine: str, tmp_path: Path) -> None:
    # One batch for the whole prompt: as seen from outside, nothing moves in all that time.
    models = lua_model("smol", ENGINES[engine], (2048,), args=("-b", "2048"))
    limits = "stall_timeout = 0.5, engine_stop_timeout = 0.1,"
    with gateway(tmp_path, lua_config(tmp_path, models, limits)) as served:
        with pytest.raises(urllib.error.HTTPError) as told:
            ask(served, FOX * 150)
        with told.value as answer:
            assert answer.status == 502
            assert "nothing moved on its requests for 0.5 s" in answer.read().decode()
        assert served.stop() == 0
