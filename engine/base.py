"""The interface of an engine type: all that the gateway must know of it.

An ``EngineType`` stands for one program: how it starts, where it listens, what it can do, how
requests are counted for it. Its methods take variants; it has no engines. Each run of an engine has
three new objects:

* ``EngineClient`` sends requests to it,
* ``LogReader`` reads its output,
* ``EngineHooks`` act before its start, around each of its requests, and before its stop.

A type overrides only what differs from the defaults here: most types have no prompt cache, no
memory figures in the log, and no tokenizer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.client import EngineClient
from engine.resources.rules import RAM
from engine.upstream import UpstreamResponse
from models.capabilities import Capabilities
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.model_file import FileFacts
    from models.planning import MachineMemory
    from models.requests.endpoints import Endpoint
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec

__all__ = [
    "Capabilities",
    "EngineClient",
    "EngineHooks",
    "EngineRun",
    "EngineType",
    "Finding",
    "Forecast",
    "Launch",
    "LogReader",
    "ModelFile",
    "Placement",
    "Shortage",
    "UpstreamResponse",
    "Voice",
]

# Exit statuses of a process that was killed, itself or beneath a shell.
_KILLED = (-9, 128 + 9)


@dataclass(frozen=True, slots=True)
class Launch:
    """All that is needed to start an engine: its label, command line, environment and URL.

    ``stop_signal`` is the name of the signal that stops it. If it ``reads_input``, its standard
    input stays open until then.
    """

    label: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str
    stop_signal: str = field(default="SIGTERM", kw_only=True)
    reads_input: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Shortage:
    """The memory that was too small, and the words of the log that say so."""

    resource: str
    said: str


class Finding(NamedTuple):
    """A fault of a variant that the configuration alone cannot show.

    ``key`` is its key in the variant's table, ``message`` is for a person. With a ``fatal`` finding
    the engine can never start.
    """

    key: str
    message: str
    fatal: bool = False


class Forecast(NamedTuple):
    """The memory that an engine will take, in bytes by resource.

    Without it, ``unknown`` says why: its ``file`` cannot be read, the configuration places its
    ``layers``, its ``arguments`` are not understood, or this ``engine`` is not known so
    well, or runs ``elsewhere``.
    """

    needs: Mapping[str, int]
    unknown: str = ""


class Voice(NamedTuple):
    """A voice of an engine that speaks, and its language, "" if that is not known."""

    name: str
    language: str = ""


class ModelFile(NamedTuple):
    """What the files of a model tell about it.

    ``format`` is that of the files. ``facts`` are those of the model and its projector.
    ``modified`` is the time of the model's last change, in seconds since 1970. ``info`` has the
    keys of its head, without long arrays and the chat template.
    """

    format: str
    facts: FileFacts
    modified: float
    info: Mapping[str, object]
    template: str = ""


class LogReader:
    """Reads the output of one run of an engine. This one understands no line.

    ``advice`` says what to change if the variant needs too much memory.
    """

    advice = "Let it take less"

    def is_protocol(self, line: str) -> bool:
        """Return whether the line is for a program, and not for the log."""
        return False

    def percent(self, line: str) -> float | None:
        """Return how much of the model is loaded, from 0 to 100; None if the line does not say."""
        return None

    def read(self, line: str) -> None:
        """Read a line that the engine printed while it loaded."""

    def amounts(self) -> dict[str, int]:
        """Return the memory in the lines so far, in bytes by resource."""
        return {}

    def shortage(self, status: int) -> Shortage | None:
        """Return which memory was too small, if that ended the engine with ``status``, else None.

        If the engine is killed while it loads, and not by the gateway, the kernel has done it: it
        ends the process that takes the last of the main memory. ``status`` is negative for a
        signal.
        """
        if status in _KILLED:
            return Shortage(RAM, "it was killed, as the system does when main memory runs out")
        return None


class Placement(ABC):
    """A request's slot in an engine, until one of the last three methods is called, once."""

    @abstractmethod
    def body(self, body: bytes) -> bytes:
        """Return the request's body; it names the slot if the engine must know it."""

    @abstractmethod
    def answered(
        self,
        tokens: int | None = None,
        cached: int | None = None,
        read: tuple[int, float] | None = None,
    ) -> None:
        """Note that the engine has answered the request, at least in part.

        ``tokens`` are those of prompt and answer. ``cached`` are the prompt's tokens that the
        engine had already. ``read`` are the prefilled tokens and the seconds of the prefill. Each
        is None if the engine did not report it.
        """

    @abstractmethod
    def refused(self) -> None:
        """Note that the engine has not begun with the request."""

    @abstractmethod
    def broken_off(self) -> None:
        """Note that the request ended during its prefill."""


class EngineHooks:
    """What a type does beside one run of an engine. This one does nothing.

    No hook may fail a request or a start.
    """

    @property
    def prompt_cache(self) -> str:
        """Whether prompts are saved and restored: ``on``, ``off`` or ``useless``."""
        return "off"

    async def prepared(self, launch: Launch) -> Launch:
        """Return the launch with the type's additions; the engine is started next."""
        return launch

    async def assign(self, facts: RequestFacts) -> Placement | None:
        """Return the request's slot, prepared for it; None if the engine chooses."""
        return None

    async def before_stop(self) -> None:
        """Act before the planned stop of a ready engine."""

    def ended(self) -> None:
        """Note that the engine's process has ended."""


class EngineRun(Protocol):
    """One run of an engine: a process, or a connection to an engine of others.

    ``started_at`` and ``ready_at`` are times of the manager's clock. ``ended`` is the reason of the
    end, "" before that.
    """

    ticket: int
    client: EngineClient
    hooks: EngineHooks
    pid: int | None
    started_at: float
    ready_at: float | None
    ended: str

    def stop(self, *, save: bool = False) -> None:
        """Stop the run; with ``save`` the ``before_stop`` hook of a ready engine runs first."""

    def kill(self) -> None:
        """End the run at once."""

    async def gone(self, within: float | None) -> bool:
        """Wait up to ``within`` seconds (None: no limit) for the end; return whether it came."""

    async def run(self) -> None:
        """Return once it is over. It reports EngineExited exactly once, as its last act."""


class EngineType(ABC):
    """One type of engine, with the ``name`` for ``engine =`` in the configuration.

    ``environment`` has the prefixes of those variables of the gateway's environment that change
    what an engine needs. If a type ``wants_client_key``, the client's ``Authorization`` is sent to
    its engines; else never. If a type ``runs_elsewhere``, it takes no room and no memory on this
    machine. ``obeys`` are fields beside OpenAI's that its engines obey in a chat. ``tell_news`` is
    called when ``capabilities`` may have changed.
    """

    tell_news: Callable[[], None] = staticmethod(lambda: None)
    name: str
    environment: tuple[str, ...] = ("CUDA_", "HIP_", "ROCR_", "HSA_")
    wants_client_key = False
    runs_elsewhere = False
    obeys: frozenset[str] = frozenset()

    @abstractmethod
    def address(self, variant: VariantSpec, connect: str | None) -> str | None:
        """Return the URL where the variant's engine listens; None if it gets a free port.

        ``connect`` is the key of the model's configuration.
        """

    @abstractmethod
    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch | None:
        """Return how to start the variant's engine at ``url``; None if it is not started.

        ``environ`` is the gateway's environment.
        """

    @abstractmethod
    def client(self, variant: VariantSpec, url: str) -> EngineClient:
        """Return the client for an engine of the variant at ``url``."""

    @abstractmethod
    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """Return what the variant can do, by its configuration."""

    def answers_at_once(self, variant: VariantSpec) -> int | None:
        """Return how many answers (``n``) an engine gives to one request; None: it decides."""
        return None

    def fit(self, variant: VariantSpec, endpoint: Endpoint, request: dict[str, Any]) -> bool:
        """Change a decoded request so that its engines ignore nothing in it; return if it changed.

        Raises BadRequest that names the field which would be ignored.
        """
        return False

    def missing(self, variant: VariantSpec) -> str:
        """Return what must be installed before the variant can start, and how; else "".

        It takes no time: the gateway says so when it starts.
        """
        return ""

    def voices(self, variant: VariantSpec) -> list[Voice]:
        """Return the voices that the variant is known to speak with, the default first."""
        return []

    def licence(self, variant: VariantSpec) -> str:
        """Return the licence of the variant's weights, if the gateway knows it, else ""."""
        return ""

    def gpu_layers(self, variant: VariantSpec, environ: Mapping[str, str]) -> str:
        """Return how many layers the engine has on the GPU: a number, ``all``, ``auto``, or ""."""
        return ""

    def forecast(
        self, variant: VariantSpec, environ: Mapping[str, str], machine: MachineMemory
    ) -> Forecast:
        """Return what the variant's engine will take on this machine. May read files."""
        return Forecast({}, "elsewhere" if self.runs_elsewhere else "engine")

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:
        """Return the files that the variant's engine reads while it loads, in this order."""
        return []

    def model_file(
        self, variant: VariantSpec, environ: Mapping[str, str], *, brief: bool = False
    ) -> ModelFile | None:
        """Return what the files of the variant's model tell; None if that is not known.

        If it is to be ``brief``, ``info`` and ``template`` may be empty: there are many models.
        May read files for some hundred milliseconds, and may be called from any thread.
        """
        return None

    def hooks(self, variant: VariantSpec, client: EngineClient) -> EngineHooks:
        """Return the hooks for an engine of the variant that starts now."""
        return EngineHooks()

    def log_reader(self, variant: VariantSpec, environ: Mapping[str, str]) -> LogReader:
        """Return the reader of the output of an engine of the variant that starts now."""
        return LogReader()

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens of the text, counted without an engine, or raise CountUnavailable."""
        raise CountUnavailable(f"engines of the type {self.name} count no tokens")

    async def count_prompt(self, model: ModelSpec, facts: RequestFacts) -> int:
        """Return the tokens of the prompt with its template, counted without an engine.

        Raises CountUnavailable.
        """
        raise CountUnavailable(f"engines of the type {self.name} count no tokens")

    async def close(self) -> None:
        """End what runs besides the engines."""
        return

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return the faults of the variant. May read files and run programs for some seconds."""
        return []
