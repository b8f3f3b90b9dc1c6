"""What the gateway must know of a kind of engine, and nothing of any kind in particular.

An ``EngineType`` is one program: how it is started, where it listens, what it can do, how a
request is counted for it. It is asked about variants; it keeps no engine. Of one running engine
there are three parts, each made anew for each run:

* ``EngineClient`` talks to it,
* ``LogReader`` reads what it prints,
* ``EngineHooks`` act before its start, around each of its requests, and before its stop.

A type says only what is different from the defaults here: most have no prompt cache, no log that
tells of memory, and no tokenizer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.client import EngineClient
from engine.resources.rules import RAM
from engine.upstream import UpstreamResponse
from models.capabilities import Capabilities
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec

__all__ = [
    "Capabilities",
    "EngineClient",
    "EngineHooks",
    "EngineRun",
    "EngineType",
    "Finding",
    "Launch",
    "LogReader",
    "Placement",
    "Shortage",
    "UpstreamResponse",
]

# Exit statuses of a process that was killed, itself or beneath a shell.
_KILLED = (-9, 128 + 9)


@dataclass(frozen=True, slots=True)
class Launch:
    """All that is needed to start an engine: its name in logs, command line, environment, URL.

    ``stop_signal`` is the name of the signal that asks it to end. An engine that
    ``reads_input`` has a standard input that stays open until then.
    """

    label: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str
    stop_signal: str = field(default="SIGTERM", kw_only=True)
    reads_input: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Which memory there was too little of, and the words that say so."""

    resource: str
    said: str


class Finding(NamedTuple):
    """Something wrong with a variant that the configuration alone cannot show.

    ``key`` is the key of the variant's table that it belongs to, ``message`` is for a person. An
    engine of a ``fatal`` finding can never start.
    """

    key: str
    message: str
    fatal: bool = False


class LogReader:
    """Reads the output of one run of an engine. This one understands no line.

    ``advice`` says what to change of a variant that needs too much memory.
    """

    advice = "Let it take less"

    def is_protocol(self, line: str) -> bool:
        """Whether the line is for a program, and no person should read it."""
        return False

    def percent(self, line: str) -> float | None:
        """How much of the model is loaded, from 0 to 100; None where the line does not tell."""
        return None

    def read(self, line: str) -> None:
        """The engine printed a line while it loaded."""

    def amounts(self) -> dict[str, int]:
        """The memory that the lines so far tell of, in bytes by resource."""
        return {}

    def shortage(self, status: int) -> Shortage | None:
        """Which memory the engine ran out of, if that is why it ended with ``status``.

        An engine that is killed while it loads, and not by the gateway, fell to the kernel, which
        ends the process that takes the last of the main memory. ``status`` is negative for a
        signal.
        """
        if status in _KILLED:
            return Shortage(RAM, "it was killed, as the system does when main memory runs out")
        return None


class Placement(ABC):
    """A request's place inside an engine, until exactly one of the last three is called."""

    @abstractmethod
    def body(self, body: bytes) -> bytes:
        """The request's body, naming its place where the engine must be told."""

    @abstractmethod
    def answered(
        self,
        tokens: int | None = None,
        cached: int | None = None,
        read: tuple[int, float] | None = None,
    ) -> None:
        """The request has left its place, and the engine had answered it, at least in part.

        ``tokens`` are those of prompt and answer, ``cached`` those of the prompt that the engine
        had already, ``read`` those that it read and how many seconds that took, if it said so.
        """

    @abstractmethod
    def refused(self) -> None:
        """The request has left its place, and the engine had not begun with it."""

    @abstractmethod
    def broken_off(self) -> None:
        """The request has left its place while its prompt was read."""


class EngineHooks:
    """What a type does beside one run of an engine. This one does nothing.

    Nothing here may fail a request or a start.
    """

    @property
    def prompt_cache(self) -> str:
        """Whether prompts are saved and restored: ``on``, ``off`` or ``useless``."""
        return "off"

    async def prepared(self, launch: Launch) -> Launch:
        """The launch with what the type adds to it; the engine is spawned next."""
        return launch

    async def assign(self, facts: RequestFacts) -> Placement | None:
        """The request's place, made ready for it; None where the engine chooses."""
        return None

    async def before_stop(self) -> None:
        """The engine, which is ready, is about to be stopped as planned."""

    def ended(self) -> None:
        """The engine's process is gone."""


class EngineRun(Protocol):
    """One run of an engine: a process, or a connection to one that others keep alive.

    ``started_at`` and ``ready_at`` are moments of the manager's clock; ``ended`` is why it is
    over, "" before that.
    """

    ticket: int
    client: EngineClient
    hooks: EngineHooks
    pid: int | None
    started_at: float
    ready_at: float | None
    ended: str

    def stop(self, *, save: bool = False) -> None:
        """The run is to end; with ``save`` a ready engine's ``before_stop`` hook comes first."""

    def kill(self) -> None:
        """The run ends at once."""

    async def gone(self, within: float | None) -> bool:
        """Whether it is over, waiting ``within`` seconds for it; None: until it is."""

    async def run(self) -> None:
        """Return once it is over. It reports EngineExited exactly once, as its last act."""


class EngineType(ABC):
    """One kind of engine, by the ``name`` that ``engine =`` gives in the configuration.

    ``environment`` holds the beginnings of those variables of the gateway's own environment that
    change what an engine needs. Where a type ``wants_client_key``, the client's ``Authorization``
    is sent on to its engines; to others it never is. A type that ``runs_elsewhere`` takes no
    place and no memory on this machine.
    """

    name: str
    environment: tuple[str, ...] = ("CUDA_", "HIP_", "ROCR_", "HSA_")
    wants_client_key = False
    runs_elsewhere = False

    @abstractmethod
    def address(self, variant: VariantSpec, connect: str | None) -> str | None:
        """The URL where the variant's engine listens; None: a free port is found for it.

        ``connect`` is what the model's configuration says.
        """

    @abstractmethod
    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch | None:
        """How the variant's engine is started so that it listens at ``url``; None: it is not.

        ``environ`` is the gateway's own environment.
        """

    @abstractmethod
    def client(self, variant: VariantSpec, url: str) -> EngineClient:
        """The way to an engine of the variant that listens at ``url``."""

    @abstractmethod
    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """What the variant can do, as its configuration tells."""

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:
        """The paths of the files that the variant's engine reads while it loads, in that order."""
        return []

    def hooks(self, variant: VariantSpec, client: EngineClient) -> EngineHooks:
        """What is done beside an engine of the variant that starts now."""
        return EngineHooks()

    def log_reader(self, variant: VariantSpec, environ: Mapping[str, str]) -> LogReader:
        """What reads the output of an engine of the variant that starts now."""
        return LogReader()

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """The tokens of ``text``, counted without an engine; CountUnavailable where that fails."""
        raise CountUnavailable(f"engines of the type {self.name} count no tokens")

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """What is wrong with the variant. It may read files and run programs for some seconds."""
        return []
