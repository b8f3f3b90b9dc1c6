"""Carries what an engine has read of its prompts over its end, to the next engine of the model.

``StateCarrier`` decides for which models, and owns the store; a ``CarriedEngine`` belongs to
one run of one engine. Around each request: ``sit`` gives it a slot, restoring the saved state
that spares most of its prompt; ``rise`` says what became of it. Before a planned stop ``save``
keeps what the slots hold.

Nothing here may fail a request: where a state cannot be saved or restored, the engine reads
the prompt as it always could. Every exchange with the engine and the disk ends with
``state_timeout``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.carry.fingerprint import fingerprint
from engine.carry.index import LEAST
from engine.carry.slots import SlotBook
from engine.carry.support import SAVE_PATH, SlotSupport
from models.prefix import common, marks_of
from models.request import Kind
from utils.errors import StateUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from engine.carry.index import SavedState
    from engine.carry.slots import Slot
    from engine.carry.store import StateStore
    from engine.llamacpp import LlamaCppEngine
    from engine.spawner import Launch
    from models.prefix import Mark
    from models.request import RequestFacts
    from models.spec import VariantSpec

_log = get_logger("carry")
# Whose body reaches the engine's tasks as it is; others lose unknown fields in translation.
_SLOT_NAMED = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.INFILL, Kind.RESPONSES})
# Restores in a row that spared nothing: the model cannot use them.
_GIVES_UP = 2
_USELESS = 10


@dataclass(slots=True)
class Seat:
    """A request's place in an engine: the slot it is answered in, and what it begins with.

    ``spared`` is how many tokens a restored state should save it from reading, 0 without one.
    """

    slot: Slot
    marks: tuple[Mark, ...]
    kind: Kind
    named: bool
    spared: int = 0

    def body(self, body: bytes) -> bytes:
        """The request, naming its slot where the engine has several; a client's own choice wins."""
        if not self.named or self.kind not in _SLOT_NAMED:
            return body
        return b'{"id_slot":%d,%b' % (self.slot.number, body.lstrip()[1:])


class StateCarrier:
    """Saved states of all models."""

    def __init__(self, store: StateStore, timeout: float) -> None:
        self.store = store
        self.timeout = timeout
        self.support = SlotSupport()
        self._misses: dict[str, int] = {}
        self._turn = asyncio.Lock()

    def useless(self, model: str) -> bool:
        """Whether the model was seen to gain nothing, as those with sliding windows do."""
        return self._misses.get(model, 0) >= _GIVES_UP

    def helped(self, state_tokens: int, cached: int, model: str) -> None:
        """A request after a restore of ``state_tokens`` found ``cached`` of them in the engine."""
        if cached * _USELESS >= state_tokens:
            self._misses.pop(model, None)
            return
        self._misses[model] = self._misses.get(model, 0) + 1
        if self.useless(model):
            _log.warning("%s cannot use saved states; they are left off", model)

    async def on_disk(self, act: Awaitable[object]) -> None:
        """One change of the store at a time."""
        async with self._turn:
            await act

    def of(self, variant: VariantSpec, client: LlamaCppEngine) -> CarriedEngine:
        """What is carried to and from an engine that starts now."""
        return CarriedEngine(self, variant, client)


class CarriedEngine:
    """The slots of one running engine, and the way of their contents to and from the disk."""

    def __init__(self, carrier: StateCarrier, variant: VariantSpec, client: LlamaCppEngine) -> None:
        self._carrier = carrier
        self._store = carrier.store
        self._variant = variant
        self._client = client
        self._fingerprint = ""
        self._book: SlotBook | None = None
        self._able = False
        self._opening = asyncio.Lock()

    async def prepared(self, launch: Launch) -> Launch:
        """The command line with the folder for states, where the engine takes one.

        Who sets a folder of their own saves slots themselves; the gateway keeps out of it.
        """
        self._able = SAVE_PATH not in launch.argv and await self._carrier.support.of(launch)
        if not self._able:
            return launch
        return replace(launch, argv=(*launch.argv, SAVE_PATH, str(self._store.folder)))

    async def sit(self, facts: RequestFacts) -> Seat | None:
        """The request's seat, with the best saved state restored; None where there is no say."""
        if not self._able or not facts.kind.generates:
            return None
        try:
            book = await self._open()
        except StateUnavailable as error:
            _log.debug("%s carries nothing: %s", self._variant.label, error)
            return None
        marks = marks_of(facts)
        taken = book.take(marks)
        if taken is None:
            return None
        slot, held = taken
        seat = Seat(slot, marks, facts.kind, named=len(book.slots) > 1)
        try:
            await self._bring(seat, held)
        except BaseException:
            slot.left()
            raise
        return seat

    def answered(self, seat: Seat, tokens: int | None = None, cached: int | None = None) -> None:
        """The request has left, and the engine had answered it, at least in part.

        ``tokens`` are those of prompt and answer, ``cached`` those of the prompt that the engine
        had already, if it said so.
        """
        seat.slot.holds(seat.marks, tokens)
        if seat.spared and cached is not None:
            self._carrier.helped(seat.spared, cached, self._variant.model)

    def refused(self, seat: Seat) -> None:
        """The request has left, and the engine had not begun with it: the slot is as it was."""
        seat.slot.left()

    def broken_off(self, seat: Seat) -> None:
        """The request has left while its prompt was read; what is new in it may be missing."""
        seat.slot.holds(common(seat.marks, seat.slot.marks))

    async def save(self) -> int:
        """What the slots hold is on disk, as far as it is worth it; how many were saved."""
        if self._book is None or self._carrier.useless(self._variant.model):
            return 0
        saved = 0
        for slot in self._book.unsaved(LEAST):
            saved += await self._keep(slot)
        return saved

    async def _open(self) -> SlotBook:
        async with self._opening:
            if self._book is None:
                slots = await self._client.total_slots()
                own = dict(self._variant.env)
                self._fingerprint = await asyncio.to_thread(fingerprint, self._variant, own)
                self._book = SlotBook.of(slots)
            return self._book

    async def _bring(self, seat: Seat, held: int) -> None:
        model = self._variant.model
        if self._carrier.useless(model):
            return
        context = self._variant.context
        state = self._store.index.best(
            model, self._fingerprint, seat.marks, held=held, context=context
        )
        if state is None:
            return
        if seat.slot.worth_saving(LEAST):
            await self._keep(seat.slot)
        try:
            async with asyncio.timeout(self._carrier.timeout):
                await self._restore(seat, state)
        except (StateUnavailable, TimeoutError) as error:
            _log.warning("%s: a saved state is dropped: %s", self._variant.label, _say(error))
            seat.slot.restored((), 0)
            await self._drop(state)

    async def _restore(self, seat: Seat, state: SavedState) -> None:
        if not await asyncio.to_thread(self._store.is_whole, state):
            raise StateUnavailable("its file is damaged")
        path = self._store.path(state)
        tokens = await self._client.restore_slot(seat.slot.number, path.name)
        seat.slot.restored(state.marks, tokens)
        seat.spared = tokens
        _log.info("%s: %d tokens restored", self._variant.label, tokens)
        await self._carrier.on_disk(asyncio.to_thread(self._store.used, state))

    async def _keep(self, slot: Slot) -> bool:
        """Whether the slot's content is on disk now."""
        part = self._store.part()
        try:
            async with asyncio.timeout(self._carrier.timeout):
                tokens = await self._write(slot, part)
        except (StateUnavailable, TimeoutError, OSError) as error:
            _log.warning("%s: a slot was not saved: %s", self._variant.label, _say(error))
            await asyncio.to_thread(self._store.discard, part)
            return False
        slot.saved = True
        _log.info("%s: %d tokens saved", self._variant.label, tokens)
        return True

    async def _write(self, slot: Slot, part: str) -> int:
        if not await asyncio.to_thread(self._store.has_room, self._fingerprint):
            raise StateUnavailable("there is no room on the disk")
        tokens = await self._client.save_slot(slot.number, part)
        known = (self._variant.model, self._fingerprint, slot.marks, tokens)
        await self._carrier.on_disk(asyncio.to_thread(self._store.keep, part, *known))
        return tokens

    async def _drop(self, state: SavedState) -> None:
        await self._carrier.on_disk(asyncio.to_thread(self._store.drop, state))


def _say(error: BaseException) -> str:
    return str(error) or "state_timeout"
