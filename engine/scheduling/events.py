"""The events that the scheduler gets, and the effects that it wants.

Nothing changes an event or effect after it was made. Those that each request makes are not frozen:
setting the fields of a frozen one takes several times as long.

Every event and effect names its request or its engine run by a ticket, a number that is never used
twice. A completion that arrives late finds no owner for its ticket and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.scheduling.queue import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.scheduling.engine_table import Reconfiguration
    from engine.scheduling.eviction import Limits
    from engine.scheduling.policy import Policy
    from models.spec import VariantSpec
    from utils.errors import GatewayError


@dataclass(slots=True)
class Arrived:
    """A request asks for an engine with at least the capacity of ``minimum``.

    Later requests have larger numbers. ``client`` shares the engine's time with other clients: an
    API key or an address. ``fallbacks`` are smaller variants that would do if ``minimum`` runs out
    of memory, the largest first. ``keep_alive`` is the number of seconds that the model stays
    loaded without a request, from this one on; None changes nothing. An ``auxiliary`` request takes
    no context: any ready engine of the model serves it at once, and ``minimum`` is started only if
    none runs.
    """

    request: int
    minimum: VariantSpec
    fallbacks: tuple[VariantSpec, ...] = field(default=(), kw_only=True)
    client: str = field(default="", kw_only=True)
    priority: Priority = field(default=Priority.NORMAL, kw_only=True)
    keep_alive: float | None = field(default=None, kw_only=True)
    auxiliary: bool = field(default=False, kw_only=True)
    now: float


@dataclass(slots=True)
class Left:
    """A request has ended, failed or lost its client: it holds nothing and waits for nothing.

    ``ahead`` is the larger variant that its conversation will need next, if it is to be loaded
    before.
    """

    request: int
    ahead: VariantSpec | None = field(default=None, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Returned:
    """A request returns its engine for another try and keeps its turn."""

    request: int
    minimum: VariantSpec
    now: float


@dataclass(frozen=True, slots=True)
class EngineReady:
    """A started engine is ready."""

    engine: int
    now: float


@dataclass(frozen=True, slots=True)
class EngineUnhealthy:
    """An engine runs but must stop: it starts too slowly or hangs. Requests get ``error``."""

    engine: int
    error: GatewayError
    now: float


@dataclass(frozen=True, slots=True)
class EngineExited:
    """An engine's process has ended and is reaped. ``reason`` is a text for a person.

    ``out_of_memory`` names the resource that was too small during the load, if that was the cause;
    ``advice`` says what to change.
    """

    engine: int
    reason: str
    out_of_memory: str = field(default="", kw_only=True)
    advice: str = field(default="", kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class EngineMeasured:
    """What a running engine holds of each resource, in bytes."""

    engine: int
    amounts: Mapping[str, int]
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    """The time of a ``WakeAt`` has come."""

    now: float


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Another configuration is valid from now on.

    ``kept`` are the labels of variants whose engine is defined as before: it runs on. ``loads`` are
    the known load times of engines in seconds, by label. ``prepared`` saves the scheduler work if
    it was made of the records that there still are.
    """

    variants: tuple[VariantSpec, ...]
    kept: frozenset[str]
    policy: Policy
    limits: Limits
    loads: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    prepared: Reconfiguration | None = field(default=None, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more requests; stop each engine once its requests have ended."""

    now: float


@dataclass(frozen=True, slots=True)
class Unload:
    """An operator wants to stop the model's engine, or every engine (None).

    Requests in flight end first, unless ``force``. Waiting requests go on waiting.
    """

    model: str | None
    force: bool = field(default=False, kw_only=True)
    now: float


@dataclass(frozen=True, slots=True)
class Pin:
    """An operator pins the model, or unpins it.

    A pinned model is not unloaded when it is idle, and is evicted for no other model, until it is
    unpinned or an operator unloads it. Nothing is loaded for it.
    """

    model: str
    pinned: bool
    now: float


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop every engine now, in any state."""

    now: float


Report = EngineReady | EngineUnhealthy | EngineMeasured | EngineExited
Event = Arrived | Left | Returned | Report | Tick | Reconfigure | Unload | Pin | Drain | Halt


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Start the variant; its reports have the ticket ``engine``."""

    engine: int
    variant: VariantSpec


@dataclass(frozen=True, slots=True)
class StopEngine:
    """Stop the engine and report EngineExited.

    A healthy engine saves its slots first if the stop is ``planned``.
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
    """The request gets ``error`` and is forgotten."""

    request: int
    error: GatewayError


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send a Tick at ``when`` or before; after an early one the scheduler asks again."""

    when: float


Effect = StartEngine | StopEngine | Grant | Refuse | WakeAt
