"""``/running``: the present state of every engine and every request. Pure."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.resources.rules import moved
from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.scheduling.engine_table import EngineRecord
    from engine.scheduling.queue import Waiting
    from inference.in_flight import Ongoing


class Sight(NamedTuple):
    """An engine's record, its process if it has one, and how many seconds it may be idle.

    ``state_carry`` says whether its prompts are saved and restored: ``on``, ``off``, ``useless``.
    ``pinned``: by an operator.
    """

    record: EngineRecord
    pid: int | None
    url: str | None
    idle: float
    state_carry: str = "off"
    pinned: bool = False


def running_view(
    engines: Sequence[Sight], line: Sequence[Waiting], ongoing: Iterable[Ongoing], now: float
) -> dict[str, Any]:
    """Return the engines that are not stopped, the requests in flight, and the queue.

    Ages and waits are in seconds; ``line`` is the queue in its order.
    """
    alive = {s.record.variant.model: s.record for s in engines if s.record.state.live}
    why = {waiting.request: _why(waiting, alive) for waiting in line}
    serving = {request: s.record for s in engines for request in s.record.serving}
    requests = list(ongoing)
    ids = {each.record.ticket: each.record.id for each in requests}
    return {
        "engines": [_engine(s, now) for s in engines if s.record.state is not State.STOPPED],
        "requests": [_request(each, why, serving, now) for each in requests],
        "queue": [
            {
                "position": position,
                "id": ids.get(waiting.request),
                "model": waiting.minimum.model,
                "context": waiting.minimum.context,
                "priority": waiting.priority.name.lower(),
                "waited_seconds": _age(waiting.since, now),
                "waits_for": why[waiting.request],
            }
            for position, waiting in enumerate(line, start=1)
        ],
    }


def _engine(sight: Sight, now: float) -> dict[str, Any]:
    record = sight.record
    variant = record.variant
    view: dict[str, Any] = {
        "model": variant.model,
        "variant": variant.label,
        "context": variant.context,
        "state": record.state.value,
        "pid": sight.pid,
        "url": sight.url,
        "memory": dict(record.memory),
        "active": len(record.active),
        "parallel": variant.parallel,
        "state_carry": sight.state_carry,
    }
    if sight.pinned:
        view["pinned"] = True
    if variant.estimated:
        view["planned_memory"] = dict(variant.estimated)
    if away := moved(variant.estimated, record.memory):
        view["moved_to_ram"] = away
    if record.state.live:
        view["started_seconds_ago"] = _age(record.started_at, now)
    if record.state in (State.READY, State.DRAINING):
        view["ready_seconds_ago"] = _age(record.ready_at, now)
        view["load_seconds"] = round(record.load_seconds, 3)
    if record.state is State.READY and not record.busy:
        view["idle_seconds"] = _age(record.idle_since, now)
        due = record.idle_since + sight.idle - now
        view["unload_in_seconds"] = round(max(0.0, due), 3) if isfinite(due) else None
    if record.reason:
        view["reason"] = record.reason
    if record.retry_at > now:
        view["retry_in_seconds"] = round(record.retry_at - now, 3)
    return view


def _request(
    ongoing: Ongoing,
    why: Mapping[int, str],
    serving: Mapping[int, EngineRecord],
    now: float,
) -> dict[str, Any]:
    record = ongoing.record
    engine = None if record.ticket is None else serving.get(record.ticket)
    amount = record.amount
    return {
        "id": record.id,
        "path": record.path,
        "client": record.client,
        "model": record.model,
        # A continuation runs on another engine than the one that began the answer.
        "variant": record.variant if engine is None else engine.variant.label,
        "state": _state(ongoing, why),
        "age_seconds": _age(record.started, now),
        "prompt_tokens": record.prompt,
        **({} if amount is None else {amount.unit.value: amount.value}),
        # Engines send one token an event, after a first event without one.
        "tokens": max(0, ongoing.record.tally.events - 1),
        **({"reasons": list(record.reasons)} if record.reasons else {}),
    }


def _state(ongoing: Ongoing, why: Mapping[int, str]) -> str:
    record = ongoing.record
    if record.detached:
        return "detached"
    if record.ticket is None:
        # A request that only shows a running engine's page has a variant but no ticket.
        return "reading" if record.variant is None else "streaming"
    if record.ticket in why:
        return "loading" if why[record.ticket] == "load" else "queued"
    return "prefill" if record.first is None else "streaming"


def _why(waiting: Waiting, alive: Mapping[str, EngineRecord]) -> str:
    """Return what a request waits for: a free slot, its engine's load, or room for its engine."""
    engine = alive.get(waiting.minimum.model)
    if engine is None or not engine.useful or not waiting.served_by(engine):
        return "room"
    return "load" if engine.state is State.STARTING else "slot"


def _age(since: float, now: float) -> float:
    return round(max(0.0, now - since), 3)
