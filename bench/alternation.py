"""Requests for two chat models and an embedding model in turn, on real engines."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import targets
from bench.asking import Timed, ask
from bench.report import number, percentile, say
from engine.llamacpp.shipped import bundled_server

if TYPE_CHECKING:
    from pathlib import Path

HEADING = "Real engines that alternate"
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
MODELS = ("small", "large", "embed")
CONTEXTS = {"small": 512, "large": 1024, "embed": 512}
CLIENTS = 4
ROOMS = (1, 2, 3)


@dataclass(frozen=True)
class Scale:
    """The number of clients, of requests for each client, and of switches."""

    requests: int
    turns: int


FULL = Scale(requests=12, turns=5)
QUICK = Scale(requests=1, turns=1)


@dataclass(frozen=True)
class Outcome:
    loads: int
    times: list[Timed]
    seconds: float


def engines() -> dict[str, str]:
    """Return the engines to measure: the bundled one, and llama.cpp's own if it is installed."""
    own = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    return {"bundled": bundled_server()} | ({"llama-server": own} if own else {})


def configuration(folder: Path, port: int, binary: str, room: int) -> str:
    def model(name: str) -> str:
        context = str(CONTEXTS[name])
        args = ["-m", targets.real_model(), "-c", context, "-np", "1", "-t", "1", "--no-warmup"]
        args += ["--embeddings", "--pooling", "mean"] if name == "embed" else []
        return (
            f'{{ name = "{name}", variants = {{ {{ binary = {json.dumps(binary)}, '
            f"context = {context}, args = {targets.lua_list(args)} }} }} }}"
        )

    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", '
        f"state_dir = {json.dumps(str(folder / 'state'))}, max_loaded_models = {room} }}\n"
        f"models = {{ {', '.join(map(model, MODELS))} }}\n"
    )


async def one(port: int, model: str, client: str) -> Timed:
    """Send one request of the model's kind, and return its times."""
    if model == "embed":
        return await ask(port, EMBEDDINGS, {"model": model, "input": "Some words."}, client)
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "Say something."}],
        "max_tokens": 16,
        "stream": True,
        "ignore_eos": True,
    }
    return await ask(port, CHAT, body, client)


async def alternating(port: int, requests: int) -> list[Timed]:
    """Let every client send its requests, each for a random model; return their times."""

    async def client(name: str) -> list[Timed]:
        dice = random.Random(name)
        return [await one(port, dice.choice(MODELS), name) for _ in range(requests)]

    found = await asyncio.gather(*(client(f"client {each}") for each in range(CLIENTS)))
    return [timed for times in found for timed in times]


async def switching(port: int, turns: int) -> float:
    """Return how many seconds a request takes longer if another engine must stop first."""
    await one(port, "large", "one")
    longer = []
    for _ in range(turns):
        for model in ("small", "large"):
            first = await one(port, model, "one")
            again = await one(port, model, "one")
            longer.append(first.waited - again.waited)
    return median(longer)


def measure(folder: Path, binary: str, room: int, scale: Scale) -> tuple[Outcome, float]:
    """Measure the alternation with room for this number of engines, and the time of a switch."""
    folder.mkdir()
    port = targets.free_port()
    switch = 0.0
    with targets.configured(folder, port, configuration(folder, port, binary, room)):
        if room == 1:
            switch = asyncio.run(switching(port, scale.turns))
        before = targets.engine_starts(folder)
        begin = time.perf_counter()
        times = asyncio.run(alternating(port, scale.requests))
        seconds = time.perf_counter() - begin
        loads = targets.engine_starts(folder) - before
    return Outcome(loads, times, seconds), switch


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    scale = QUICK if quick else FULL
    rooms = ROOMS[:1] if quick else ROOMS
    rows = [["", *(f"room for {room}" for room in rooms)]]
    chosen = list(engines().items())
    for name, binary in chosen[-1:] if quick else chosen:
        found = []
        switch = 0.0
        for room in rooms:
            say(f"{name}, room for {room}")
            outcome, measured = measure(folder / f"{name}-{room}", binary, room, scale)
            found.append(outcome)
            switch = switch or measured
        waits = [[each.waited for each in outcome.times] for outcome in found]
        rows += [
            [f"{name}: a switch, s", number(switch), *["-"] * (len(rooms) - 1)],
            [f"{name}: engines loaded", *(str(outcome.loads) for outcome in found)],
            [
                f"{name}: requests/s",
                *(number(len(outcome.times) / outcome.seconds) for outcome in found),
            ],
            [f"{name}: waiting p50, s", *(number(percentile(wait, 0.5)) for wait in waits)],
            [f"{name}: waiting p95, s", *(number(percentile(wait, 0.95)) for wait in waits)],
        ]
    return rows, NOTES.format(clients=CLIENTS, requests=scale.requests)


NOTES = """
- SmolLM2-135M under two names, with contexts of 512 and 1024, and as an embedding model; one
  thread each. {clients} clients send {requests} requests each, every time to a random model, for 16
  tokens of a chat or one vector. They are served in the order of arrival (`max_switch_wait = 0`).
- A switch: how much later an answer begins if its engine must first replace another one.
- Waiting: the time from the request to the first token or the vector, with loading.
"""
