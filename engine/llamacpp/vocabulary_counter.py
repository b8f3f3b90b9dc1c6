"""Count prompts of models whose engines do not run, by processes that have only a vocabulary.

Each process is the bundled engine with the tokenizer and the chat template of one model file, see
``bundled/counter.py``. It is started when a count is needed, which takes less than a second and
some 70 MB, and ends after ``IDLE`` seconds without another one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.base import Launch
from engine.llamacpp.arguments import API_KEY, ARGUMENTS, MODEL, TEMPLATE, Arguments
from engine.llamacpp.client import LlamaCppEngine
from engine.llamacpp.vocabulary import write_vocabulary
from engine.process.log_tail import last_meaningful
from engine.process.spawn import spawn
from models.gguf import BadModelFile
from models.requests import endpoints
from utils.errors import CountUnavailable
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec

# What the process prints before its address and its key, as ``bundled/counter.py`` has it.
_READY = "counts tokens at"
_MODULE = "engine.llamacpp.bundled.counter"
IDLE = 120.0
# Processes at once; the one that was used least recently ends for another.
_MOST = 2
_PATIENCE = 20.0
_ROOT = Path(__file__).resolve().parents[2]


class _Source(NamedTuple):
    """What a process counts for: the state of the model's file, and the chat template."""

    path: str
    size: int
    changed: int
    flags: tuple[str, ...]
    env: tuple[tuple[str, str], ...]


class _Process:
    """One process. ``client`` is done when it counts, or cannot: then it has the reason."""

    def __init__(self) -> None:
        self.client: asyncio.Future[LlamaCppEngine | str] = (
            asyncio.get_running_loop().create_future()
        )
        self.task: asyncio.Task[None] | None = None
        self._expires: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """End the process, in its own time."""
        if self.task is not None:
            self.task.cancel()

    def keep(self, seconds: float) -> None:
        """End the process after so many seconds from now on, and not before."""
        self.unwatch()
        self._expires = asyncio.get_running_loop().call_later(seconds, self.end)

    def unwatch(self) -> None:
        """Let no timer end it."""
        if self._expires is not None:
            self._expires.cancel()


class VocabularyCounter:
    """Starts and ends the processes; ``close`` ends all of them."""

    def __init__(self, idle: float = IDLE) -> None:
        self._idle = idle
        # Made when it is needed; a thread may still write to it when a task has ended.
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._tasks = TaskOwner("counter")
        # The one that was used last is last.
        self._processes: dict[_Source, _Process] = {}
        self._failed: dict[_Source, str] = {}

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int:
        """Return the prompt's tokens, with template and tools, or raise CountUnavailable."""
        if facts.endpoint is endpoints.TRANSCRIPTION:
            raise CountUnavailable("a sound has no text to count")
        return await (await self._client(model)).count(facts)

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens of the text, or raise CountUnavailable."""
        return await (await self._client(model)).count_text(text)

    async def close(self) -> None:
        """End every process."""
        await self._tasks.cancel()
        if self._folder is not None:
            self._folder.cleanup()

    async def _client(self, model: ModelSpec) -> LlamaCppEngine:
        if not _is_installed():
            raise CountUnavailable("the bundled engine is not installed")
        variant = model.variants[0]
        source = await asyncio.to_thread(_source, variant)
        if (reason := self._failed.get(source)) is not None:
            raise CountUnavailable(reason)
        process = self._processes.pop(source, None) or self._started(source, variant)
        self._processes[source] = process
        process.keep(self._idle)
        try:
            async with asyncio.timeout(_PATIENCE):
                told = await asyncio.shield(process.client)
        except TimeoutError:
            raise CountUnavailable("the vocabulary takes long to load") from None
        if isinstance(told, str):
            raise CountUnavailable(told)
        return told

    def _started(self, source: _Source, variant: VariantSpec) -> _Process:
        while len(self._processes) >= _MOST:
            self._processes.pop(next(iter(self._processes))).end()
        process = _Process()
        process.task = self._tasks.spawn(self._run(process, source, variant), source.path)
        return process

    async def _run(self, process: _Process, source: _Source, variant: VariantSpec) -> None:
        """Run a process until it ends, or this task is cancelled."""
        reason = "the process that counts was stopped"
        try:
            reason = self._failed[source] = await self._output(process, source, variant)
        except BadModelFile as error:
            reason = self._failed[source] = f"{source.path}: {error}"
        except OSError as error:
            reason = str(error)
        finally:
            process.unwatch()
            if self._processes.get(source) is process:
                del self._processes[source]
            if not process.client.done():
                process.client.set_result(reason)

    async def _output(self, process: _Process, source: _Source, variant: VariantSpec) -> str:
        """Read what the process prints; return why it has ended. Raises OSError."""
        client: LlamaCppEngine | None = None
        said: list[str] = []
        vocabulary = await asyncio.to_thread(self._written, source.path)
        child = await spawn(_launch(vocabulary, source, variant))
        try:
            async for line in child.lines():
                said.append(line)
                if line.startswith(_READY) and client is None:
                    *_, url, key = line.split()
                    client = LlamaCppEngine(_keyed(variant, key), url)
                    process.client.set_result(client)
            return last_meaningful(said) or "the process that counts has ended"
        finally:
            child.kill()
            await child.wait()
            child.close()
            _remove(vocabulary)
            if client is not None:
                await client.close()

    def _written(self, model: str) -> str:
        """Write the vocabulary of the model to a new file, and return its path. It blocks."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="llm-gateway-", ignore_cleanup_errors=True
            )
        number, path = tempfile.mkstemp(suffix=".gguf", dir=self._folder.name)
        with os.fdopen(number, "wb") as file:
            write_vocabulary(model, file)
        return path


@cache
def _is_installed() -> bool:
    return find_spec("xllamacpp") is not None


def _source(variant: VariantSpec) -> _Source:
    """Return what a process for the variant must know. Raises CountUnavailable; it blocks."""
    said = Arguments.of(variant, os.environ)
    path = said.value(MODEL)
    if path is None:
        raise CountUnavailable(f"{variant.label} names no model file")
    try:
        state = Path(path).stat()
    except OSError as error:
        raise CountUnavailable(f"{path}: {error.strerror}") from error
    flags = said.words(TEMPLATE)
    env = tuple(sorted(e for e in variant.env.items() if e[0].startswith(ARGUMENTS)))
    return _Source(path, state.st_size, state.st_mtime_ns, flags, env)


def _remove(vocabulary: str) -> None:
    Path(vocabulary).unlink(missing_ok=True)


def _launch(vocabulary: str, source: _Source, variant: VariantSpec) -> Launch:
    argv = (sys.executable, "-P", "-m", _MODULE, vocabulary, *source.flags)
    env = {**os.environ, **dict(source.env), "PYTHONPATH": str(_ROOT)}
    return Launch(f"{variant.model} (counting)", argv, env, "", reads_input=True)


def _keyed(variant: VariantSpec, key: str) -> VariantSpec:
    return replace(variant, args=(API_KEY.names[0], key), env={})
