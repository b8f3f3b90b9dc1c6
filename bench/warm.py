"""The load time of a model that waits for a busy one, with and without a preload."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import targets
from bench.alternation import CHAT, engines
from bench.asking import Timed, ask
from bench.experts import with_experts
from bench.report import number, say
from engine.resources.page_cache import cached_share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEADING = "A load from the disk while another engine is busy"
WAYS = ("without", "preload")
MODES = {"mmap": "mapped", "none": "copied"}
CONTEXT = 512
# Seconds between the two requests, so that they arrive in this order.
SOON = 0.1


@dataclass(frozen=True)
class Scale:
    """The size of the file, the duration of the other answer, and the number of rounds."""

    experts: int
    tokens: int
    rounds: int
    modes: tuple[str, ...]


FULL = Scale(28, 400, 5, tuple(MODES))
QUICK = Scale(2, 40, 1, ("mmap",))


@dataclass(frozen=True)
class Load:
    """One load.

    The share of its file that was cached when it could begin; the seconds from then to the first
    token, and from the start of the engine until it was ready; and the speed of the answer before
    it, in tokens per second.
    """

    cached: float
    first: float
    ready: float
    before: float


FIGURES: dict[str, Callable[[Load], float]] = {
    "share of the file in memory when it is its turn": lambda load: load.cached,
    "from its turn to its first token, s": lambda load: load.first,
    "from the engine's start to ready, s": lambda load: load.ready,
    "the answer before it, tokens/s": lambda load: load.before,
}


def configuration(folder: Path, port: int, binary: str, file: Path, way: str) -> str:
    def model(name: str, *args: str) -> str:
        args = (*args, "-c", str(CONTEXT), "-np", "1", "-t", "1", "--no-warmup")
        return (
            f'{{ name = "{name}", variants = {{ {{ binary = {json.dumps(binary)}, '
            f"context = {CONTEXT}, args = {targets.lua_list(args)} }} }} }}"
        )

    models = [model("busy", "-m", targets.real_model())]
    models += [model(mode, "-m", str(file), "-lm", mode) for mode in MODES]
    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", {targets.ADMIN_LUA}, state_carry = false, '
        f"warm_loads = {json.dumps(way == WAYS[1])}, "
        f"state_dir = {json.dumps(str(folder / 'state'))} }}\n"
        f"models = {{ {', '.join(models)} }}\n"
    )


def evicted(file: Path) -> None:
    """Make the system drop the file from its page cache, if it does so at all."""
    if not hasattr(os, "posix_fadvise"):
        return
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def asked(port: int, method: str, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return the gateway's answer to a request without a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=targets.START_SECONDS)
    connection.request(method, path, headers=targets.ADMIN)
    answer = connection.getresponse()
    found = json.load(answer)
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ConnectionError(f"{path}: {found!r}")
    return found


async def said(port: int, model: str, tokens: int) -> Timed:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Say something."}],
        "max_tokens": tokens,
        "stream": True,
        "ignore_eos": True,
    }
    return await ask(port, CHAT, body, model)


async def loaded(port: int, mode: str, file: Path, tokens: int) -> Load:
    """Request the model while another one answers; return the load."""

    async def busy() -> tuple[Timed, float, float]:
        answer = await said(port, "busy", tokens)
        turn = time.perf_counter()
        cached = await asyncio.to_thread(cached_share, [str(file)])
        return answer, turn, math.nan if cached is None else cached

    async def waiting() -> float:
        await asyncio.sleep(SOON)
        begin = time.perf_counter()
        answer = await said(port, mode, 1)
        return begin + answer.waited

    await said(port, "busy", 1)
    evicted(file)
    (answer, turn, cached), first = await asyncio.gather(busy(), waiting())
    listed = asked(port, "GET", "/v1/models")["data"]
    ready = next(each["load_seconds"][str(CONTEXT)] for each in listed if each["id"] == mode)
    # The system does not drop pages that an engine has mapped.
    asked(port, "POST", "/admin/reload")
    pace = (tokens - 1) / (answer.whole - answer.waited)
    return Load(cached, first - turn, ready, pace)


def rounds(folder: Path, binary: str, file: Path, scale: Scale) -> dict[str, list[list[Load]]]:
    """Return the loads of every round in each mode, one in each way; the ways take turns."""
    found: dict[str, list[list[Load]]] = {mode: [] for mode in scale.modes}
    with contextlib.ExitStack() as running:
        ports = []
        for way in WAYS:
            own = folder / way.replace(" ", "-")
            own.mkdir()
            ports.append(targets.free_port())
            text = configuration(own, ports[-1], binary, file, way)
            running.enter_context(targets.configured(own, ports[-1], text))
        for turn in range(scale.rounds):
            say(f"  round {turn + 1} of {scale.rounds}")
            for mode in scale.modes:
                order = (0, 1) if turn % 2 == 0 else (1, 0)
                loads = {i: asyncio.run(loaded(ports[i], mode, file, scale.tokens)) for i in order}
                found[mode].append([loads[i] for i in range(len(WAYS))])
    return found


def rows_of(mode: str, pairs: Sequence[Sequence[Load]]) -> list[list[str]]:
    """Return the figures of one mode: medians of each way, and of the ratios of the rounds."""

    def row(name: str, figure: Callable[[Load], float]) -> list[str]:
        found = [[figure(load) for load in pair] for pair in pairs]
        ways = [median(way) for way in zip(*found, strict=True)]
        ratio = median(after / before if before else math.nan for before, after in found)
        cells = [*map(number, ways), f"{ratio:.2f}"]
        return [f"{MODES[mode]}: {name}", *(cell.replace("nan", "-") for cell in cells)]

    return [row(name, figure) for name, figure in FIGURES.items()]


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    scale = QUICK if quick else FULL
    name, binary = list(engines().items())[-1]
    file = folder / "large.gguf"
    with_experts(Path(targets.real_model()), file, scale.experts)
    size = file.stat().st_size / 2**30
    say(f"{name}, loads of {size:.1f} GiB from the disk")
    evicted(file)
    if cached_share([str(file)]) != 0.0:
        say(f"  {folder} is no disk that the system forgets: TMPDIR names another folder")
    found = rounds(folder, binary, file, scale)
    rows = [["", *WAYS, "ratio"]]
    for mode, pairs in found.items():
        rows += rows_of(mode, pairs)
    notes = NOTES.format(name=name, size=size, tokens=scale.tokens, rounds=scale.rounds)
    return rows, notes


NOTES = """
- {name}, one thread; room for one engine. SmolLM2-135M answers with {tokens} tokens, and meanwhile
  a request arrives for a model whose file was just removed from the page cache. The file has
  {size:.1f} GiB: SmolLM2-135M again, with its networks copied into experts (`bench/experts.py`).
- *without*: `warm_loads = false`. *preload*: the default. Figures are medians over {rounds}
  round(s) in which the ways take turns; ratios are medians of the ratios.
- *mapped*: `--load-mode mmap`, llama-server's default. *copied*: `--load-mode none`; the copy takes
  time even if the file is in the page cache.
- Its turn begins when the answer before it has ended. Then that engine ends, and the next one
  starts, loads and answers.
"""
