"""The speed of a download, beside that of curl: 1 GiB from a server on this machine.

All fetch from the same process, in turns. The gateway also hashes what it fetches, and writes it
into a cache: ``curl | tee | sha256sum`` does the same work. The lag is how late an event loop
beside the download runs its next step.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import uvloop

from bench.report import number, say
from bench.targets import free_port
from models.downloads.account import HubAccount
from models.downloads.hub import Hub
from models.downloads.progress import Progress
from models.downloads.pull import pull
from models.downloads.reference import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEADING = "A download of 1 GiB"
REPO = "bench/model"
FULL, QUICK = (1 << 30, 3), (8 << 20, 1)
# What the server sends, again and again.
_PIECE = 1 << 20

_SERVER = """
import asyncio, sys
from aiohttp import web
port, size, digest = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
piece = bytes(range(256)) * 4096
async def revision(request): return web.json_response({"sha": "c" * 40})
async def tree(request):
    lfs = {"oid": digest, "size": size}
    file = {"type": "file", "path": "m-Q8_0.gguf", "size": size, "oid": "d" * 40, "lfs": lfs}
    return web.json_response([file])
async def file(request):
    answer = web.StreamResponse()
    answer.content_length = size
    await answer.prepare(request)
    for _ in range(size // len(piece)):
        await answer.write(piece)
    return answer
app = web.Application()
app.router.add_get("/api/models/{o}/{r}/revision/{rev}", revision)
app.router.add_get("/api/models/{o}/{r}/tree/{rev}", tree)
app.router.add_get("/{o}/{r}/resolve/{rev}/{path}", file)
web.run_app(app, host="127.0.0.1", port=port, print=None)
"""


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table and the notes below it."""
    size, rounds = QUICK if quick else FULL
    digest = hashlib.sha256()
    for _ in range(size // _PIECE):
        digest.update(bytes(range(256)) * 4096)
    found: dict[str, list[tuple[float, float, float]]] = {
        name: [] for name in ("curl", "curl, tee and sha256sum", "gateway")
    }
    with _served(size, digest.hexdigest()) as port:
        for _ in range(rounds):
            plain, hashed, own = found.values()
            plain.append(_timed(lambda: _curl(port, folder), children=True))
            hashed.append(_timed(lambda: _curl(port, folder, "| sha256sum"), children=True))
            own.append(_timed(lambda: _pulled(port, folder)))
            say(f"download: {plain[-1]} {hashed[-1]} {own[-1]}")
    rows = [["", "MB/s", "CPU seconds", "worst lag of the loop, ms"]]
    for name, figures in found.items():
        seconds, cpu, lag = (median(each) for each in zip(*figures, strict=True))
        shown = number(1000 * lag) if name == "gateway" else "-"
        rows.append([name, number(size / seconds / 1e6), number(cpu), shown])
    apart = [["sha256 alone", number(size / _hashing(size) / 1e6), number(_hashing(size)), "-"]]
    return rows + apart, f"\nOf {rounds} rounds, the medians.\n"


@contextlib.contextmanager
def _served(size: int, digest: str) -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", _SERVER, str(port), str(size), digest])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


def _timed(work: Callable[[], float], *, children: bool = False) -> tuple[float, float, float]:
    """Return seconds, CPU seconds and what ``work`` returns."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    before, began = resource.getrusage(who), time.monotonic()
    lag = work()
    took, after = time.monotonic() - began, resource.getrusage(who)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, spent, lag


def _curl(port: int, folder: Path, then: str = "") -> float:
    """Fetch with curl; with ``then`` a shell reads the same bytes beside it."""
    url = f"http://127.0.0.1:{port}/{REPO}/resolve/main/m-Q8_0.gguf"
    target = folder / "by-curl"
    if then:
        subprocess.run(f"curl -sSf {url} | tee {target} {then} >&2", shell=True, check=True)
    else:
        subprocess.run(["curl", "-sSf", "-o", str(target), url], check=True)
    os.sync()
    target.unlink()
    return 0.0


def _pulled(port: int, folder: Path) -> float:
    cache = folder / "hub"
    lag = uvloop.run(_fetched(HubAccount(str(cache), f"http://127.0.0.1:{port}")))
    shutil.rmtree(cache)
    return lag


async def _fetched(account: HubAccount) -> float:
    """Fetch the model; return how late the loop ran, at worst."""
    worst = 0.0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal worst
        while not done.is_set():
            asked = time.monotonic()
            await asyncio.sleep(0.001)
            worst = max(worst, time.monotonic() - asked - 0.001)

    async def fetch() -> None:
        async with Hub(account) as hub:
            await pull(hub, wanted(REPO), Progress(), reserve=0)
        done.set()

    await asyncio.gather(watch(), fetch())
    return worst


def _hashing(size: int) -> float:
    piece, digest = bytes(range(256)) * 4096, hashlib.sha256()
    began = time.monotonic()
    for _ in range(size // _PIECE):
        digest.update(piece)
    return time.monotonic() - began
