"""What is wrong with a llama-server's variant that only its files and its binary tell."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base import Finding
from engine.llamacpp.client import argument, library_environment
from engine.llamacpp.prompt_cache.fingerprint import files_of
from engine.llamacpp.prompt_cache.layout import unified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.spec import VariantSpec

# Every llama-server names it in its help, and hardly anything else does.
_SIGN = "--ctx-size"
_PATIENCE = 10.0


def findings(variant: VariantSpec, environ: Mapping[str, str]) -> list[Finding]:
    """Return what is wrong with the variant; its binary is asked for its help."""
    env = {**environ, **variant.env}
    return [
        *_missing_files(variant.args, env),
        *_foreign_binary(variant.binary, env),
        *_wrong_context(variant, env),
    ]


def _missing_files(args: Sequence[str], env: Mapping[str, str]) -> list[Finding]:
    return [
        Finding("args", f'the file "{path}" does not exist', fatal=True)
        for path in files_of(args, env)
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


def _wrong_context(variant: VariantSpec, env: Mapping[str, str]) -> list[Finding]:
    """Compare what a request may have with what each slot of the engine gets."""
    args = variant.args
    size = _number(argument(args, "-c", "--ctx-size"), env.get("LLAMA_ARG_CTX_SIZE"))
    slots = _number(argument(args, "-np", "--parallel"), env.get("LLAMA_ARG_N_PARALLEL"))
    found = []
    if slots is not None and 0 < slots < variant.parallel:
        message = f"{variant.parallel} is more than the {slots} slots of -np"
        found.append(Finding("parallel", message))
    if variant.context is None or not size or size < 0:
        return found  # the model's own
    divided = slots is not None and slots > 1 and not unified(args, env)
    slot = size // slots if divided and slots is not None else size
    if slot != variant.context:
        how = f"-c {size} divided by -np {slots}" if divided else f"-c {size}"
        message = f"{variant.context}, but a slot of the engine has {slot} tokens: {how}"
        found.append(Finding("context", message))
    return found


def _number(*given: str | None) -> int | None:
    """The first that is given, if it is a number."""
    said = next((text for text in given if text is not None), None)
    try:
        return None if said is None else int(said)
    except ValueError:
        return None
