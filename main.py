"""LLM Gateway: arguments → configuration → objects → run."""

from __future__ import annotations

import signal
import sys

# Run as a file, or by the command of an installed package, which imports it.
if __name__ == "__main__" or sys.argv[0].endswith(("llm-gateway", "llm-gateway.exe")):
    # Ctrl-C while modules load ends the process quietly; the gateway handles it later.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # SIGHUP means to read the configuration again; it will be read soon anyway.
        signal.signal(signal.SIGHUP, lambda *_: None)

import argparse
import asyncio
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from server.admin.commands import add_commands, run_command
from server.admin.own_token import own_token
from server.admin.presence import announced
from utils.collector import settle
from utils.config.loader import faulty
from utils.config.settings import ServerSettings
from utils.config.watch import changed, fingerprint
from utils.errors import CannotStart, ConfigError, GatewayError
from utils.logger import setup_logging
from utils.merged import merged
from utils.state_folder import state_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import app
    from models.catalog import Catalog

_Loaded = TypeVar("_Loaded")
VERSION = "0.1.0"
FAILED = 1
# A service manager does not restart the gateway after BAD_CONFIG, see deploy/; after CANNOT_LISTEN
# it does.
BAD_CONFIG = 2
CANNOT_LISTEN = 69
INTERRUPTED = 130
# ``app`` imports every room. It is imported where it is used, so that --help and the commands for a
# running gateway answer in a fraction of the time.
# Seconds for heads of new model files at the start; the others are read while the gateway serves.
_READ_HEADS = 2.0


def main(argv: list[str] | None = None) -> int:
    """Run the gateway, or carry out the command or option in ``argv``; return the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.config is None and args.check:
        parser.error("--check needs a configuration: -c FILE")
    try:
        return _done(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except CannotStart as error:
        print(error, file=sys.stderr)  # noqa: T201 - the reason why it ends
        return CANNOT_LISTEN
    except ConfigError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - before logging is set up
        return BAD_CONFIG
    except GatewayError as error:
        print(f"llm-gateway: {error.message}", file=sys.stderr)  # noqa: T201 - the same
        return FAILED


def _done(args: argparse.Namespace) -> int:
    """Do what the arguments say and return the exit status."""
    if args.forget:
        return _forget(args.config)
    if args.command == "models":
        return _models(args)
    if args.command == "accounts":
        return _accounts(args)
    if args.command == "convert":
        from utils.config.convert.converter import converted  # noqa: PLC0415 - see above

        sys.stdout.write(converted(args.file))
        return 0
    if args.command is not None:
        settings = _settings(args.config)
        return run_command(args, settings, state_folder(settings), _offline(args.config))
    return _serve_models(args)


def _serve_models(args: argparse.Namespace) -> int:
    """Serve what the configuration has, or all models of this machine without one."""
    import app  # noqa: PLC0415 - see above

    config: Path | None = args.config
    # Taken before the file is read, so that a change during the reading is noticed.
    seen = None if config is None else fingerprint(config.absolute())
    loader = app.Loader(config, _added(args, config))
    if not args.check:
        # Which models are not served is logged.
        setup_logging(ServerSettings().log_level)
    within = inf if args.check else _READ_HEADS
    settings, catalog = _interruptible(lambda: loader.load(within))
    if args.check:
        return _check(args.config, settings, catalog)
    setup_logging(settings.log_level)
    watches = []
    if config is not None and seen is not None and args.watch:
        watches.append(changed(config.absolute(), seen))
    if loader.places:
        from models.discovery.watch import changed_stores  # noqa: PLC0415 - see above

        watches.append(changed_stores(loader.places, watch=args.watch or loader.watched))
    watch = merged(*watches) if watches else None
    return _run(settings, catalog, config, watch, loader)


def _offline(config: Path | None) -> Callable[[bytes], dict[str, Any]]:
    """Return what decides for a request where no gateway runs, by the configuration."""

    def decided(order: bytes) -> dict[str, Any]:
        import app  # noqa: PLC0415 - see above
        from server.active_profile import ActiveProfile  # noqa: PLC0415 - see above
        from server.admin.offline_route import decided_offline  # noqa: PLC0415 - see above
        from server.configuration import Configuration  # noqa: PLC0415 - see above

        settings, catalog = _interruptible(app.Loader(config).load)
        configuration = Configuration.of(settings, catalog, app.engine_types())
        return decided_offline(order, configuration, ActiveProfile(state_folder(settings)).name)

    return decided


def _added(args: argparse.Namespace, config: Path | None) -> app.Added:
    """Return what the command line adds to the configuration; fetch and import that before."""
    import app  # noqa: PLC0415 - see above

    model = None
    if args.hf_repo is not None:
        from models.downloads.reference import wanted  # noqa: PLC0415 - see above
        from server.admin.pull_command import fetch_or_find  # noqa: PLC0415 - see above

        model = fetch_or_find(wanted(args.hf_repo, args.hf_file))
    if args.import_dir:
        from models.discovery.importing import import_folder  # noqa: PLC0415 - see above

        settings, taken = _interruptible(app.Loader(config).named)
        for folder in args.import_dir:
            import_folder(folder, state_folder(settings), taken)
    return app.Added(model, tuple(str(folder.absolute()) for folder in args.import_dir))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-gateway",
        description="An OpenAI-compatible gateway that starts the llama-server each request needs.",
    )
    # The option may also follow a command; without it there, the one before the command counts.
    config = argparse.ArgumentParser(add_help=False)
    for each, default in ((parser, None), (config, argparse.SUPPRESS)):
        each.add_argument(
            "-c",
            "--config",
            metavar="FILE",
            type=Path,
            default=default,
            help="the Lua configuration, e.g. example.cfg.lua; without it, the gateway serves the "
            "models that it finds on this machine",
        )
    parser.add_argument("--check", action="store_true", help="validate the configuration and exit")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="load the configuration again whenever it, or a Lua file beside it, is changed, and "
        "look for models again when those of other programs have changed",
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        help="remove all saved prompt caches, which contain conversations, and exit",
    )
    parser.add_argument(
        *("-hf", "-hfr", "--hf-repo"),
        metavar="USER/REPO[:QUANT]",
        help="fetch this model from the hub, unless it is there, and serve it",
    )
    parser.add_argument(
        *("-hff", "--hf-file"), metavar="FILE", default="", help="with -hf: this file of it"
    )
    parser.add_argument(
        "--import-dir",
        metavar="DIR",
        type=_folder,
        action="append",
        default=[],
        help="remember the models in this folder, and serve them",
    )
    parser.add_argument("--version", action="version", version=f"llm-gateway {VERSION}")
    add_commands(parser, config)
    return parser


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def _run(
    settings: ServerSettings,
    catalog: Catalog,
    config: Path | None,
    watch: AsyncIterator[None] | None,
    loader: app.Loader,
) -> int:
    serving = _serve(settings, catalog, config, watch, loader)
    if sys.platform == "win32":
        return asyncio.run(serving)
    import uvloop  # noqa: PLC0415 - not there on Windows

    return uvloop.run(serving)


async def _serve(
    settings: ServerSettings,
    catalog: Catalog,
    config: Path | None,
    watch: AsyncIterator[None] | None,
    loader: app.Loader,
) -> int:
    import app  # noqa: PLC0415 - see above

    folder = state_folder(settings)
    built = app.build(
        settings,
        catalog,
        loader.again,
        folder,
        own_token=own_token(folder),
        prompt_caches=app.prompt_caches(settings, folder),
        watch=watch,
        heads=loader.heads,
        read_one=loader.read_one,
    )
    if loader.unread:
        built.reloader.ask()
    built.orphans.sweep()
    settle()
    return await built.gateway.run(
        lambda endpoints: announced(folder, endpoints, config, built.scheme)
    )


def _models(args: argparse.Namespace) -> int:
    """Carry out a command for the models of this machine; return the exit status."""
    from models.discovery.inventory import Taken  # noqa: PLC0415 - see above
    from server.admin.model_commands import run_model_command  # noqa: PLC0415 - see above

    if args.config is None:
        return run_model_command(args, state_folder(ServerSettings()), Taken)
    import app  # noqa: PLC0415 - see above

    loader = app.Loader(args.config)
    settings, taken = _interruptible(loader.named)
    folder = state_folder(settings)
    return run_model_command(args, folder, lambda: taken, loader.wishes, loader.planned)


def _accounts(args: argparse.Namespace) -> int:
    """Carry out a command for the accounts of a configuration; return the exit status."""
    settings = _settings(args.config)
    if settings.accounts is None:
        raise ConfigError("The configuration has no accounts: add 'accounts = {}' to the file.")
    from accounts.commands import run_account_command  # noqa: PLC0415 - see above

    return run_account_command(args, settings.accounts, state_folder(settings))


def _settings(config: Path | None) -> ServerSettings:
    """Return the settings of this file, or the defaults without one."""
    if config is None:
        return ServerSettings()
    import app  # noqa: PLC0415 - see above

    return _interruptible(app.Loader(config).settings)


def _interruptible(load: Callable[[], _Loaded]) -> _Loaded:
    """Load a file; Ctrl-C stops Lua and leaves no temporary file."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return load()
    finally:
        signal.signal(signal.SIGINT, before)


def _forget(config: Path | None) -> int:
    """Remove all saved prompt caches of this configuration; return the exit status."""
    import app  # noqa: PLC0415 - see above
    from engine.llamacpp.prompt_cache.store import StateStore  # noqa: PLC0415 - see above

    folder = state_folder(_settings(config)) / app.STATES
    try:
        states, size = StateStore(folder, 0).forget()
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201 - no logging here
        return FAILED
    print(f"{folder}: {states} saved state(s) removed, {size / 2**20:.1f} MiB")  # noqa: T201 - the answer asked for
    return 0


def _check(config: Path, settings: ServerSettings, catalog: Catalog) -> int:
    """Print the result of the checks and its warnings; return the exit status.

    Raises ConfigError if the configuration has a fault.
    """
    import app  # noqa: PLC0415 - see above

    found = app.examine(settings, catalog)
    for line in found.warnings:
        print(f"warning: {line}")  # noqa: T201 - the answer asked for
    if found.faults:
        raise faulty(config, found.faults)
    print(f"{config}: {_summary(catalog)}")  # noqa: T201 - the answer asked for
    return 0


def _summary(catalog: Catalog) -> str:
    variants = sum(len(model.variants) for model in catalog.models)
    return f"valid, {len(catalog.models)} model(s), {variants} variant(s)"


if __name__ == "__main__":
    sys.exit(main())
