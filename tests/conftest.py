"""Settings and fixtures of all tests."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from fake_engine import Journal
from hypothesis import HealthCheck, settings

from engine.resources.page_cache import BLOCK
from utils.collector import settle

# A machine that is busy with something else is no reason to fail.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Each run has other examples: what sixty do not find, the next runs look for.
settings.register_profile("gateway", _PATIENT, max_examples=60)
settings.register_profile("explore", _PATIENT, max_examples=1000)
settings.load_profile("gateway")

_OWN_FOLDER = pytest.StashKey[str]()

_NUMBERS = itertools.count()

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads the option
def pytest_configure(config: pytest.Config) -> None:
    """Give every run a seed and a temporary folder of its own.

    ``--hypothesis-seed`` repeats an earlier run; ``--basetemp`` names a folder that stays.
    pytest-xdist hands both options on: its workers have the same seed, and folders in this one.

    The folder that runs share by default has old ones in it, which each run deletes at its end. Two
    runs at once then delete the same files, and one of them fails.
    """
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="llm-gateway-tests-")
        config.stash[_OWN_FOLDER] = config.option.basetemp


@pytest.hookimpl(trylast=True)  # after the workers have ended
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Delete the run's own temporary folder, unless a test failed: then its files tell why."""
    folder = session.config.stash.get(_OWN_FOLDER, None)
    if folder is not None and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without collections of garbage: almost all that is made then stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector leave alone what lives until the end, as ``main.py`` does.

    Fails if the workers do not keep the tests of a group together: xdist then says nothing.
    """
    settle()
    if getattr(session.config.option, "loadgroup", False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError("this pytest-xdist does not group tests with this pytest")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the seed, in quiet runs too, and where the files of failed tests are."""
    terminalreporter.line(f"random worlds: --hypothesis-seed={config.option.hypothesis_seed}")
    if Path(config.option.basetemp).exists():
        terminalreporter.line(f"files of the tests: {config.option.basetemp}")


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers from the seed of the run and the name of the test."""
    return random.Random(f"{request.config.option.hypothesis_seed} {request.node.name}")


def pytest_asyncio_loop_factories() -> dict[str, LoopFactory]:
    """Tests run on the event loop that the gateway runs on."""
    if sys.platform == "win32":
        return {"asyncio": asyncio.new_event_loop}
    import uvloop  # noqa: PLC0415 - not there on Windows

    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder, which lies beside those of the other tests.

    pytest's own fixture lists all folders of the run for the next number: a third of the time of
    most small tests with a folder.
    """
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}-{next(_NUMBERS)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """The file to which the fakes of the test write what they do."""
    return Journal(tmp_path / "journal")


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The blocks that are in the cache, by their place: none at first; a read adds its own.

    A machine with memory to spare does not forget what a test has just written.
    """
    cached: set[int] = set()
    read = os.preadv

    def reading(descriptor: int, buffers: list[bytearray], at: int, flags: int = 0) -> int:
        if flags:
            if at // BLOCK not in cached:
                raise BlockingIOError
        else:
            cached.add(at // BLOCK)
        return read(descriptor, buffers, at)

    monkeypatch.setattr(os, "preadv", reading)
    return cached
