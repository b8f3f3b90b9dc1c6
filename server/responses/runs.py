"""Responses in the background: they outlive the request that began them.

Each is a request in flight of its own, which an operator can cancel. Its events are kept while it
runs, and any number of clients can follow them from any of them on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from inference.in_flight import Ongoing
from server.errors import shape_of
from utils.errors import EngineBroke, GatewayError, QueueFull, RequestCancelled, ShuttingDown
from utils.logger import get_logger
from utils.sse import events_of
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from inference.call import Sink
    from server.access_log import AccessRecord
    from server.codecs.responses.encoder import ResponseEncoder
    from server.telemetry import Telemetry
    from utils.clock import Clock

_log = get_logger("responses")
# More run at once only where somebody forgets what was begun.
MOST = 64
_RETRY_AFTER = 5.0
_OK = 200


class EventLog:
    """The events of a response; the one with the number n stands at the place n.

    The last ones are held back until the response is stored: who reads them may go on from it.
    """

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.ended = False
        self._shown = 0
        self._holds = False
        self._news = asyncio.Event()

    def add(self, stream: bytes) -> None:
        """Add the events in these bytes."""
        self.events += [event.raw for event in events_of(stream)]
        if not self._holds:
            self._show()

    def hold(self) -> None:
        """Show no later events before the end."""
        self._holds = True

    def end(self) -> None:
        """Show all events, after which no more will come."""
        self.ended = True
        self._show()

    async def follow(self, first: int = 0) -> AsyncIterator[bytes]:
        """Yield the events from the number ``first`` on, as they come, to the last."""
        while True:
            news = self._news
            if first < self._shown:
                yield b"".join(self.events[first : self._shown])
                first = self._shown
            elif self.ended:
                return
            else:
                await news.wait()

    def _show(self) -> None:
        self._shown = len(self.events)
        self._news.set()
        self._news = asyncio.Event()


class Run:
    """One response in the background, and what has come of it so far."""

    def __init__(self, owner: str, encoder: ResponseEncoder, record: AccessRecord) -> None:
        self.owner = owner
        self.encoder = encoder
        self.log = EventLog()
        self.record = record
        self.ongoing = Ongoing(record)
        self.over = asyncio.Event()
        self._cancelled = False

    def cancel(self) -> None:
        """End the response as cancelled; harmless if it has ended."""
        self._cancelled = True
        self.ongoing.cancel()

    async def held(self) -> None:
        """Hold back the events that come from now on."""
        self.log.hold()

    def check(self) -> None:
        """Raise RequestCancelled if the run was cancelled before it began."""
        if self._cancelled:
            raise RequestCancelled("The response was cancelled.")


class BackgroundRuns:
    """The responses that run in the background now."""

    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._tasks = TaskOwner("background")
        self._runs: dict[str, Run] = {}

    def start(
        self,
        key: str,
        run: Run,
        answer: Callable[[Run, Sink], Awaitable[None]],
        keep: Callable[[Run], Awaitable[None]],
    ) -> None:
        """Run ``answer`` with a sink for the events; ``keep`` what is there before it and after.

        Raises QueueFull if too many run already.
        """
        if len(self._runs) >= MOST:
            raise QueueFull(f"{MOST} responses run in the background already.", _RETRY_AFTER)
        self._runs[key] = run
        self._telemetry.began(run.ongoing)
        run.log.add(run.encoder.queue())
        task = self._tasks.spawn(self._run(run, answer, keep), key)
        # Also when it is cancelled before its first step.
        task.add_done_callback(lambda _task: self._ended(key, run))

    def __contains__(self, key: object) -> bool:
        return key in self._runs

    def find(self, key: str, owner: str) -> Run | None:
        """Return the owner's response if it runs now."""
        run = self._runs.get(key)
        return run if run is not None and run.owner == owner else None

    async def close(self) -> None:
        """End all of them, as failed."""
        await self._tasks.cancel()

    async def _run(
        self,
        run: Run,
        answer: Callable[[Run, Sink], Awaitable[None]],
        keep: Callable[[Run], Awaitable[None]],
    ) -> None:
        encoder, record, last = run.encoder, run.record, b""
        record.status = _OK
        try:
            with run.ongoing:
                await keep(run)
                run.check()
                await answer(run, _LogSink(run.log))
        except RequestCancelled:
            record.note = "cancelled"
            last = encoder.cancel()
        except asyncio.CancelledError:
            last = self._failed(run, ShuttingDown("The gateway was stopped before the end."))
        except (GatewayError, ConnectionError) as error:
            known = error if isinstance(error, GatewayError) else EngineBroke(str(error))
            last = self._failed(run, known)
        except Exception:  # noqa: BLE001 - the outermost boundary of this task
            _log.exception("a response in the background failed in the gateway itself")
            last = self._failed(run, GatewayError("The gateway failed; its log says why."))
        run.log.hold()
        run.log.add(last)
        await keep(run)

    @staticmethod
    def _failed(run: Run, error: GatewayError) -> bytes:
        run.record.note = type(error).__name__
        run.record.failed = run.record.status = shape_of(error).status
        return run.encoder.fail(error)

    def _ended(self, key: str, run: Run) -> None:
        del self._runs[key]
        run.log.end()
        run.over.set()
        self._telemetry.ended(run.record, self._clock.now(), run.ongoing)


class _LogSink:
    """A sink that nobody reads but the log; nobody can leave it."""

    begun = True

    def __init__(self, log: EventLog) -> None:
        self.decided: dict[str, str] = {}
        self.progress: Callable[[], str] | None = None
        self._log = log

    async def begin(self, _status: int, _headers: Mapping[str, str]) -> None:
        """Nothing is sent before the events."""

    async def write(self, chunk: bytes) -> None:
        self._log.add(chunk)

    def outlet(self) -> None:
        """Return None: each piece is written."""

    async def answer(self, _status: int, _headers: Mapping[str, str], body: bytes) -> None:
        self._log.add(body)

    async def refuse(self, _status: int, _headers: Mapping[str, str], _body: bytes) -> bool:
        return False

    async def end(self) -> None:
        """The log ends when the response is stored."""
