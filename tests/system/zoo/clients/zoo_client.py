"""What the checks of every client share.

It runs in the environments of the clients, so it needs the standard library alone. A script names
its checks with ``check`` and ends with ``main``, which prints one line of JSON for each check.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterator

GATEWAY = os.environ["GATEWAY"]
OPENAI = f"{GATEWAY}/v1"
# What operators send.
ADMIN = {"Authorization": f"Bearer {os.environ['ZOO_TOKEN']}"}
PATIENCE = 120.0
# The chat model, the same one that does not end by itself, one that calls tools, and one that no
# gateway has.
MODEL, ENDLESS, CALLER, UNKNOWN = "smol", "endless", "caller", "gpt-9"
CITIES = ["Paris", "Rome"]
HELLO: Any = [{"role": "user", "content": "Hello"}]
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
TOO_LONG_TEXT = "the quick brown fox " * 3000
TOO_LONG: Any = [{"role": "user", "content": TOO_LONG_TEXT}]
STORY = "Count from one to one thousand, in words."
SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": CITIES}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: Any = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": SCHEMA,
}
TOOL: Any = {"type": "function", "function": FUNCTION}

# The check in which a client leaves before the end of its answer.
LEAVES = "cancel"
# For the names of files.
_numbers = itertools.count()
_checks: dict[str, Callable[[], Any]] = {}


def check(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Name a function, sync or async, that raises where the client does not work."""

    def named(function: Callable[[], Any]) -> Callable[[], Any]:
        _checks[name] = function
        return function

    return named


def main() -> None:
    """Run the checks, or those that the command line names; print what came of each."""
    # One event loop for all: some clients keep their connections.
    with asyncio.Runner() as runner:
        for name in sys.argv[1:] or _checks:
            began, error = time.monotonic(), ""
            before = departures() if name == LEAVES else 0
            try:
                outcome = _checks[name]()
                if inspect.iscoroutine(outcome):
                    runner.run(outcome)
                if name == LEAVES:
                    # The engine is idle a moment before the request is counted.
                    wait_until(partial(_another_left, before), "the engine wrote all of the answer")
            except Exception:  # noqa: BLE001 - whatever a client raises is a result
                error = traceback.format_exc()
            seconds = round(time.monotonic() - began, 2)
            print(json.dumps({"check": name, "error": error, "seconds": seconds}), flush=True)


@contextlib.contextmanager
def refused(*words: str, kind: type[BaseException] = Exception) -> Iterator[None]:
    """Assert that the block raises ``kind``, with one of these words in its message."""
    began = time.monotonic()
    try:
        yield
    except kind as error:
        message = f"{type(error).__name__}: {error}"
        assert any(word.lower() in message.lower() for word in words), message
        assert time.monotonic() - began < PATIENCE / 2, "the client tried again and again"
    else:
        raise AssertionError("it was not refused")


def too_long(kind: type[BaseException] = Exception) -> contextlib.AbstractContextManager[None]:
    """Assert that the block is refused in words that say that the prompt is too long."""
    return refused("context_length", "context length", "too long", "context size", kind=kind)


def unknown(kind: type[BaseException] = Exception) -> contextlib.AbstractContextManager[None]:
    """Assert that the block is refused in words that name the model."""
    return refused(UNKNOWN, kind=kind)


def is_city(value: object) -> None:
    """Assert that ``value``, an object or JSON, is what ``SCHEMA`` says."""
    found = json.loads(value) if isinstance(value, str) else value
    assert isinstance(found, dict), found
    assert found["city"] in CITIES, found


def active() -> int:
    """Return how many requests the engines answer or the queue holds."""
    with urllib.request.urlopen(f"{GATEWAY}/health", timeout=PATIENCE) as response:
        health = json.load(response)
    return int(health["waiting"] + sum(engine["active"] for engine in health["engines"]))


def departures() -> float:
    """Return how many requests have ended because their client left."""
    request = urllib.request.Request(f"{GATEWAY}/metrics", headers=ADMIN)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'status="499"' in line)


def _another_left(before: float) -> bool:
    return departures() > before


def until_active() -> None:
    """Wait until an engine answers a request."""
    wait_until(lambda: active() > 0, "no request came")


def until_idle() -> None:
    """Wait until no engine answers a request and the queue is empty."""
    wait_until(lambda: active() == 0, "an engine still answers")


async def left(asked: Callable[[], Awaitable[AsyncIterable[Any]]]) -> None:
    """Cancel a task that reads the stream; the engine is idle then."""
    began = asyncio.Event()

    async def read() -> None:
        async for _ in await asked():
            began.set()

    reading = asyncio.ensure_future(read())
    await asyncio.wait_for(began.wait(), PATIENCE)
    while not reading.done():
        # Some clients hear it only while they wait.
        reading.cancel()
        await asyncio.wait([reading], timeout=0.05)
    await asyncio.to_thread(until_idle)


def wait_until(
    happened: Callable[[], bool], otherwise: str, every: float = 0.02, patience: float = PATIENCE
) -> None:
    """Wait until ``happened()`` is true; it is not in time → AssertionError."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, otherwise
        time.sleep(every)


def command(*words: str, **more: Any) -> str:
    """Run a command-line client to its end; return what it printed. It fails → AssertionError."""
    more = {"capture_output": True, "text": True, "timeout": PATIENCE, **more}
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, **more)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout} {done.stderr}"
    return str(done.stdout)


class Program:
    """A program in Python, run in a child that has imported it already; its files are beside it.

    ``main`` is its entry point. It sees what it would see on its command line.
    """

    def __init__(self, main: Callable[[], object], *words: str, env: dict[str, str]) -> None:
        number = next(_numbers)
        self._out, self._err = Path(f"out-{number}"), Path(f"err-{number}")
        sys.stdout.flush()
        self._child = os.fork()
        if self._child == 0:
            self._be(main, words, env)

    def _be(self, main: Callable[[], object], words: tuple[str, ...], env: dict[str, str]) -> None:
        status = 1
        try:
            _become(0, os.devnull, os.O_RDONLY)
            _become(1, str(self._out), os.O_WRONLY | os.O_CREAT)
            _become(2, str(self._err), os.O_WRONLY | os.O_CREAT)
            os.environ.clear()
            os.environ.update(env)
            sys.argv = list(words)
            status = _status(main)
        except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a program
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def ended(self, patience: float) -> str:
        """Wait for the end; return what it printed. It fails → AssertionError."""
        deadline = time.monotonic() + patience
        while (done := os.waitpid(self._child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"it does not end: {self._said()}")
            time.sleep(0.02)
        status = os.waitstatus_to_exitcode(done[1])
        assert status == 0, f"exit status {status}: {self._said()}"
        return self._out.read_text()

    def stop(self) -> None:
        """Send SIGTERM and wait for the end."""
        os.kill(self._child, signal.SIGTERM)
        os.waitpid(self._child, 0)

    def _said(self) -> str:
        return f"{self._out.read_text()} {self._err.read_text()}"


def _become(descriptor: int, name: str, flags: int) -> None:
    os.dup2(os.open(name, flags, 0o600), descriptor)


def _status(main: Callable[[], object]) -> int:
    """Return the exit status that ``sys.exit(main())`` would have."""
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def stopped(*words: str, **more: Any) -> None:
    """Start a command-line client, and stop it while an engine answers; the engine is idle then."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with subprocess.Popen(words, **quiet, **more) as process:
        try:
            until_active()
        finally:
            process.terminate()
    until_idle()
