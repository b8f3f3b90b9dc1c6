"""What goes into a slot before a request, and what comes out of it first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from engine.llamacpp.prompt_cache.index import LEAST
from engine.llamacpp.prompt_cache.prefix import spared
from engine.llamacpp.prompt_cache.saver import SlotSaver
from utils.errors import StateUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.llamacpp.client import LlamaCppEngine
    from engine.llamacpp.prompt_cache.assignment import SlotAssignment
    from engine.llamacpp.prompt_cache.index import SavedState
    from engine.llamacpp.prompt_cache.manager import PromptCacheManager
    from engine.llamacpp.prompt_cache.prefix import Mark
    from engine.llamacpp.prompt_cache.ram_cache import RamCache
    from engine.llamacpp.prompt_cache.slots import Slot
    from models.spec import VariantSpec

_What = TypeVar("_What")
_log = get_logger("carry")


class SlotTransfer:
    """Exchanges the contents of one running engine's slots with the disk.

    States are those of ``fingerprint``; ``cache`` is what the engine keeps by itself.
    """

    def __init__(
        self,
        manager: PromptCacheManager,
        variant: VariantSpec,
        client: LlamaCppEngine,
        fingerprint: str,
        cache: RamCache,
    ) -> None:
        self.cache = cache
        self.fingerprint = fingerprint
        self.keeper = SlotSaver(manager, variant, client, fingerprint)
        self._manager = manager
        self._store = manager.store
        self._variant = variant
        self._client = client
        # States that took too long to load once; they are not tried again in this run.
        self._slow: set[str] = set()

    def specify(self, factors: str) -> None:
        """Its states are those of these RoPE factors alone; the same again changes nothing."""
        self.fingerprint = self.fingerprint.removesuffix(factors) + factors
        self.keeper.fingerprint = self.fingerprint

    async def drop_all(self) -> None:
        """No state of this kind takes up room any more, as far as that can be."""
        await self._drop(self._store.drop_kind, self.fingerprint)

    async def prepare(self, assignment: SlotAssignment, slot: Slot, held: int) -> None:
        """The slot is as good for the prompt as it can be, and what it loses is on disk.

        It holds ``held`` tokens of the prompt. Of what the engine keeps by itself no older state
        is restored. Whatever fails or hangs, this ends after ``state_timeout``, or twice that
        where one state goes and another comes.
        """
        assignment.returning = self._manager.save_policy(self.fingerprint).returns(assignment.marks)
        near = self.cache.spares(assignment.marks, slot.tokens, held)
        state = self._best(assignment, max(held, near))
        if self._at_stake(slot, held if state is None else 0):
            in_time = await self.keeper.keep((slot,))
            # To make room for it, others may have gone; and what hangs restores nothing either.
            state = self._best(assignment, max(held, near)) if in_time else None
        if state is None:
            assignment.near = near
        else:
            await self._bring(assignment, slot, state, max(held, near))

    def answered(
        self, assignment: SlotAssignment, cached: int | None, read: tuple[int, float] | None
    ) -> None:
        """The engine had ``cached`` tokens of the prompt, and has ``read`` the rest; None: unsaid.

        The seat's slot, if it has one, is still known by what was in it before.
        """
        if read is not None:
            self._manager.save_policy(self.fingerprint).read(*read)
        # An astray request may have missed the slot that was made ready for it.
        missed = assignment.slot is None and not cached
        if cached is not None and assignment.spared and not missed:
            label = self._variant.label
            self._manager.helped(self.fingerprint, assignment.spared, cached, label)
        if cached is not None and assignment.near:
            self.cache.shown(assignment.marks, cached)
        if assignment.slot is not None:
            self.displaced(assignment.slot, assignment.marks)

    def displaced(self, slot: Slot, marks: Sequence[Mark]) -> None:
        """Note that a prompt of these ``marks`` takes the place of what is in the slot."""
        self.cache.displaced(slot.marks, slot.tokens, slot.spares(marks))

    def _best(self, assignment: SlotAssignment, held: int) -> SavedState | None:
        model, context = self._variant.model, self._variant.capacity
        index = self._store.index
        kind = self.fingerprint
        best = index.best(model, kind, assignment.marks, held=held, context=context)
        return None if best is not None and best.name in self._slow else best

    def _at_stake(self, slot: Slot, held: int) -> bool:
        """Whether the slot, which will lose all but ``held`` tokens, is worth saving first."""
        if not slot.marks or slot.tokens - held < LEAST:
            return False
        kept = self._store.index.kept(self._variant.model, self.fingerprint, slot.marks)
        fresh = 0 if slot.saved else slot.tokens - max(held, kept)
        save_policy = self._manager.save_policy(self.fingerprint)
        return save_policy.displaces(slot.marks, slot.tokens, fresh, returning=slot.returning)

    async def _bring(
        self, assignment: SlotAssignment, slot: Slot, state: SavedState, least: int
    ) -> None:
        """The state is in the slot, or the next best where its file is damaged.

        One that the engine refuses is dropped. One that takes too long is kept: it is whole, and
        the engine or the disk may have been busy.
        """
        found: SavedState | None = state
        try:
            async with asyncio.timeout(self._manager.timeout):
                while found is not None and not await self._whole(found):
                    await self._drop(self._store.drop, found)
                    found = self._best(assignment, least)
                if found is not None:
                    await self._restore(assignment, slot, found)
        except TimeoutError:
            told = "%s: a saved state was not restored: it took longer than state_timeout"
            _log.warning(told, self._variant.label)
            if found is not None:
                self._slow.add(found.name)
        except (StateUnavailable, OSError) as error:
            _log.warning("%s: a saved state is dropped: %s", self._variant.label, error)
            if found is not None:
                await self._drop(self._store.drop, found)

    async def _whole(self, state: SavedState) -> bool:
        if await asyncio.to_thread(self._store.is_whole, state):
            return True
        if await asyncio.to_thread(self._store.path(state).exists):
            _log.warning("%s: a saved state is dropped: its file is damaged", self._variant.label)
        else:
            _log.info("%s: a saved state was removed meanwhile", self._variant.label)
        return False

    async def _drop(self, drop: Callable[[_What], None], what: _What) -> None:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(self._manager.timeout):
                await asyncio.to_thread(drop, what)

    async def _restore(self, assignment: SlotAssignment, slot: Slot, state: SavedState) -> None:
        # Until the engine has answered, nobody knows what it holds.
        slot.restored((), 0)
        tokens = await self._client.restore_slot(slot.number, self._store.path(state).name)
        slot.restored(state.marks, tokens)
        assignment.spared = spared(assignment.marks, state.marks, tokens)
        _log.info("%s: %d tokens restored", self._variant.label, tokens)
        await asyncio.to_thread(self._store.used, state)
