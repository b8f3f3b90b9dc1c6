"""A scan of a machine with very many models, beside an event loop that serves."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import app
from bench.report import number, say
from engine.llamacpp.shipped import bundled_model
from models.discovery.scan import stores_here
from models.discovery.walk import listings
from models.gguf import head_of
from utils.collector import settle, uncollected
from utils.state_folder import state_folder
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

HEADING = "A scan of ten thousand models"
FILES, FEW = 10_000, 100
# Seconds between two looks at the loop.
LOOK = 0.001
NUMBERS = {"llama.block_count": 1, "llama.context_length": 4096, "llama.embedding_length": 64}


class Scan(NamedTuple):
    """Seconds by the clock and of the processor, and by how many the loop was late.

    ``own`` is what of it this process has spent itself: the rest was that of other programs.
    """

    took: float
    cpu: float
    late: list[float]
    own: list[float]


def model() -> bytes:
    """Return the smallest file that is a model: a head and no weights."""
    pairs = [(b"general.architecture", 8, struct.pack("<Q", 5) + b"llama")]
    pairs += [(key.encode(), 4, struct.pack("<I", value)) for key, value in NUMBERS.items()]
    pairs.append((b"llama.attention.head_count", 4, struct.pack("<I", 4)))
    said = b"".join(
        struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value
        for key, kind, value in pairs
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + said


def add_model(home: Path, name: str, content: bytes) -> None:
    """Put a model into the folders of LM Studio."""
    place = home / ".lmstudio" / "models" / name / "repo"
    place.mkdir(parents=True)
    (place / f"{name}-Q4_0.gguf").write_bytes(content)


@contextmanager
def a_home(folder: Path, files: int) -> Iterator[None]:
    """Inside the block the user has so many models, each in a folder of its own."""
    content = model()
    for each in range(files):
        add_model(folder, f"m{each}", content)
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("HF_", "XDG_", "LLAMA_CACHE"))]:
        del os.environ[name]
    os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def beside(work: Coroutine[Any, Any, object]) -> Scan:
    """Do the work, and look all the time how late the loop is."""
    began, spent = time.monotonic(), time.process_time()
    late, own = [], []
    doing = TaskOwner("bench").spawn(work, "work")
    while not doing.done():
        asked, used = time.monotonic(), time.process_time()
        await asyncio.sleep(LOOK)
        late.append(time.monotonic() - asked - LOOK)
        own.append(min(late[-1], time.process_time() - used))
    await doing
    return Scan(time.monotonic() - began, time.process_time() - spent, late, own)


async def listed() -> None:
    """List the files as a gateway does it."""
    with uncollected():
        await asyncio.to_thread(listings, stores_here())


async def measured(folder: Path) -> dict[str, Scan]:
    """Return the figures of each step."""
    found = {}
    found["the loop alone"] = await beside(asyncio.sleep(1))
    settle()
    found["list the files"] = await beside(listed())
    # As a gateway does it without a configuration, whose start does not wait for all heads.
    loader = app.Loader(None)
    spent = time.process_time()
    settings, catalog = loader.load(within=0.0)
    built = app.build(settings, catalog, loader.again, state_folder(settings), heads=loader.heads)
    started = time.process_time() - spent
    settle()
    found["a start, no head read"] = Scan(started, started, [0.0], [0.0])
    found["read all heads, and serve"] = await beside(built.reloader.reload())
    found["look again, no news"] = await beside(built.reloader.reload())
    add_model(folder, "another", model())
    found["look again, one more"] = await beside(built.reloader.reload())
    return found


def heads(times: int) -> float:
    """Return the seconds of the processor for the head of the bundled model."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        head_of(bundled_model())
        spent.append(time.process_time() - began)
    return median(spent)


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    files = FEW if quick else FILES
    say(f"making {files} models")
    with a_home(folder, files):
        found = asyncio.run(measured(folder))
    rows = [["", "s", "CPU s", "loop late ms, p99", "worst", "of it own", "own, p99"]]
    for what, scan in found.items():
        late, own = sorted(scan.late), sorted(scan.own)
        p99 = int(0.99 * len(late))
        times = (late[p99], late[-1], own[-1], own[p99])
        rows.append([what, number(scan.took), number(scan.cpu), *(number(1000 * t) for t in times)])
    return rows, NOTES.format(files=files, head=1000 * heads(3 if quick else 20))


NOTES = """
- {files} model files, each in a folder of its own, as LM Studio has them. The gateway lists them,
  reads their heads, plans their variants, and applies the changes, as every 10 minutes.
- The loop sleeps 1 ms again and again; what it sleeps longer is how late an answer could be. "Own"
  is the CPU time of this process in that time: the rest is what other programs took.
- The head of SmolLM2's file, 272 tensors and a vocabulary of 49,152, takes {head:.1f} ms of CPU.
"""
