"""engine/llamacpp/prompt_cache/layout.py: what an engine's arguments say of its slots."""

from __future__ import annotations

import pytest

from engine.llamacpp.prompt_cache.layout import caches, settles_idle, unified


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
    assert caches(args.split(), env) is does


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
    assert unified(args.split(), env) is does


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
    assert settles_idle(args.split(), env) is does
