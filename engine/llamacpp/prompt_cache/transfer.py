"""Save the content that a slot will lose, and restore a saved state, before a request."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from engine.llamacpp.prompt_cache.index import LEAST
from engine.llamacpp.prompt_cache.prefix import goes_on, spared
from engine.llamacpp.prompt_cache.saver import SlotSaver
from utils.errors import StateUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.llamacpp.client import LlamaCppEngine
    from engine.llamacpp.prompt_cache.index import SavedState
    from engine.llamacpp.prompt_cache.manager import PromptCacheManager
    from engine.llamacpp.prompt_cache.prefix import Mark
    from engine.llamacpp.prompt_cache.slots import Slot, SlotAssignment
    from models.spec import VariantSpec


# A slot's content is moved to the cache only if a prompt shares less than 1/_MOST of it.
_MOST = 2
# A prompt must share at least 1/_SHARE of a cached content.
_SHARE = 4
# The content was in the cache if the engine had at least 1/_HAD of the expected tokens.
_HAD = 2
_KNOWN = 256
_What = TypeVar("_What")
_log = get_logger("prompt_cache")


@dataclass(frozen=True, slots=True)
class _Kept:
    marks: tuple[Mark, ...]
    tokens: int


class RamCache:
    """The contents of the engine's own cache in main memory (``--cache-ram``), as far as is known.

    llama-server moves a slot's content there when a request would replace most of it, and searches
    the new prompt there. This is faster than a restore from disk, and more recent. But the engine
    does not keep content that a restore replaces. If its cache is full, it drops the oldest
    content; the number of cached tokens of a later prompt shows that. The cache holds nothing if
    the engine is not ``able`` to cache.
    """

    def __init__(self, *, able: bool) -> None:
        self._able = able
        # The known contents, the newest last.
        self.kept: list[_Kept] = []
        # The cache's size in tokens; None until the engine has shown that it drops content.
        self._room: int | None = None

    def spares(self, marks: Sequence[Mark], tokens: int, held: int) -> int:
        """Return how many tokens of a prompt the engine gets from its cache.

        The prompt goes into a slot with ``tokens`` tokens; the prompt shares ``held`` of them.
        """
        found = self._found(marks) if held * _MOST < tokens else None
        gain = spared(marks, found.marks, found.tokens) if found is not None else 0
        return gain if gain > held else 0

    def displaced(self, marks: tuple[Mark, ...], tokens: int, held: int) -> None:
        """Note that a prompt that shares ``held`` tokens has displaced a slot's content."""
        if not marks or not self._able or held * _MOST >= tokens:
            return
        self.kept = [each for each in self.kept if not goes_on(marks, each.marks)][1 - _KNOWN :]
        self.kept.append(_Kept(marks, tokens))
        self._shrink()

    def shown(self, marks: Sequence[Mark], cached: int) -> None:
        """Note that the engine had ``cached`` tokens of a prompt that should be in its cache."""
        found = self._found(marks)
        if found is None:
            return
        if cached * _HAD < spared(marks, found.marks, found.tokens):
            newer = self.kept[self.kept.index(found) :]
            self._room = sum(each.tokens for each in newer) - 1
            self._shrink()
        else:
            # The content is in a slot again.
            self.kept.remove(found)

    def _found(self, marks: Sequence[Mark]) -> _Kept | None:
        gains = [(spared(marks, each.marks, each.tokens), each) for each in self.kept]
        good = [(gain, each) for gain, each in gains if gain * _SHARE >= each.tokens]
        return max(good, key=lambda pair: pair[0])[1] if good else None

    def _shrink(self) -> None:
        if self._room is None:
            return
        while sum(each.tokens for each in self.kept) > self._room:
            del self.kept[0]


class SlotTransfer:
    """Saves and restores the slots of one running engine.

    It uses the states of ``fingerprint``; ``cache`` is the engine's cache in main memory.
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
        self.saver = SlotSaver(manager, variant, client, fingerprint)
        self._manager = manager
        self._store = manager.store
        self._policy = manager.save_policy(fingerprint)
        self._variant = variant
        self._client = client
        # States that took too long to load once; they are not tried again in this run.
        self._slow: set[str] = set()

    def specify(self, factors: str) -> None:
        """Use only the states of these RoPE factors. A second call changes nothing."""
        self.fingerprint = self.fingerprint.removesuffix(factors) + factors
        self.saver.fingerprint = self.fingerprint
        self._policy = self._manager.save_policy(self.fingerprint)

    async def drop_all(self) -> None:
        """Remove all states of this kind, as far as possible."""
        await self._drop(self._store.drop_kind, self.fingerprint)

    def nothing_at_stake(self, slot: Slot, held: int) -> bool:
        """Return whether ``prepare`` would do nothing, because nothing is lost and none is saved.

        The slot has ``held`` tokens of the prompt.
        """
        loses = slot.tokens - held >= LEAST
        return not (loses or self._policy.displaced or self.cache.kept or self._store.index.by_name)

    async def prepare(self, assignment: SlotAssignment, slot: Slot) -> None:
        """Prepare the slot for the prompt: save what it loses, restore what helps.

        If the engine's own cache has more of the
        prompt, no state is restored. Even if something hangs, this ends after ``state_timeout``,
        or twice that if it saves one state and restores another.
        """
        held = assignment.held
        assignment.returning = self._policy.returns(assignment.marks)
        near = self.cache.spares(assignment.marks, slot.tokens, held)
        state = self._best(assignment, max(held, near))
        if self._at_stake(slot, held if state is None else 0):
            in_time = await self.saver.keep((slot,))
            # The save may have removed other states; and an engine that hangs restores nothing.
            state = self._best(assignment, max(held, near)) if in_time else None
        if state is None:
            assignment.near = near
        else:
            await self._bring(assignment, slot, state, max(held, near))

    def answered(
        self, assignment: SlotAssignment, cached: int | None, read: tuple[int, float] | None
    ) -> None:
        """Note that the engine had ``cached`` tokens and prefilled ``read``; None if not reported.

        The assignment's slot, if any, still describes the content before the request.
        """
        if read is not None:
            self._policy.read(*read)
        # An unplaced request may have missed the slot that was prepared for it.
        missed = assignment.slot is None and not cached
        if cached is not None and assignment.spared and not missed:
            label = self._variant.label
            self._manager.helped(self.fingerprint, assignment.spared, cached, label)
        if cached is not None and assignment.near:
            self.cache.shown(assignment.marks, cached)
        slot = assignment.slot
        if slot is not None:
            self.cache.displaced(slot.marks, slot.tokens, assignment.held)

    def displaced(self, slot: Slot, marks: Sequence[Mark]) -> None:
        """Note that a prompt of these ``marks`` takes the place of what is in the slot."""
        held = spared(marks, slot.marks, slot.tokens)
        self.cache.displaced(slot.marks, slot.tokens, held)

    def _best(self, assignment: SlotAssignment, held: int) -> SavedState | None:
        model, context = self._variant.model, self._variant.capacity
        index = self._store.index
        kind = self.fingerprint
        best = index.best(model, kind, assignment.marks, held=held, context=context)
        return None if best is not None and best.name in self._slow else best

    def _at_stake(self, slot: Slot, held: int) -> bool:
        """Return whether to save the slot first; it will lose all but ``held`` tokens."""
        if not slot.marks or slot.tokens - held < LEAST:
            return False
        kept = self._store.index.kept(self._variant.model, self.fingerprint, slot.marks)
        fresh = 0 if slot.saved else slot.tokens - max(held, kept)
        return self._policy.displaces(slot.marks, slot.tokens, fresh, returning=slot.returning)

    async def _bring(
        self, assignment: SlotAssignment, slot: Slot, state: SavedState, least: int
    ) -> None:
        """Restore the state, or the next best one if its file is damaged.

        A state that the engine refuses is dropped. One that takes too long is kept: it is whole,
        and the engine or the disk may have been busy.
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
        # Until the engine has answered, the content of the slot is unknown.
        slot.restored((), 0)
        tokens = await self._client.restore_slot(slot.number, self._store.path(state).name)
        slot.restored(state.marks, tokens)
        assignment.spared = assignment.held = spared(assignment.marks, state.marks, tokens)
        _log.info("%s: %d tokens restored", self._variant.label, tokens)
        await asyncio.to_thread(self._store.used, state)
