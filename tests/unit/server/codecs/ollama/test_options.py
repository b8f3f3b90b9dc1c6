"""server/codecs/ollama/options.py: the options of a request."""

from __future__ import annotations

from typing import Any

import pytest

from server.codecs.ollama.options import options_of
from utils.errors import BadRequest


def options(**given: Any) -> Any:
    return options_of({"options": given})


def test_options_for_sampling_become_the_engines_fields() -> None:
    found = options(
        num_keep=4,
        num_predict=42.0,
        seed=-1,
        top_k=20,
        top_p=1,
        min_p=0.05,
        typical_p=0.7,
        repeat_last_n=-1,
        temperature=0,
        repeat_penalty=1.1,
        presence_penalty=1.5,
        frequency_penalty=0.5,
        mirostat=2,
        mirostat_tau=5.0,
        mirostat_eta=0.1,
        stop=["\n", "user:"],
    )
    assert found.fields == {
        "n_keep": 4,
        "max_tokens": 42,
        "seed": -1,
        "top_k": 20,
        "top_p": 1,
        "min_p": 0.05,
        "typical_p": 0.7,
        "repeat_last_n": -1,
        "temperature": 0,
        "repeat_penalty": 1.1,
        "presence_penalty": 1.5,
        "frequency_penalty": 0.5,
        "mirostat": 2,
        "mirostat_tau": 5.0,
        "mirostat_eta": 0.1,
        "stop": ["\n", "user:"],
    }
    assert (found.context, found.unused) == (0, ())


@pytest.mark.parametrize("endless", [-1, -2])
def test_an_answer_without_a_limit(endless: int) -> None:
    assert options(num_predict=endless).fields == {}
    assert options(num_predict=0).fields == {"max_tokens": 0}


def test_the_wanted_context() -> None:
    assert options(num_ctx=8192) == ({}, 8192, ())
    assert options(num_ctx=-1).context == 0
    assert options(num_ctx=10**12).context == 2**31 - 1


def test_options_that_change_nothing_are_named() -> None:
    loading = {"num_gpu": 99, "main_gpu": 0, "num_batch": 512, "use_mmap": True, "num_thread": 8}
    assert options(**loading, tfs_z=1.0, seed=1) == ({"seed": 1}, 0, (*loading, "tfs_z"))


def test_no_options() -> None:
    assert options_of({}) == options_of({"options": None}) == ({}, 0, ())
    assert options(temperature=None, num_ctx=None, num_gpu=None) == ({}, 0, ())
    assert options(stop="end").fields == {"stop": ["end"]}


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("num_predict", "many", "an integer"),
        ("num_ctx", True, "an integer"),
        ("temperature", "hot", "a number"),
        ("top_p", [1], "a number"),
        ("stop", [1], "an array of strings"),
        ("stop", {}, "an array of strings"),
    ],
)
def test_a_wrong_type_is_refused_by_name(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(BadRequest, match=f"'options.{name}' must be {wanted}, not") as fault:
        options(**{name: value})
    assert fault.value.param == f"options.{name}"


@pytest.mark.parametrize("value", [2**63, 1e300, -1e300])
def test_an_integer_that_no_engine_takes(value: float) -> None:
    with pytest.raises(BadRequest, match=r"'options\.seed' is out of range"):
        options(seed=value)


def test_options_must_be_an_object() -> None:
    with pytest.raises(BadRequest, match="'options' must be an object, not an array"):
        options_of({"options": [1]})
