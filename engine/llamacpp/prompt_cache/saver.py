"""Save the slots of a running engine to disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.index import LEAST
from utils.errors import StateUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.llamacpp.client import LlamaCppEngine
    from engine.llamacpp.prompt_cache.manager import PromptCacheManager
    from engine.llamacpp.prompt_cache.slots import Slot
    from models.spec import VariantSpec

_log = get_logger("prompt_cache")


class SlotSaver:
    """Saves slots of one running engine, as states of ``fingerprint``.

    Its methods raise nothing but CancelledError: failed saves are logged.
    """

    def __init__(
        self,
        manager: PromptCacheManager,
        variant: VariantSpec,
        client: LlamaCppEngine,
        fingerprint: str,
    ) -> None:
        self._manager = manager
        self._store = manager.store
        self._variant = variant
        self._client = client
        self.fingerprint = fingerprint
        self._litter: set[str] = set()
        # The files that a save waits for.
        self._wanted: set[str] = set()

    async def keep(self, slots: Iterable[Slot]) -> bool:
        """Save the slots. Return False if ``state_timeout`` has passed before all were tried."""
        try:
            async with asyncio.timeout(self._manager.timeout):
                for slot in slots:
                    await self._keep(slot)
        except TimeoutError:
            self._manager.save_policy(self.fingerprint).failed()
            _log.warning("%s: saving took longer than state_timeout", self._variant.label)
            return False
        return True

    def ended(self) -> None:
        """Note that the engine has ended, and remove the files that it did not complete."""
        while self._litter:
            self._store.discard(self._litter.pop())

    async def _keep(self, slot: Slot) -> None:
        clock, save_policy = self._manager.clock, self._manager.save_policy(self.fingerprint)
        part = self._store.part()
        late = self._litter - self._wanted
        # However this ends, the engine may have begun to write the file, or begin later.
        self._litter.add(part)
        self._wanted.add(part)
        begun = clock.now()
        try:
            tokens = await self._write(slot, part)
        except (StateUnavailable, OSError) as error:
            save_policy.failed()
            _log.warning("%s: a slot was not saved: %s", self._variant.label, error)
            return
        finally:
            self._wanted.discard(part)
            self._store.discard(part)
        # The engine saves one slot after the other, so it has written the earlier files by now.
        self._litter -= {part, *late}
        for each in late:
            self._store.discard(each)
        if tokens < LEAST:
            # An engine that was asleep has lost its content.
            told = "%s: a slot was not saved: the engine holds %d tokens of it"
            _log.warning(told, self._variant.label, tokens)
            return
        save_policy.saved(tokens, clock.now() - begun)
        slot.saved = True
        _log.info("%s: %d tokens saved", self._variant.label, tokens)

    async def _write(self, slot: Slot, part: str) -> int:
        """Return how many tokens the engine wrote; fewer than ``LEAST`` are not kept."""
        if not await asyncio.to_thread(self._store.has_room, self.fingerprint):
            raise StateUnavailable("less than 1 GiB of the disk would be left free")
        tokens = await self._client.save_slot(slot.number, part)
        if tokens >= LEAST:
            known = (self._variant.model, self.fingerprint, slot.marks, tokens)
            await asyncio.to_thread(self._store.keep, part, *known)
        return tokens
