"""The slots of one running engine, and the way of their contents to and from the disk.

Around each request: ``sit`` gives it a slot, restoring the saved state that spares most of its
prompt; ``answered``, ``refused`` or ``broken_off`` says what became of it. Before a planned
stop ``save`` keeps what the slots hold.

Nothing here may fail a request: where a state cannot be saved or restored, the engine reads
the prompt as it always could. Every exchange with the engine and the disk ends with
``state_timeout``.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from engine.carry.fingerprint import fingerprint
from engine.carry.index import LEAST
from engine.carry.seat import seat_in
from engine.carry.slots import SlotBook
from engine.carry.support import SAVE_PATH
from models.prefix import common, marks_of, spared
from utils.errors import StateUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.carry.carrier import StateCarrier
    from engine.carry.index import SavedState
    from engine.carry.seat import Seat
    from engine.carry.slots import Slot
    from engine.llamacpp import LlamaCppEngine
    from engine.spawner import Launch
    from models.request import RequestFacts
    from models.spec import VariantSpec

_log = get_logger("carry")


class Standing(Enum):
    """Whether states are carried for an engine."""

    ON = "on"
    OFF = "off"
    USELESS = "useless"


class CarriedEngine:
    """The slots of one running engine, and the way of their contents to and from the disk."""

    def __init__(self, carrier: StateCarrier, variant: VariantSpec, client: LlamaCppEngine) -> None:
        self._carrier = carrier
        self._store = carrier.store
        self._variant = variant
        self._client = client
        self._fingerprint = ""
        # Empty until the first request asks how many slots there are.
        self._book = SlotBook.of(0)
        self._able = False
        self._opening = asyncio.Lock()
        self._litter: set[str] = set()

    async def prepared(self, launch: Launch) -> Launch:
        """The command line with the folder for states, where the engine takes one.

        Who sets a folder of their own saves slots themselves; the gateway keeps out of it.
        """
        own = any(arg.partition("=")[0] == SAVE_PATH for arg in launch.argv)
        if own or not await self._carrier.support.of(launch):
            return launch
        env = dict(self._variant.env)
        try:
            # Of the files as they are loaded, whatever becomes of them while the engine runs.
            self._fingerprint = await asyncio.to_thread(fingerprint, self._variant, env)
        except OSError as error:
            _log.warning("%s carries nothing: %s", self._variant.label, error)
            return launch
        self._able = True
        return replace(launch, argv=(*launch.argv, SAVE_PATH, str(self._store.folder)))

    @property
    def standing(self) -> Standing:
        """Whether its states are carried; known once the engine starts."""
        if not self._able:
            return Standing.OFF
        return Standing.USELESS if self._useless else Standing.ON

    async def sit(self, facts: RequestFacts) -> Seat | None:
        """The request's seat, with the best saved state restored; None where there is no say."""
        if not self._able or not facts.kind.generates:
            return None
        try:
            book = await self._open()
        except StateUnavailable as error:
            _log.debug("%s carries nothing: %s", self._variant.label, error)
            return None
        seat, held = seat_in(book, facts, marks_of(facts))
        if seat.slot is not None and not self._useless:
            try:
                await self._bring(seat, seat.slot, held)
            except BaseException:
                seat.slot.left()
                raise
        return seat

    def answered(self, seat: Seat, tokens: int | None = None, cached: int | None = None) -> None:
        """The request has left, and the engine had answered it, at least in part.

        ``tokens`` are those of prompt and answer, ``cached`` those of the prompt that the engine
        had already, if it said so.
        """
        if seat.slot is None:
            self._book.forget()
            return
        seat.slot.holds(seat.marks, tokens)
        if seat.spared and cached is not None:
            label = self._variant.label
            self._carrier.helped(self._fingerprint, seat.spared, cached, label)

    def refused(self, seat: Seat) -> None:
        """The request has left, and the engine had not begun with it: the slot is as it was."""
        if seat.slot is not None:
            seat.slot.left()

    def broken_off(self, seat: Seat) -> None:
        """The request has left while its prompt was read; what is new in it may be missing."""
        if seat.slot is None:
            self._book.forget()
            return
        seat.slot.holds(common(seat.marks, seat.slot.marks))

    async def save(self) -> int:
        """What the slots hold is on disk, as far as it is worth it; how many were saved."""
        if self._useless:
            return 0
        return await self._keep_all(self._book.unsaved(LEAST))

    def ended(self) -> None:
        """The engine is gone, and with it what it was still writing for nobody."""
        while self._litter:
            self._store.discard(self._litter.pop())

    @property
    def _useless(self) -> bool:
        return self._carrier.useless(self._fingerprint)

    async def _open(self) -> SlotBook:
        async with self._opening:
            if not self._book.slots:
                self._book = SlotBook.of(await self._client.total_slots())
            return self._book

    async def _bring(self, seat: Seat, slot: Slot, held: int) -> None:
        """The state that helps most is in the slot, if one helps; what was there is on disk."""
        state = self._store.index.best(
            self._variant.model,
            self._fingerprint,
            seat.marks,
            held=held,
            context=self._variant.context,
        )
        if state is None:
            return
        if slot.worth_saving(LEAST):
            await self._keep_all((slot,))
        limit = self._carrier.timeout
        try:
            async with asyncio.timeout(limit):
                await self._restore(seat, slot, state)
        except (StateUnavailable, OSError) as error:
            _log.warning("%s: a saved state is dropped: %s", self._variant.label, _say(error))
            with contextlib.suppress(OSError):
                async with asyncio.timeout(limit):
                    await asyncio.to_thread(self._store.drop, state)

    async def _restore(self, seat: Seat, slot: Slot, state: SavedState) -> None:
        if not await asyncio.to_thread(self._store.is_whole, state):
            raise StateUnavailable("its file is damaged")
        # Until the engine has answered, nobody knows what it holds.
        slot.restored((), 0)
        tokens = await self._client.restore_slot(slot.number, self._store.path(state).name)
        slot.restored(state.marks, tokens)
        seat.spared = spared(seat.marks, state.marks, tokens)
        _log.info("%s: %d tokens restored", self._variant.label, tokens)
        await asyncio.to_thread(self._store.used, state)

    async def _keep_all(self, slots: Iterable[Slot]) -> int:
        saved = 0
        try:
            async with asyncio.timeout(self._carrier.timeout):
                for slot in slots:
                    saved += await self._keep(slot)
        except TimeoutError:
            _log.warning("%s: saving took longer than state_timeout", self._variant.label)
        return saved

    async def _keep(self, slot: Slot) -> bool:
        """Whether the slot's content is on disk now."""
        part = self._store.part()
        # Wherever this ends, the engine may have begun to write, or do so later.
        self._litter.add(part)
        try:
            tokens = await self._write(slot, part)
        except (StateUnavailable, OSError) as error:
            _log.warning("%s: a slot was not saved: %s", self._variant.label, error)
            return False
        finally:
            self._store.discard(part)
        self._litter.discard(part)
        slot.saved = True
        _log.info("%s: %d tokens saved", self._variant.label, tokens)
        return True

    async def _write(self, slot: Slot, part: str) -> int:
        if not await asyncio.to_thread(self._store.has_room, self._fingerprint):
            raise StateUnavailable("there is no room on the disk")
        tokens = await self._client.save_slot(slot.number, part)
        if tokens < LEAST:
            # An engine that slept has lost what it held.
            raise StateUnavailable(f"the engine holds {tokens} tokens of it")
        known = (self._variant.model, self._fingerprint, slot.marks, tokens)
        await asyncio.to_thread(self._store.keep, part, *known)
        return tokens


def _say(error: BaseException) -> str:
    return str(error) or "it took longer than state_timeout"
