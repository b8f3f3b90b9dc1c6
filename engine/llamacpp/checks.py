"""Find the faults of a variant that only its files and its binary show."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base import Finding
from engine.llamacpp.arguments import (
    CONTEXT,
    EMBEDDINGS,
    MODEL,
    RERANKING,
    SLOTS,
    Arguments,
)
from engine.llamacpp.client import library_environment
from models.gguf import head_of
from models.model_file import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec

# Every llama-server has this in its help; hardly any other program has.
_SIGN = "--ctx-size"
_PATIENCE = 10.0
# The tokens of a slot are a multiple of this.
_ROUNDED = 256


def findings(variant: VariantSpec, environ: Mapping[str, str]) -> list[Finding]:
    """Return the faults of the variant; this runs its binary with --help."""
    said = Arguments.of(variant, environ)
    return [
        *_missing_files(said),
        *_foreign_binary(variant.binary, {**environ, **variant.env}),
        *_wrong_context(variant, said),
        *_unused_pooling(said),
    ]


def _missing_files(said: Arguments) -> list[Finding]:
    return [
        Finding("args", f'the file "{path}" does not exist', fatal=True)
        for path in said.files()
        if not Path(path).exists()
    ]


def _foreign_binary(binary: str, env: Mapping[str, str]) -> list[Finding]:
    try:
        asked = subprocess.run(  # noqa: S603 - the binary that the configuration names
            [binary, "--help"],
            env=library_environment(env, binary),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Finding("binary", f'"{binary} --help" did not end within {_PATIENCE:.0f} s')]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return [Finding("binary", f'"{binary}" cannot be run: {reason}', fatal=True)]
    said = (asked.stdout + asked.stderr).decode("utf-8", "replace")
    if _SIGN in said:
        return []
    if asked.returncode:
        last = said.strip().rpartition("\n")[2]
        return [Finding("binary", f'"{binary} --help" failed: {last or asked.returncode}')]
    message = f'"{binary}" is no llama-server: its --help does not name {_SIGN}'
    return [Finding("binary", message, fatal=True)]


def _unused_pooling(said: Arguments) -> list[Finding]:
    """Return a finding for a model that embeds or ranks, in an engine that is not told to."""
    if said.on(EMBEDDINGS) or said.on(RERANKING):
        return []
    try:
        facts = facts_of(head_of(said.value(MODEL) or ""))
    except (OSError, ValueError):
        return []
    if facts.ranks:
        return [Finding("args", "the model ranks texts, which the engine does with --reranking")]
    if facts.embeds:
        return [Finding("args", "the model embeds texts, which the engine does with --embeddings")]
    return []


def _wrong_context(variant: VariantSpec, said: Arguments) -> list[Finding]:
    """Return the findings about slots: too few for ``parallel``, or of another context."""
    size, slots, slot = said.number(CONTEXT), said.number(SLOTS), said.slot_context()
    found = []
    if slots is not None and 0 < slots < variant.parallel:
        message = f"{variant.parallel} is more than the {slots} slots of -np"
        found.append(Finding("parallel", message))
    # Without a context of its own, a slot has the model's; llama-server rounds a slot up.
    if variant.context is None or slot is None:
        return found
    if not slot <= variant.context <= -(-slot // _ROUNDED) * _ROUNDED:
        how = f"-c {size}" if slot == size else f"-c {size} divided by -np {slots}"
        message = f"{variant.context}, but a slot of the engine has {slot} tokens: {how}"
        found.append(Finding("context", message))
    return found
