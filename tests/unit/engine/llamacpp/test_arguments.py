"""engine/llamacpp/arguments.py: what a llama-server's arguments and variables say."""

from __future__ import annotations

import pytest
from builders import variant
from hypothesis import given
from hypothesis import strategies as st

from engine.llamacpp.arguments import (
    API_KEY,
    CACHE_IDLE_SLOTS,
    CONTEXT,
    EMBEDDINGS,
    JINJA,
    PORT,
    SLOTS,
    SWA_FULL,
    UNIFIED,
    Arguments,
    Flag,
    layers_shown,
    plain,
)

P = Flag(("-p", "--port"), "LLAMA_ARG_PORT")


@pytest.mark.parametrize(
    ("args", "env", "value"),
    [
        ("", {}, None),
        ("-c 4096", {}, None),
        ("--port 1", {}, "1"),
        ("-p 1 --port 2", {}, "2"),
        ("--port 1 -p 2 -c 4096", {}, "2"),
        ("-c 4096 --port", {}, None),
        ("--port=1", {}, None),
        ("", {"LLAMA_ARG_PORT": "3"}, "3"),
        ("-p 1", {"LLAMA_ARG_PORT": "3"}, "1"),
    ],
)
def test_the_last_value_counts_and_an_argument_before_its_variable(
    args: str, env: dict[str, str], value: str | None
) -> None:
    assert Arguments(args.split(), env).value(P) == value


def test_a_long_name_may_be_written_in_two_ways() -> None:
    said = Arguments(["--ctx_size", "4096", "--slot_save-path", "a_b"], {})
    assert said.value(CONTEXT) == "4096"
    assert said.value(Flag(("--slot-save-path",))) == "a_b", "a value stays as it is"
    assert plain("-a_b") == "-a_b"
    assert not Arguments(["--swa_full_x"], {}).on(SWA_FULL)


def test_what_the_variant_says_counts_before_what_its_engine_inherits() -> None:
    spec = variant(args=("-c", "512"), env={"LLAMA_ARG_PORT": "1"})
    said = Arguments.of(spec, {"LLAMA_ARG_PORT": "2", "LLAMA_API_KEY": "k"})
    assert (said.value(PORT), said.value(CONTEXT), said.value(API_KEY)) == ("1", "512", "k")
    assert Arguments.of(spec).value(API_KEY) is None


@pytest.mark.parametrize(
    ("args", "env", "on"),
    [
        ("", {}, True),
        ("--no-jinja", {}, False),
        ("--no-jinja --jinja", {}, True),
        ("", {"LLAMA_ARG_JINJA": "off"}, False),
        ("", {"LLAMA_ARG_JINJA": "0"}, False),
        ("", {"LLAMA_ARG_JINJA": "Disabled"}, False),
        ("", {"LLAMA_ARG_JINJA": "on"}, True),
        ("", {"LLAMA_ARG_JINJA": "nonsense"}, True),
        ("", {"LLAMA_ARG_JINJA": "1", "LLAMA_ARG_NO_JINJA": "whatever"}, False),
        ("--jinja", {"LLAMA_ARG_NO_JINJA": ""}, True),
    ],
)
def test_a_switch_that_is_on_unless_it_is_turned_off(
    args: str, env: dict[str, str], *, on: bool
) -> None:
    assert Arguments(args.split(), env).on(JINJA, default=True) is on


@pytest.mark.parametrize("value", ["", "0", "false", "off", "disabled", "no", "nonsense"])
def test_a_switch_that_is_off_unless_it_is_turned_on(value: str) -> None:
    for flag in (EMBEDDINGS, SWA_FULL):
        assert not Arguments((), {flag.variable: value}).on(flag)
        assert Arguments((), {flag.variable: "Enabled"}).on(flag)
        assert Arguments((flag.names[0],), {flag.variable: value}).on(flag)
        assert not Arguments((), {}).on(flag)


def test_a_flag_is_given_by_argument_or_variable() -> None:
    assert not Arguments((), {"": "x"}).given(Flag(("--slot-save-path",), "LLAMA_ARG_X"))
    assert Arguments(("--no-kv-unified",), {}).given(UNIFIED)
    assert Arguments((), {"LLAMA_ARG_NO_KV_UNIFIED": "1"}).given(UNIFIED)


@pytest.mark.parametrize(
    ("args", "context"),
    [
        ("", None),
        ("-c 0", None),
        ("-c 4k", None),
        ("-c 4096", 4096),
        ("-c 4096 -np 1", 4096),
        ("-c 4096 -np 4", 1024),
        ("-c 4096 -np 4 -kvu", 4096),
        ("-c 4096 -np -1", 4096),
    ],
)
def test_how_much_one_request_may_have(args: str, context: int | None) -> None:
    assert Arguments(args.split(), {}).slot_context() == context


@given(st.lists(st.sampled_from(["--port", "-np", "-c", "4", "--jinja", "x"]), max_size=8))
def test_every_command_line_can_be_read(args: list[str]) -> None:
    said = Arguments(args, {})
    assert (said.value(PORT) is not None) <= said.given(PORT)
    assert isinstance(said.number(SLOTS), int | None)
    said.files()


@pytest.mark.parametrize(
    ("args", "env", "does"),
    [
        ("", {}, True),
        ("--cache-ram 0", {}, False),
        ("-cram 0", {}, False),
        ("-cram 0 --cache-ram 100", {}, True),
        ("--cache-ram -1", {}, True),
        ("", {"LLAMA_ARG_CACHE_RAM": "0"}, False),
        ("-cram 64", {"LLAMA_ARG_CACHE_RAM": "0"}, True),
    ],
)
def test_a_cache_can_be_turned_off(args: str, env: dict[str, str], *, does: bool) -> None:
    assert Arguments(args.split(), env).caches_prompts() is does


@pytest.mark.parametrize(
    ("args", "env", "does"),
    [
        ("", {}, True),
        ("-np -1", {}, True),
        ("-np 2", {}, False),
        ("--parallel 2 -kvu", {}, True),
        ("-np 2 --kv-unified -no-kvu", {}, False),
        ("--no-kv-unified", {}, False),
        ("", {"LLAMA_ARG_N_PARALLEL": "4"}, False),
        ("-np 4", {"LLAMA_ARG_KV_UNIFIED": "1"}, True),
        ("", {"LLAMA_ARG_KV_UNIFIED": "False"}, False),
        ("-kvu", {"LLAMA_ARG_KV_UNIFIED": "0"}, True),
    ],
)
def test_slots_share_a_context(args: str, env: dict[str, str], *, does: bool) -> None:
    assert Arguments(args.split(), env).unified() is does


@pytest.mark.parametrize(
    ("args", "env", "does"),
    [
        ("", {}, False),
        ("--cache-idle-slots", {}, True),
        ("--no-cache-idle-slots", {}, True),
        ("", {"LLAMA_ARG_CACHE_IDLE_SLOTS": "1"}, True),
    ],
)
def test_a_users_word_on_idle_slots_is_heard(args: str, env: dict[str, str], *, does: bool) -> None:
    assert Arguments(args.split(), env).given(CACHE_IDLE_SLOTS) is does


@pytest.mark.parametrize(
    ("given_layers", "shown"),
    [(None, "auto"), ("999", "all"), ("20", "20"), ("-1", "auto"), ("-2", "all"), ("all", "all")],
)
def test_layers_on_the_gpu_are_told(given_layers: str | None, shown: str) -> None:
    assert layers_shown(given_layers) == shown
