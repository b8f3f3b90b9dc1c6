"""Read the arguments and environment variables of a llama-server. Pure.

What the gateway asks of them is asked here; ``prompt_cache/fingerprint.py`` only lists those that a
saved slot does not depend on. The rules are those of llama-server:

1. A value is the next argument; ``--flag=value`` is not allowed. In a long name ``_`` and ``-`` are
   the same. If a flag is repeated, the last one counts.
2. An argument overrides its ``LLAMA_ARG_*`` variable. A switch that can be turned off also has a
   ``LLAMA_ARG_NO_*`` variable; if that variable exists, the switch is off.
3. ``off``, ``disabled``, ``false`` and ``0`` turn a switch off; ``on``, ``enabled``, ``true`` and
   ``1`` turn it on. llama-server does not start with another value; here the default counts.
"""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.spec import VariantSpec

ARGUMENTS = "LLAMA_ARG_"
_ON = frozenset({"on", "enabled", "true", "1"})
_OFF = frozenset({"off", "disabled", "false", "0"})


class Flag(NamedTuple):
    """The names of an argument, its variable, and the names that turn it off."""

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
# More layers than any model has: all of them.
MOST_LAYERS = 999
GPU_LAYERS = Flag(("-ngl", "--gpu-layers", "--n-gpu-layers"), "LLAMA_ARG_N_GPU_LAYERS")
CACHE_KEYS = Flag(("-ctk", "--cache-type-k"), "LLAMA_ARG_CACHE_TYPE_K")
CACHE_VALUES = Flag(("-ctv", "--cache-type-v"), "LLAMA_ARG_CACHE_TYPE_V")
FLASH_ATTENTION = Flag(("-fa", "--flash-attn"), "LLAMA_ARG_FLASH_ATTN")
UBATCH = Flag(("-ub", "--ubatch-size"), "LLAMA_ARG_UBATCH")
# What moves parts of layers away from where the number of layers puts them.
LAYERS_ELSEWHERE = (
    Flag(("-cmoe", "--cpu-moe"), "LLAMA_ARG_CPU_MOE"),
    Flag(("-ncmoe", "--n-cpu-moe"), "LLAMA_ARG_N_CPU_MOE"),
    Flag(("-ncffn", "--n-cpu-ffn"), "LLAMA_ARG_N_CPU_FFN"),
    Flag(("-ot", "--override-tensor"), "LLAMA_ARG_OVERRIDE_TENSOR"),
)
SLOTS = Flag(("-np", "--parallel"), "LLAMA_ARG_N_PARALLEL")
UNIFIED = Flag(("-kvu", "--kv-unified"), "LLAMA_ARG_KV_UNIFIED", ("-no-kvu", "--no-kv-unified"))
EMBEDDINGS = Flag(("--embedding", "--embeddings"), "LLAMA_ARG_EMBEDDINGS")
RERANKING = Flag(("--rerank", "--reranking"), "LLAMA_ARG_RERANKING")
POOLING = Flag(("--pooling",), "LLAMA_ARG_POOLING")
JINJA = Flag(("--jinja",), "LLAMA_ARG_JINJA", ("--no-jinja",))
CHAT_TEMPLATE = Flag(("--chat-template",), "LLAMA_ARG_CHAT_TEMPLATE")
CHAT_TEMPLATE_FILE = Flag(("--chat-template-file",), "LLAMA_ARG_CHAT_TEMPLATE_FILE")
TEMPLATE_KWARGS = Flag(("--chat-template-kwargs",), "LLAMA_ARG_CHAT_TEMPLATE_KWARGS")
REASONING = Flag(("-rea", "--reasoning"), "LLAMA_ARG_REASONING")
REASONING_FORMAT = Flag(("--reasoning-format",), "LLAMA_ARG_THINK")
SWA_FULL = Flag(("--swa-full",), "LLAMA_ARG_SWA_FULL")
CACHE_RAM = Flag(("-cram", "--cache-ram"), "LLAMA_ARG_CACHE_RAM")
CACHE_IDLE_SLOTS = Flag(
    ("--cache-idle-slots",), "LLAMA_ARG_CACHE_IDLE_SLOTS", ("--no-cache-idle-slots",)
)
SLOT_SAVE_PATH = Flag(("--slot-save-path",))

# What decides how a chat becomes a prompt.
TEMPLATE = (
    JINJA,
    CHAT_TEMPLATE,
    CHAT_TEMPLATE_FILE,
    TEMPLATE_KWARGS,
    REASONING,
    REASONING_FORMAT,
)
_SWITCHES = frozenset((*JINJA.names, *JINJA.off_names))

# Arguments that name files, several with commas between them.
_FILES = frozenset(("--lora", "--control-vector", "-md", "--model-draft"))
# The same with ``:SCALE`` behind each name.
_SCALED = frozenset(("--lora-scaled", "--control-vector-scaled"))


def layers_shown(given: str | None) -> str:
    """Return the value of ``-ngl`` for people; without it, llama-server chooses by the memory."""
    text = (given or "auto").strip()
    named = {"-1": "auto", "-2": "all"}
    return "all" if text.isdecimal() and int(text) >= MOST_LAYERS else named.get(text, text)


def plain(word: str) -> str:
    """Return the argument in one spelling: in a long name ``_`` becomes ``-``."""
    return word.replace("_", "-") if word.startswith("--") else word


class Arguments:
    """A command line and its environment."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str]) -> None:
        self._words = tuple(map(plain, args))
        # A value keeps its spelling.
        self._pairs = tuple(zip(self._words, args[1:], strict=False))
        self._env = env

    @classmethod
    def of(cls, variant: VariantSpec, environ: Mapping[str, str] | None = None) -> Arguments:
        """Return the variant's arguments and variables; the others come from ``environ``."""
        # A copy would decode the whole environment, of which few variables are looked up.
        layers = (variant.env, environ or {})
        return cls(variant.args, ChainMap(*cast("list[dict[str, str]]", layers)))

    def given(self, flag: Flag) -> bool:
        """Return whether an argument or a variable sets the flag."""
        return self._named(flag) or flag.variable in self._env or self._no(flag) in self._env

    def value(self, flag: Flag) -> str | None:
        """Return the flag's value, or None if it has none."""
        found = [value for name, value in self._pairs if name in flag.names]
        return found[-1] if found else self._env.get(flag.variable)

    def number(self, flag: Flag) -> int | None:
        """Return the flag's value as an integer, or None if it is not one."""
        try:
            return int(self.value(flag) or "")
        except ValueError:
            return None

    def on(self, flag: Flag, *, default: bool = False) -> bool:
        """Return whether the switch is on."""
        said = [word in flag.names for word in self._words if word in flag.names + flag.off_names]
        if said:
            return said[-1]
        if self._no(flag) in self._env:
            return False
        value = self._env.get(flag.variable, "").strip().lower()
        return value in _ON or (default and value not in _OFF)

    def words(self, flags: Sequence[Flag]) -> tuple[str, ...]:
        """Return the arguments that set these flags, with their values, in their order."""
        names = {name for flag in flags for name in (*flag.names, *flag.off_names)}
        found: list[str] = []
        for position, word in enumerate(self._words):
            if word in names:
                found.append(word)
                if word not in _SWITCHES and position < len(self._pairs):
                    found.append(self._pairs[position][1])
        return tuple(found)

    def files(self) -> list[str]:
        """Return the paths of model, projector, adapters and draft model, as they are written."""
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
        """Return whether the engine keeps evicted prompts in main memory, if it can."""
        return self.value(CACHE_RAM) != "0"

    def unified(self) -> bool:
        """Return whether the slots share one context; they do if no number of slots is set."""
        return self.on(UNIFIED, default=(self.value(SLOTS) or "-1").startswith("-"))

    def slot_context(self) -> int | None:
        """Return the context of one slot in tokens; None if only the engine knows it.

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
        """Return the variable that turns the switch off; without one, "=", which is never set."""
        return flag.variable.replace(ARGUMENTS, f"{ARGUMENTS}NO_") if flag.off_names else "="
