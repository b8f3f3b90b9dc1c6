"""The prompt cache of one running engine: save its slots to disk, and restore them.

For each request, ``assign`` chooses a slot. If it is worth it, it saves the content that the slot
will lose, and restores the saved state that saves most of the prefill. After the request, one of
``answered``, ``refused`` and ``broken_off`` of its placement notes the result. Before a planned
stop, ``before_stop`` saves the slots.

Nothing here may fail a request: if a save or a restore fails, the engine prefills the prompt as
usual. Every operation on the engine and the disk ends after ``state_timeout``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from engine.base import EngineHooks, Placement
from engine.llamacpp.arguments import CACHE_IDLE_SLOTS, SLOT_SAVE_PATH, Arguments
from engine.llamacpp.prompt_cache.compatibility import incomplete, rope_factors
from engine.llamacpp.prompt_cache.fingerprint import fingerprint
from engine.llamacpp.prompt_cache.flag_probe import CACHE_RAM, NO_CACHE_IDLE, SAVE_PATH
from engine.llamacpp.prompt_cache.index import LEAST
from engine.llamacpp.prompt_cache.prefix import common, goes_on, marks_of
from engine.llamacpp.prompt_cache.slots import SlotBook, StrayAnswer, wish_of
from engine.llamacpp.prompt_cache.transfer import RamCache, SlotTransfer
from utils.errors import StateUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from engine.base import Launch
    from engine.llamacpp.client import LlamaCppEngine
    from engine.llamacpp.prompt_cache.manager import PromptCacheManager
    from engine.llamacpp.prompt_cache.slots import SlotAssignment, Wish
    from models.requests.reader import RequestFacts
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("prompt_cache")
# Seconds. Before a request gets its slot, the engine parses it and tokenizes its prompt.
_SEATED_WITHIN = 0.5
_LOOK_AGAIN = 0.02
_LOOKS = 5


class PromptCacheStatus(Enum):
    """Whether slots are saved and restored for an engine."""

    ON = "on"
    OFF = "off"
    USELESS = "useless"


@dataclass(slots=True)
class SlotPlacement(Placement):
    """A request's slot in a llama-server; ``_sent``: when a slot last got a request by number."""

    _assignment: SlotAssignment
    _book: SlotBook
    _transfer: SlotTransfer
    _sent: dict[int, float]
    _clock: Clock

    def body(self, body: bytes) -> bytes:
        """Return the body for the engine; it names the slot if the engine has several.

        If an unplaced request was sent since, it may be in that slot; then this is unplaced too.
        """
        assignment = self._assignment
        if not assignment.named or assignment.slot is None:
            return body
        if self._book.unplaced:
            assignment.slot.left()
            assignment.slot, assignment.named = None, False
            self._book.unplaced += 1
        else:
            self._sent[assignment.slot.number] = self._clock.now()
        return assignment.body(body)

    def answered(
        self,
        tokens: int | None = None,
        cached: int | None = None,
        read: tuple[int, float] | None = None,
    ) -> None:
        """Note that the slot has the prompt and the answer, at least in part."""
        assignment = self._assignment
        marks, slot = assignment.marks, assignment.slot
        self._transfer.answered(assignment, cached, read)
        if slot is None:
            known = bool(marks) and tokens is not None
            answer = StrayAnswer(marks, tokens or 0, assignment.returning)
            self._book.strayed(answer if known else None, begun=True)
            return
        # Or it goes on from all that the slot had.
        returning = assignment.returning or assignment.held == slot.tokens > 0
        slot.holds(marks, tokens, returning=returning)

    def refused(self) -> None:
        """Note that the engine has not begun with the request: the slot has not changed."""
        if self._assignment.slot is None:
            self._book.strayed(None, begun=False)
        else:
            self._assignment.slot.left()

    def broken_off(self) -> None:
        """Note that the request ended during its prefill: the new part of it may be missing."""
        slot = self._assignment.slot
        if slot is None:
            self._book.strayed(None, begun=True)
            return
        slot.holds(common(self._assignment.marks, slot.marks), returning=slot.returning)


class EnginePromptCache(EngineHooks):
    """The prompt cache of one running engine."""

    def __init__(
        self, manager: PromptCacheManager, variant: VariantSpec, client: LlamaCppEngine
    ) -> None:
        self._manager = manager
        self._store = manager.store
        self._variant = variant
        self._client = client
        # None if nothing is saved or restored.
        self._transfer: SlotTransfer | None = None
        # Empty until the first request; then the engine is asked for the number of its slots.
        self._book = SlotBook.of(0)
        self._packed = False
        self._opening = asyncio.Lock()
        # When a request was last sent to a slot by its number.
        self._sent: dict[int, float] = {}

    async def prepared(self, launch: Launch) -> Launch:
        """Return the command line with the folder for saved slots, if the engine has the flag.

        If the configuration sets the folder itself, the gateway saves and restores nothing.
        """
        said = Arguments(launch.argv, launch.env)
        if said.given(SLOT_SAVE_PATH):
            return launch
        known = await self._manager.support.of(launch)
        if SAVE_PATH not in known:
            return launch
        if incomplete(said):
            label = self._variant.label
            _log.info("%s saves no prompt cache: with --swa-full it would lack tokens", label)
            return launch
        try:
            # The fingerprint of the files at the load; they may change while the engine runs.
            kind = await asyncio.to_thread(fingerprint, self._variant, launch.env)
        except OSError as error:
            _log.warning("%s saves no prompt cache: %s", self._variant.label, error)
            return launch
        cache = RamCache(able=CACHE_RAM in known and said.caches_prompts())
        self._transfer = SlotTransfer(self._manager, self._variant, self._client, kind, cache)
        self._packed = said.unified()
        added = [SAVE_PATH, str(self._store.folder)]
        if NO_CACHE_IDLE in known and not said.given(CACHE_IDLE_SLOTS):
            # If the engine emptied an idle slot, the slot could not be saved or reused.
            added.append(NO_CACHE_IDLE)
        return replace(launch, argv=(*launch.argv, *added))

    @property
    def prompt_cache(self) -> str:
        """Return whether prompts are saved and restored; known once the engine starts."""
        return self.standing.value

    @property
    def standing(self) -> PromptCacheStatus:
        """Whether its slots are saved and restored; known once the engine starts."""
        if self._transfer is None:
            return PromptCacheStatus.OFF
        useless = self._manager.useless(self._transfer.fingerprint)
        return PromptCacheStatus.USELESS if useless else PromptCacheStatus.ON

    async def assign(self, facts: RequestFacts) -> SlotPlacement | None:
        """Assign a slot to the request and restore the best saved state; None if not possible."""
        transfer = self._transfer
        if transfer is None or not facts.endpoint.sized:
            return None
        try:
            book = self._book if self._book.slots else await self._open()
        except StateUnavailable as error:
            _log.debug("%s saves no prompt cache: %s", self._variant.label, error)
            return None
        wish = wish_of(facts)
        placeable = wish.can_be_placed(book)
        if not placeable or book.uncertain:
            placeable = await self._look_closer(book, wish, placeable=placeable)
        # A prompt in messages needs no marks at the ends of others.
        ends = () if facts.segments else (*book.ends, *self._store.index.ends)
        marks = marks_of(facts, ends)
        # No other request may be in the slot that a state is loaded into: the engine would wait.
        alone = not book.unplaced
        assignment = book.assign(wish, marks, placeable=placeable)
        placement = SlotPlacement(assignment, book, transfer, self._sent, self._manager.clock)
        slot = assignment.slot or assignment.likely
        if slot is None or not alone or transfer.nothing_at_stake(slot, assignment.held):
            return placement
        if self.standing is PromptCacheStatus.ON:
            try:
                await transfer.prepare(assignment, slot)
            except BaseException:
                placement.refused()
                raise
        return placement

    async def before_stop(self) -> None:
        """Save the slots that are worth it. If restores are useless, drop the saved states."""
        if self._transfer is None:
            return
        if self.standing is PromptCacheStatus.ON:
            if self._book.uncertain:
                await self._locate()
            await self._transfer.saver.keep(self._book.unsaved(LEAST))
        else:
            await self._transfer.drop_all()

    def ended(self) -> None:
        """Note that the engine has ended, and remove the files that it did not complete."""
        if self._transfer is not None:
            self._transfer.saver.ended()

    async def _look_closer(self, book: SlotBook, wish: Wish, *, placeable: bool) -> bool:
        """Make the book certain, if possible; return whether the request can be placed then."""
        if len(book.slots) > 1 and not placeable:
            await self._named_are_seated(book)
        if not book.unplaced and (book.uncertain or not wish.can_be_placed(book)):
            await self._locate()
        return wish.can_be_placed(book)

    async def _named_are_seated(self, book: SlotBook) -> None:
        """Wait until the engine is at work in each slot that a request was just sent to by number.

        Before that, the engine might give such a slot to an unplaced request.
        """
        clock = self._manager.clock
        while True:
            since = clock.now() - _SEATED_WITHIN
            busy = [slot.number for slot in book.slots if slot.busy]
            sent = {number for number in busy if self._sent.get(number, since) > since}
            idle = await self._client.idle_slots() if sent else None
            if idle is None or sent.isdisjoint(idle):
                return
            await clock.sleep(_LOOK_AGAIN)

    async def _locate(self) -> None:
        """The book knows again what each free slot holds, as far as the engine's counts tell."""
        free = {slot.number for slot in self._book.slots if not slot.busy}
        idle = await self._client.idle_slots()
        for _ in range(_LOOKS):
            # A slot whose answer has just ended may be at work for a moment more.
            if idle is None or free <= idle.keys():
                break
            await self._manager.clock.sleep(_LOOK_AGAIN)
            idle = await self._client.idle_slots()
        if idle is None:
            self._book.forget()
            return
        for slot, answer in self._book.located(idle):
            returning = answer.returning or goes_on(answer.marks, slot.marks)
            if self._transfer is not None:
                self._transfer.displaced(slot, answer.marks)
            slot.holds(answer.marks, answer.tokens, returning=returning)

    async def _open(self) -> SlotBook:
        async with self._opening:
            if not self._book.slots:
                self._book = await self._asked()
            return self._book

    async def _asked(self) -> SlotBook:
        engine = await self._client.properties()
        if self._transfer is not None:
            context = engine.context or self._variant.capacity
            self._transfer.specify(await asyncio.to_thread(rope_factors, engine.model, context))
        return SlotBook.of(engine.slots, packed=self._packed)
