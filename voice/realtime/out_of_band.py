"""``OutOfBand``: an answer outside the conversation, whatever goes on in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from utils.errors import GatewayError
from voice.clauses import Clauses, speakable
from voice.told import Complete, Reply, Usage
from voice.work import Work

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from voice.models import Models
    from voice.realtime.events import Events, Json
    from voice.realtime.items import Item
    from voice.realtime.response import ResponseEvents
    from voice.session import Session


class OutOfBand:
    """Answers by ``models``, as a task of the session."""

    def __init__(
        self,
        session: Session,
        events: Events,
        response: ResponseEvents,
        models: Models,
        *,
        speaks: bool,
    ) -> None:
        self._session = session
        self._events = events
        self._response = response
        self._models = models
        self._speaks = speaks
        self._work = Work(0, 0.0)
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        items: list[Item],
        messages: Callable[[], list[dict[str, Any]]],
        ended: Callable[[], None],
    ) -> None:
        """Begin to answer to ``messages``, once the ``items`` are understood; tell ``ended``."""
        self._tell(self._response.created())
        self._task = self._session.spawn(self._run(items, messages), "out of band")
        self._task.add_done_callback(lambda task: self._over(ended, cancelled=task.cancelled()))

    def cancel(self) -> None:
        """End the answer at the client's word."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, items: list[Item], messages: Callable[[], list[dict[str, Any]]]) -> None:
        try:
            for item in items:
                if item.has_sound:
                    await item.hear(self._models.hear)
            answer = await self._models.think(messages(), self._said)
            if self._speaks:
                await self._speak()
        except GatewayError as error:
            self._tell(self._response.failed(self._events.fault(error)))
        else:
            told = Complete(0, "", self._work.text, calls=answer.calls, usage=answer.usage)
            self._tell(self._response.complete(told, cancelled=False))

    def _over(self, ended: Callable[[], None], *, cancelled: bool) -> None:
        ended()
        if cancelled:
            usage = Usage(0, len(self._work.written))
            told = Complete(0, "", self._work.text, interrupted=True, usage=usage)
            self._tell(self._response.complete(told, cancelled=True))

    async def _said(self, piece: str) -> None:
        self._work.wrote(piece, 0.0)
        self._tell(self._response.text(piece))
        await self._session.outbox.room()

    async def _speak(self) -> None:
        clauses = Clauses()
        for clause in [*clauses.feed(self._work.text), clauses.rest()]:
            if text := speakable(clause):
                spoken = await self._models.speak(text)
                self._tell(self._response.speech(spoken.sound))
                await self._session.outbox.room()

    def _tell(self, events: list[Json]) -> None:
        for event in events:
            self._session.tell(Reply(event))
