"""How an engine manages its slots, by its arguments. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.llamacpp.client import argument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNIFIED = "-kvu", "--kv-unified"
_SPLIT = "-no-kvu", "--no-kv-unified"
_IDLE = "--cache-idle-slots", "--no-cache-idle-slots"
_NO = frozenset({"0", "false", "off", "disabled"})


def caches(args: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether an engine keeps displaced prompts in main memory, if it is able to."""
    said = argument(args, "-cram", "--cache-ram") or env.get("LLAMA_ARG_CACHE_RAM")
    return said != "0"


def unified(args: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether the slots share one context; so if the engine chooses their number."""
    said = [arg in _UNIFIED for arg in args if arg in _UNIFIED or arg in _SPLIT]
    if said:
        return said[-1]
    if "LLAMA_ARG_KV_UNIFIED" in env:
        return env["LLAMA_ARG_KV_UNIFIED"].lower() not in _NO
    number = argument(args, "-np", "--parallel") or env.get("LLAMA_ARG_N_PARALLEL") or "-1"
    return number.startswith("-")


def settles_idle(args: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether the arguments set what happens to idle slots while others work."""
    return any(arg in _IDLE for arg in args) or "LLAMA_ARG_CACHE_IDLE_SLOTS" in env
