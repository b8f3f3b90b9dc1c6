"""Count tokens with llama.cpp's ``llama-tokenize``, one process for each count.

The text goes through standard input, because one argument may not exceed 128 KiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from engine.llamacpp.arguments import MODEL, Arguments
from engine.llamacpp.client import library_environment
from engine.process.log_tail import last_meaningful
from utils.errors import CountUnavailable
from utils.tasks import all_or_nothing

if TYPE_CHECKING:
    from models.spec import ModelSpec

_FLAGS = ("--stdin", "--ids", "--log-disable", "--no-bos")
_TIMEOUT = 30.0
_AT_ONCE = 2


class LlamaTokenize:
    """Counts text with the tokenizer binary of each model's ``tokenization`` table."""

    def __init__(self, timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout
        # More processes at once would slow down the engines.
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens of ``text``.

        Raises CountUnavailable without a binary, after a failure, or after a time-out.
        """
        spec = model.tokenization
        if spec.binary is None:
            raise CountUnavailable(f"model '{model.name}' has no tokenization.binary")
        if not text:
            return 0
        async with self._places:
            try:
                async with asyncio.timeout(self._timeout):
                    output = await _run(command(model, spec.binary), text.encode())
            except OSError as error:  # TimeoutError among them
                raise CountUnavailable(f"{spec.binary}: {error!r}") from error
        return count_ids(output)


def command(model: ModelSpec, binary: str) -> tuple[str, ...]:
    """Return the tokenizer's command line, with the engine's model file if no other is set."""
    args = model.tokenization.extra_args
    if Arguments(args, {}).value(MODEL) is None:
        files = (Arguments.of(variant).value(MODEL) for variant in model.variants)
        if (file := next(filter(None, files), None)) is not None:
            args = ("-m", file, *args)
    return (binary, *args, *_FLAGS)


def count_ids(output: bytes) -> int:
    """Return the number of ids in a list such as ``[1, 2, 3]``; CountUnavailable if it is none."""
    text = output.strip()
    if not (text.startswith(b"[") and text.endswith(b"]")):
        raise CountUnavailable("the tokenizer printed no list of ids")
    return text.count(b",") + 1 if text[1:-1].strip() else 0


async def _run(argv: tuple[str, ...], text: bytes) -> bytes:
    starting = asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=library_environment(os.environ, argv[0]),
    )
    process = await all_or_nothing(starting, _end)
    try:
        output, complaints = await process.communicate(text)
    finally:
        # The process still runs if the client left or the time was over.
        if process.returncode is None:
            await _end(process)
    if process.returncode != 0:
        said = last_meaningful(complaints.decode("utf-8", "replace").splitlines())
        raise CountUnavailable(f"{argv[0]} ended with status {process.returncode}. {said}".rstrip())
    return output


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
