"""Reads the arguments and variables of a llama-server: no other file knows their names. Pure.

1. A value is the next argument, and ``--flag=value`` is not known. In a long name ``_`` and ``-``
   are the same. Of a flag that is there several times the last one counts.
2. An argument counts before its ``LLAMA_ARG_*`` variable. A switch that can be turned off has a
   ``LLAMA_ARG_NO_*`` variable too: it is off where that is there, whatever its value.
3. ``off``, ``disabled``, ``false`` and ``0`` turn a switch off, ``on``, ``enabled``, ``true`` and
   ``1`` on. llama-server does not start with another value; here the default counts then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.spec import VariantSpec

ARGUMENTS = "LLAMA_ARG_"
_ON = frozenset({"on", "enabled", "true", "1"})
_OFF = frozenset({"off", "disabled", "false", "0"})


class Flag(NamedTuple):
    """The names of an argument, the variable that stands for it, and the names that turn it off."""

    names: tuple[str, ...]
    variable: str = ""
    off_names: tuple[str, ...] = ()


HOST = Flag(("--host",), "LLAMA_ARG_HOST")
PORT = Flag(("--port",), "LLAMA_ARG_PORT")
ALIAS = Flag(("-a", "--alias"), "LLAMA_ARG_ALIAS")
API_KEY = Flag(("--api-key",), "LLAMA_API_KEY")
MODEL = Flag(("-m", "--model"), "LLAMA_ARG_MODEL")
PROJECTOR = Flag(("-mm", "--mmproj"), "LLAMA_ARG_MMPROJ")
PROJECTOR_URL = Flag(("-mmu", "--mmproj-url"), "LLAMA_ARG_MMPROJ_URL")
PROJECTOR_AUTO = Flag(
    ("--mmproj-auto",), "LLAMA_ARG_MMPROJ_AUTO", ("--no-mmproj", "--no-mmproj-auto")
)
DOWNLOAD = Flag(("-hf", "-hfr", "--hf-repo"), "LLAMA_ARG_HF_REPO")
CONTEXT = Flag(("-c", "--ctx-size"), "LLAMA_ARG_CTX_SIZE")
SLOTS = Flag(("-np", "--parallel"), "LLAMA_ARG_N_PARALLEL")
UNIFIED = Flag(("-kvu", "--kv-unified"), "LLAMA_ARG_KV_UNIFIED", ("-no-kvu", "--no-kv-unified"))
EMBEDDINGS = Flag(("--embedding", "--embeddings"), "LLAMA_ARG_EMBEDDINGS")
RERANKING = Flag(("--rerank", "--reranking"), "LLAMA_ARG_RERANKING")
POOLING = Flag(("--pooling",), "LLAMA_ARG_POOLING")
JINJA = Flag(("--jinja",), "LLAMA_ARG_JINJA", ("--no-jinja",))
SWA_FULL = Flag(("--swa-full",), "LLAMA_ARG_SWA_FULL")
CACHE_RAM = Flag(("-cram", "--cache-ram"), "LLAMA_ARG_CACHE_RAM")
CACHE_IDLE_SLOTS = Flag(
    ("--cache-idle-slots",), "LLAMA_ARG_CACHE_IDLE_SLOTS", ("--no-cache-idle-slots",)
)
SLOT_SAVE_PATH = Flag(("--slot-save-path",))

# Arguments that name files, several with commas between them.
_FILES = frozenset(("--lora", "--control-vector", "-md", "--model-draft"))
# The same with ``:SCALE`` behind each name.
_SCALED = frozenset(("--lora-scaled", "--control-vector-scaled"))


def plain(word: str) -> str:
    """The argument as llama-server knows it: in a long name ``_`` and ``-`` are the same."""
    return word.replace("_", "-") if word.startswith("--") else word


class Arguments:
    """What a command line and its environment say."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str]) -> None:
        self._words = tuple(map(plain, args))
        # A value may hold what looks like a name, and keeps it.
        self._pairs = tuple(zip(self._words, args[1:], strict=False))
        self._env = env

    @classmethod
    def of(cls, variant: VariantSpec, environ: Mapping[str, str] | None = None) -> Arguments:
        """What the variant says, and what its engine inherits of ``environ``."""
        return cls(variant.args, {**(environ or {}), **variant.env})

    def given(self, flag: Flag) -> bool:
        """Whether an argument or a variable says anything of it."""
        return self._named(flag) or flag.variable in self._env or self._no(flag) in self._env

    def value(self, flag: Flag) -> str | None:
        """Its value, or None where nothing says one."""
        found = [value for name, value in self._pairs if name in flag.names]
        return found[-1] if found else self._env.get(flag.variable)

    def number(self, flag: Flag) -> int | None:
        """Its value as a whole number, or None where it is none."""
        try:
            return int(self.value(flag) or "")
        except ValueError:
            return None

    def on(self, flag: Flag, *, default: bool = False) -> bool:
        """Whether the switch is on."""
        said = [word in flag.names for word in self._words if word in flag.names + flag.off_names]
        if said:
            return said[-1]
        if self._no(flag) in self._env:
            return False
        value = self._env.get(flag.variable, "").strip().lower()
        return value in _ON or (default and value not in _OFF)

    def files(self) -> list[str]:
        """The paths of model, projector, adapters and draft model, as they are written."""
        by_variable = [
            self._env[flag.variable]
            for flag in (MODEL, PROJECTOR)
            if flag.variable in self._env and not self._named(flag)
        ]
        named = _FILES.union(MODEL.names, PROJECTOR.names)
        found = by_variable
        for name, value in self._pairs:
            if name in named:
                found += value.split(",")
            elif name in _SCALED:
                found += [path.rpartition(":")[0] or path for path in value.split(",")]
        return found

    # -- slots -----------------------------------------------------------------------

    def caches_prompts(self) -> bool:
        """Whether an engine that can keeps displaced prompts in its main memory."""
        return self.value(CACHE_RAM) != "0"

    def unified(self) -> bool:
        """Whether the slots share one context, as they do where their number is left to it."""
        return self.on(UNIFIED, default=(self.value(SLOTS) or "-1").startswith("-"))

    def slot_context(self) -> int | None:
        """How many tokens one request may have; None where only the engine knows.

        The context is divided among the slots, unless they share it.
        """
        context, slots = self.number(CONTEXT), self.number(SLOTS)
        if not context or context < 0:
            return None
        if slots is None or slots < 1 or self.unified():
            return context
        return context // slots

    def _named(self, flag: Flag) -> bool:
        return any(word in flag.names + flag.off_names for word in self._words)

    def _no(self, flag: Flag) -> str:
        """The variable that turns the switch off; one that is never set where there is none."""
        return flag.variable.replace(ARGUMENTS, f"{ARGUMENTS}NO_") if flag.off_names else "="
