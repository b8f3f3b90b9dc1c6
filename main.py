"""LLM Gateway: arguments → configuration → objects → run."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C while modules load ends the process quietly; the gateway handles it later.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import gc
import os
import sys
from pathlib import Path

import platformdirs

from engine.learnt import LearntNeeds
from engine.limits import limits_of
from engine.manager import EngineManager
from engine.memory import Memory
from engine.orphans import OrphanRegistry
from engine.policy import policy_of
from engine.tokenizer import LlamaTokenize
from models.catalog import Catalog
from models.selector import ModelSelector
from models.sizing import Sizer
from server.configuration import Configuration, CurrentConfiguration
from server.gateway import GatewayServer
from server.handler import RequestHandler
from utils.clock import LoopClock
from utils.config import ConfigLoader
from utils.errors import ConfigError
from utils.logger import setup_logging
from utils.settings import ServerSettings, server_settings

VERSION = "0.1.0"
BAD_CONFIG = 2
# New containers until the youngest are searched for cycles; requests leave few behind.
_COLLECT_EVERY = 20_000


def main(argv: list[str] | None = None) -> int:
    """Run the gateway, or only check its configuration; the exit status."""
    args = _parser().parse_args(argv)
    try:
        tables = ConfigLoader(args.config).load()
        settings = server_settings(tables.server)
        catalog = Catalog.from_tables(tables.models, settings, tables.groups)
        if args.check:
            print(f"{args.config}: {_summary(catalog)}")  # noqa: T201 - the answer asked for
            return 0
        setup_logging(settings.log_level)
        return _run(settings, catalog)
    except ConfigError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - before logging is set up
        return BAD_CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-gateway",
        description="An OpenAI-compatible gateway that starts the llama-server each request needs.",
    )
    parser.add_argument(
        "-c",
        "--config",
        required=True,
        metavar="FILE",
        type=Path,
        help="the Lua configuration, e.g. example.cfg.lua",
    )
    parser.add_argument("--check", action="store_true", help="validate the configuration and exit")
    parser.add_argument("--version", action="version", version=f"llm-gateway {VERSION}")
    return parser


def _run(settings: ServerSettings, catalog: Catalog) -> int:
    if sys.platform == "win32":
        return asyncio.run(_serve(settings, catalog))
    import uvloop  # noqa: PLC0415 - not there on Windows

    return uvloop.run(_serve(settings, catalog))


async def _serve(settings: ServerSettings, catalog: Catalog) -> int:
    folder = settings.state_dir or platformdirs.user_state_dir("llm-gateway", appauthor=False)
    registry = OrphanRegistry(Path(folder))
    registry.sweep()
    clock = LoopClock()
    learnt = LearntNeeds(Path(folder), os.environ)
    manager = EngineManager(
        catalog,
        policy_of(settings),
        clock,
        registry,
        limits=limits_of(catalog, settings),
        memory=Memory(clock, learnt, wait=settings.memory_wait),
        port_range=settings.port_range,
    )
    selector = ModelSelector(Sizer(manager, LlamaTokenize()), manager)
    current = CurrentConfiguration(Configuration.of(settings, catalog))
    handler = RequestHandler(current, selector, manager, clock)
    # What exists now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    return await GatewayServer(current, handler, manager).run()


def _summary(catalog: Catalog) -> str:
    variants = sum(len(model.variants) for model in catalog.models)
    return f"valid, {len(catalog.models)} model(s), {variants} variant(s)"


if __name__ == "__main__":
    sys.exit(main())
