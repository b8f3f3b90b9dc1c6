"""Streams without an end of their own: ``/events`` and ``/logs/stream``.

They end when the client leaves, when it does not read for ``client_timeout`` seconds, and at once
when the gateway shuts down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.client_response import STREAM_HEADERS
from utils.logger import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from server.middleware import RequestContext

_OK = 200
_EVENT_STREAM = "text/event-stream"
_PLAIN = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


async def follow_events(ctx: RequestContext, snapshot: Callable[[], bytes]) -> None:
    """Answer with ``snapshot()`` as the first event, then with each event as it happens."""
    telemetry, down = ctx.telemetry, ctx.response
    with telemetry.events.subscribe() as subscription:
        await down.begin(_OK, STREAM_HEADERS)
        await down.write(snapshot())
        down.keep_alive(ctx.configuration.settings.keepalive_interval)
        while (batch := await subscription.fetch()) is not None:
            events, lost = batch
            if lost:
                events.insert(0, telemetry.event("lost", {"events": lost}))
            await down.write(b"".join(events))


async def follow_log(ctx: RequestContext, source: str | None) -> None:
    """Answer with the lines that the log has kept, then with each new line.

    The lines are sent as events if the client accepts those.
    """
    as_events = _EVENT_STREAM in ctx.request.headers.get("Accept", "")
    written = _as_events if as_events else as_text
    down = ctx.response
    ctx.telemetry.access.flush()
    kept, subscription, last = ctx.telemetry.log.follow(source)
    with subscription:
        await down.begin(_OK, STREAM_HEADERS if as_events else _PLAIN)
        if as_events:
            down.keep_alive(ctx.configuration.settings.keepalive_interval)
        if kept:
            await down.write(written(kept))
        while (batch := await subscription.fetch()) is not None:
            lines, lost = batch
            news = [line for line in lines if line.number > last and source in (None, line.source)]
            if lost:
                news.insert(0, Line(last, "", f"… {lost} lines were not read in time"))
            if news:
                await down.write(written(news))


def as_text(lines: Iterable[Line]) -> bytes:
    """Return the lines as in a text file."""
    return "".join(f"{line.text}\n" for line in lines).encode("utf-8", "replace")


def _as_events(lines: Iterable[Line]) -> bytes:
    return "".join(
        "".join(f"data: {part}\n" for part in line.text.split("\n")) + "\n" for line in lines
    ).encode("utf-8", "replace")
