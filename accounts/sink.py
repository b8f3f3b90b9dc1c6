"""The sinks of callers with a key: headers with their limits, and for those who pay, the price.

Who pays gets the end of an answer only when what it cost is on disk, in the backlog or in the
database; then every answer that a client has whole is charged, also if the gateway is killed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from accounts.admission import affordable
from accounts.ending import ending
from accounts.money import NANO, as_text
from inference.call import AnswerCut, Outlet
from inference.usage import usage_of_answer
from inference.wrapped_sink import WrappedSink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from accounts.ticket import Ticket
    from inference.call import Call, Sink
    from inference.usage import Usage

# Tokens for which more money is held at a time.
STEP = 256
_USAGE = re.compile(rb'"usage"\s*:\s*\{(?=[^}]*_tokens")')
_OTHER_COST = re.compile(rb'"cost"\s*:')
_LENGTH = "content-length"
_EVENT = b"data: "


class MeteredSink(WrappedSink):
    """Adds headers to the answer, and leaves all else as it is."""

    def __init__(self, inner: Sink, headers: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._headers = headers
        self.decided = inner.decided

    @property
    def decided(self) -> dict[str, str]:
        """The gateway's own headers of the answer."""
        return self._inner.decided

    @decided.setter
    def decided(self, headers: dict[str, str]) -> None:
        self._inner.decided = {**headers, **self._headers}

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces."""
        await self._inner.begin(status, headers)

    async def write(self, chunk: bytes) -> None:
        """Pass on the next piece."""
        await self._inner.write(chunk)

    def outlet(self) -> Outlet | None:
        """Return where further pieces can be put."""
        return self._inner.outlet()

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Pass on an answer in one piece."""
        await self._inner.answer(status, headers, body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Pass on an engine's error."""
        return await self._inner.refuse(status, headers, body)

    async def end(self) -> None:
        """End the answer."""
        await self._inner.end()


class PayingSink(MeteredSink):
    """Holds more money while a stream grows, and ends it where there is no more.

    ``ready`` returns when the first byte may leave. ``covered`` are the tokens for which the
    ticket holds money at first; None where that is for all of them. ``wall`` returns
    milliseconds since 1970.
    """

    def __init__(
        self,
        inner: Sink,
        headers: Mapping[str, str],
        call: Call,
        ticket: Ticket,
        covered: int | None,
        ready: Callable[[], Awaitable[None]],
        wall: Callable[[], int],
    ) -> None:
        super().__init__(inner, headers)
        self._call = call
        self._tally = call.record.tally
        self._ticket = ticket
        self._ready = ready
        self._wall = wall
        # Events of the stream that are paid for; the first one only begins the answer.
        self._limit = None if covered is None else covered + 1
        self._events = 0
        self._priced = True
        self._whole: tuple[int, Mapping[str, str], bytes] | None = None

    # -- a whole answer --------------------------------------------------------------

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the answer until ``finish``; raise what ``ready`` raises."""
        await self._ready()
        self._whole = status, headers, body

    async def end(self) -> None:
        """Do nothing yet, as the answer is settled before it ends."""

    async def finish(self) -> None:
        """Pass on what was kept, after the answer was settled."""
        if self._whole is not None:
            status, headers, body = self._whole
            self._whole = None
            if (priced := self._with_cost(body, usage_of_answer(body))) is not body:
                headers = {n: v for n, v in headers.items() if n.lower() != _LENGTH}
            await self._inner.answer(status, headers, priced)
            await self._inner.end()
        elif self._ticket.cut:
            await self._inner.write(self._ending())

    def _ending(self) -> bytes:
        call, tally = self._call, self._tally
        prompt, completion, cached = tally.so_far(call.record.prompt or 0)[:3]
        prompt, completion = prompt or 0, completion or 0
        usage = None
        if _wants_usage(call.facts.body):
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "cost": self._ticket.price.cost(prompt, completion, cached or 0) / NANO,
            }
        end = call.facts.endpoint, call.path, tally.head, tally.tail
        return ending(*end, completion, usage)

    # -- a stream --------------------------------------------------------------------

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces; where its length was told, nothing is added to it.

        Raises what ``ready`` raises, which returns when the hold is on disk.
        """
        await self._ready()
        self._priced = not any(name.lower() == _LENGTH for name in headers)
        await self._inner.begin(status, headers)

    async def write(self, chunk: bytes) -> None:
        """Pass on the next piece; raise AnswerCut after the last one that is paid for."""
        await self._inner.write(self._told(self._paid(chunk)))
        if self._ticket.cut:
            raise AnswerCut

    def outlet(self) -> Outlet | None:
        """Return the client's, which gets what is paid for."""
        if (client := self._inner.outlet()) is None:
            return None

        def put(chunk: bytes) -> bool:
            """Pass on the next piece; return False where ``drained`` has to wait, or to cut."""
            paid = self._told(self._paid(chunk))
            # A client is put no empty piece: that would be the end of its response.
            return (not paid or client.put(paid)) and not self._ticket.cut

        async def drained() -> None:
            """Return when the client has room; raise AnswerCut after the last piece paid for."""
            await client.drained()
            if self._ticket.cut:
                raise AnswerCut

        return Outlet(put, drained)

    def _paid(self, chunk: bytes) -> bytes:
        """Return what is paid for of the next piece, once money is held for it."""
        if self._limit is None:
            return chunk
        if (ticket := self._ticket).cut:
            return b""
        self._events += chunk.count(_EVENT)
        if self._events <= self._limit:
            return chunk
        now, price = self._wall(), ticket.price
        wanted = max(STEP, self._events - self._limit)
        more = min(wanted, price.tokens_for(affordable(ticket.key, now)))
        if more and ticket.grow(price.tokens_cost(more), now):
            self._limit += more
        if (surplus := self._events - self._limit) <= 0:
            return chunk
        ticket.cut = True
        self._tally.forget(surplus)
        return _without_last(chunk, surplus)

    def _told(self, chunk: bytes) -> bytes:
        if self._priced and b'"usage"' in chunk:
            return self._with_cost(chunk, self._tally.usage())
        return chunk

    def _with_cost(self, text: bytes, usage: Usage) -> bytes:
        """Return the text with what the answer costs beside its counts of tokens."""
        if usage.prompt is None:
            return text
        price = self._ticket.price
        return with_cost(text, price.cost(usage.prompt, usage.completion or 0, usage.cached or 0))


def with_cost(text: bytes, cost: int) -> bytes:
    """Return the text with a cost in nano-units in its last usage; as it is if there is none.

    An engine elsewhere may have told a price of its own, which is called ``upstream_cost`` then.
    """
    places = [found.end() for found in _USAGE.finditer(text)]
    if not places:
        return text
    told = b'"cost":%b,' % as_text(cost).encode()
    rest = _OTHER_COST.sub(b'"upstream_cost":', text[places[-1] :], count=1)
    return text[: places[-1]] + told + rest


def _wants_usage(body: bytes) -> bool:
    """Return whether the client of a stream wants to be told its tokens."""
    try:
        return bool(orjson.loads(body)["stream_options"]["include_usage"])
    except (ValueError, KeyError, TypeError):
        return False


def _without_last(chunk: bytes, surplus: int) -> bytes:
    """Return the chunk up to the end of the event before its last ``surplus`` ones."""
    at = len(chunk)
    for _ in range(surplus):
        at = chunk.rfind(_EVENT, 0, at)
    ends = (
        chunk.rfind(blank, 0, at) + len(blank)
        for blank in (b"\n\n", b"\r\n\r\n")
        if blank in chunk[:at]
    )
    return chunk[: max(ends, default=0)]
