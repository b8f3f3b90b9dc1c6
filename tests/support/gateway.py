"""A whole gateway on fake engines, inside the test or in its own process.

The end of the block is part of every test: no engine, task or file descriptor may be left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from fake_engine import LLAMA_SERVER, LLAMA_TOKENIZE, Journal, faults, pauses_until
from gateway_client import FAST_LANE, GatewayClient, client_session
from raw_client import PATIENCE

from app import build
from engine.llamacpp.prompt_cache.manager import PromptCacheManager
from engine.llamacpp.tokenizer import LlamaTokenize
from models.catalog import Catalog
from models.spec import ModelSpec, Timeouts, TokenizationSpec, VariantSpec
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from engine.llamacpp.prompt_cache.store import StateStore
    from engine.manager import EngineManager
    from engine.scheduling.lifecycle import State
    from server.admin.reload import Reloader
    from server.records.recorder import Recorder
    from utils.clock import Clock
    from utils.config.peers import PeerTable
    from utils.config.routes import RouteTable
    from utils.errors import ConfigError

# The file descriptors of this process.
FILES = "/proc/self/fd"
OWN_TOKEN = "made-by-the-gateway"
PATIENT = Timeouts(health_check=5.0, startup=PATIENCE, idle=900.0, stop=PATIENCE)


def fake_variant(
    journal: Journal,
    context: int = 256,
    *,
    model: str = "m",
    timeouts: Timeouts = PATIENT,
    binary: str = LLAMA_SERVER,
    args: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    parallel: int = 1,
    **knobs: object,
) -> VariantSpec:
    """Return a variant whose engine is a fake with these knobs."""
    own = ("-m", "m.gguf", "-c", str(context * parallel), "-np", str(parallel))
    return VariantSpec(
        model=model,
        context=context,
        binary=binary,
        timeouts=timeouts,
        args=(*own, *args),
        env=faults(journal, **knobs) | dict(env or {}),
        parallel=parallel,
    )


def fake_model(*variants: VariantSpec, **fields: Any) -> ModelSpec:
    """Return a model of these variants, under their name; answers are small by default."""
    fields.setdefault("tokenization", TokenizationSpec(default_max_tokens=16))
    return ModelSpec(name=variants[0].model, variants=variants, **fields)


def fake_tokenizer(journal: Journal, **knobs: object) -> TokenizationSpec:
    """Return a tokenization by the fake llama-tokenize."""
    flags = faults(journal, **knobs)
    named = [(f"--{name.lower().replace('_', '-')}", value) for name, value in flags.items()]
    args = ("-m", "m.gguf", *(word for pair in named for word in pair))
    return TokenizationSpec(binary=LLAMA_TOKENIZE, extra_args=args, default_max_tokens=16)


@dataclass
class Following:
    """The configuration that the next reload will load."""

    settings: ServerSettings
    catalog: Catalog
    fault: ConfigError | None = None


@dataclass
class Gateway(GatewayClient):
    """A gateway in this process; a reload loads ``following``."""

    manager: EngineManager = field(kw_only=True)
    reloader: Reloader = field(kw_only=True)
    recorder: Recorder = field(kw_only=True)
    following: Following = field(kw_only=True)

    def state(self, context: int = 256, model: str = "m") -> State:
        label = f"{model}@{context}"
        return next(r.state for r in self.manager.records() if r.variant.label == label)

    async def until_state(self, state: State, context: int = 256, model: str = "m") -> None:
        await until(lambda: self.state(context, model) is state)

    async def until_waiting(self, count: int) -> None:
        await until(lambda: self.manager.waiting() == count)


async def until(happened: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until ``happened()`` is true."""
    pauses = pauses_until(time.monotonic() + patience)
    while not happened():
        pause = next(pauses, None)
        assert pause is not None, "it did not happen in time"
        await asyncio.sleep(pause)


async def in_flight(gateway: GatewayClient, state: str) -> str:
    """Wait until the newest request in flight is in that state; return its id."""
    pauses = pauses_until(time.monotonic() + PATIENCE)
    while True:
        requests = (await gateway.request("GET", "/running")).json["requests"]
        if requests and requests[-1]["state"] == state:
            return str(requests[-1]["id"])
        pause = next(pauses, None)
        assert pause is not None, f"no request is {state}: {requests}"
        await asyncio.sleep(pause)


async def hang(pid: int) -> None:
    """Stop the process until SIGCONT or SIGKILL."""
    os.kill(pid, signal.SIGSTOP)
    # On a busy machine it may still run for a moment.
    await until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie that was never reaped."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@asynccontextmanager
async def running_gateway(
    journal: Journal,
    *models: ModelSpec,
    clock: Clock | None = None,
    default_model: str | None = None,
    tokenizer_timeout: float = PATIENCE,
    store: StateStore | None = None,
    routes: Iterable[RouteTable] = (),
    peers: Iterable[PeerTable] = (),
    checked: bool = True,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """Inside the block a gateway serves ``models``; the settings are those of ``server``.

    With a ``store``, prompt caches are saved and restored. One of several gateways is not
    ``checked`` for what it leaves, as the others still run.
    """
    async with nothing_left(journal) if checked else nullcontext():
        # Tones stand for speech in these tests; a model knows them from it.
        quick = {"fast_lane": FAST_LANE, "voice_activity_model": False}
        usual = {"listen_v4": "127.0.0.1:0", **quick}
        given = ServerSettings(**{**usual, **settings})
        catalog = Catalog(models, default_model, routes=routes, peers=peers)
        folder = journal.path.parent / "state"

        async def load() -> tuple[ServerSettings, Catalog]:
            if following.fault is not None:
                raise following.fault
            return following.settings, following.catalog

        following = Following(given, catalog)
        carried = PromptCacheManager(store, given.state_timeout) if store is not None else None
        app = build(
            given,
            catalog,
            load,
            folder,
            own_token=OWN_TOKEN,
            clock=clock,
            prompt_caches=carried,
            tokenizer=LlamaTokenize(tokenizer_timeout),
        )
        async with app.gateway.serving() as endpoints, client_session() as session:
            gateway = Gateway(
                endpoints[0].port,
                journal,
                session,
                OWN_TOKEN,
                manager=app.manager,
                reloader=app.reloader,
                recorder=app.gateway.recorder,
                following=following,
            )
            try:
                yield gateway
            finally:
                for client in gateway.clients:
                    client.leave()


@asynccontextmanager
async def nothing_left(journal: Journal) -> AsyncIterator[None]:
    """Assert that after the block no engine, tokenizer, task or file descriptor is left."""
    # A loop opens a descriptor of its own with its first server.
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    server.close()
    await server.wait_closed()
    tasks, files = asyncio.all_tasks(), sum(1 for _ in os.scandir(FILES))
    yield
    started = journal.events("start")
    ours = [event["pid"] for event in started if event["ppid"] == os.getpid()]
    assert not [pid for pid in ours if psutil.pid_exists(pid)], "a child is left, or not reaped"
    others = {event["pid"] for event in started}
    others |= {event["child"] for event in journal.events("grandchild")}
    await until(lambda: not any(map(is_running, others)))
    # Tasks that are closed need a turn of the loop or two until they have ended.
    await until(lambda: asyncio.all_tasks() <= tasks)
    await until(lambda: sum(1 for _ in os.scandir(FILES)) <= files)


def open_files() -> list[str]:
    """Return what the file descriptors of this process refer to."""
    found = []
    for descriptor in Path(FILES).iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the one that lists them
            continue
    return sorted(found)
