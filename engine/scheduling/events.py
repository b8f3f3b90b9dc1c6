"""What the scheduler hears and what it wants done.

Every event and effect names the request or the engine run it belongs to by a
ticket, a number that is never used twice. A completion that arrives late finds
no owner for its ticket and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.scheduling.queue import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.scheduling.eviction import Limits
    from engine.scheduling.policy import Policy
    from models.spec import VariantSpec
    from utils.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request asks for an engine of at least ``minimum``'s capacity.

    Requests that arrive later have larger numbers. ``client`` is who shares the engine's
    time with others, such as an API key or an address. ``fallbacks`` are smaller variants that
    would do if ``minimum`` runs out of memory, the next smaller one first. ``keep_alive`` is
    how many seconds the model stays loaded without a request from this one on; None leaves it
    as it is. An ``auxiliary`` request takes no room in a context: any ready engine of the model
    serves it at once, and ``minimum`` is only what is started for it where none runs.
    """

    request: int
    minimum: VariantSpec
    fallbacks: tuple[VariantSpec, ...] = field(default=(), kw_only=True)
    client: str = field(default="", kw_only=True)
    priority: Priority = field(default=Priority.NORMAL, kw_only=True)
    keep_alive: float | None = field(default=None, kw_only=True)
    auxiliary: bool = field(default=False, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Left:
    """A request has ended, failed or lost its client: it holds nothing and waits for nothing.

    ``ahead`` is the larger variant that its conversation will need next, if it is to be loaded
    before that.
    """

    request: int
    ahead: VariantSpec | None = field(default=None, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Returned:
    """A request gives its engine back for another try and keeps its turn."""

    request: int
    minimum: VariantSpec
    now: float


@dataclass(frozen=True, slots=True)
class EngineReady:
    """A started engine answers."""

    engine: int
    now: float


@dataclass(frozen=True, slots=True)
class EngineUnhealthy:
    """An engine lives but must not: too slow to start, or deaf. ``error`` goes to who waits."""

    engine: int
    error: GatewayError
    now: float


@dataclass(frozen=True, slots=True)
class EngineExited:
    """An engine's process is gone and reaped. ``reason`` is for a person.

    ``out_of_memory`` names the resource for lack of which it ended while it loaded, if so;
    ``advice`` says what to change.
    """

    engine: int
    reason: str
    out_of_memory: str = field(default="", kw_only=True)
    advice: str = field(default="", kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class EngineMeasured:
    """What a living engine holds of each resource, in bytes."""

    engine: int
    amounts: Mapping[str, int]
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    """The time asked for by ``WakeAt`` has come."""

    now: float


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Another configuration holds from now on.

    ``kept`` are the labels of variants whose engine is defined as before: it goes on. ``loads``
    are the seconds that engines took to load before, by their labels, where that is known.
    """

    variants: tuple[VariantSpec, ...]
    kept: frozenset[str]
    policy: Policy
    limits: Limits
    loads: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more requests; stop each engine once its requests have ended."""

    now: float


@dataclass(frozen=True, slots=True)
class Unload:
    """Somebody wants the model's engine gone, or every engine (None).

    Requests in flight end first, unless ``force``; whoever waits goes on waiting.
    """

    model: str | None
    force: bool = field(default=False, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop every engine now, whatever it is doing."""

    now: float


Report = EngineReady | EngineUnhealthy | EngineMeasured | EngineExited
Event = Arrived | Left | Returned | Report | Tick | Reconfigure | Unload | Drain | Halt


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Spawn the variant; its reports carry the ticket ``engine``."""

    engine: int
    variant: VariantSpec


@dataclass(frozen=True, slots=True)
class StopEngine:
    """Take the engine through its stop ladder and report EngineExited.

    One that is well saves its slots first, if ``planned``.
    """

    engine: int
    planned: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """The request may use the engine until it has Left or Returned."""

    request: int
    engine: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request is told ``error`` and is forgotten."""

    request: int
    error: GatewayError


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send a Tick at ``when`` or before; one that comes too early asks again."""

    when: float


Effect = StartEngine | StopEngine | Grant | Refuse | WakeAt
