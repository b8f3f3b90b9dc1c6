"""Several answers to one request (``n``) from an engine that gives one at a time.

The answers are asked for one after another, each with a turn of its own in the queue, and become
one response: the choices are numbered, and the tokens of all answers are added. An engine that
gives several at once tells the tokens of each in a stream; these are added, too. Otherwise it tells
those of one answer alone, so where tokens are paid for each answer is asked for by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from inference.usage import Tally
from inference.wrapped_sink import HoldingSink
from models.requests.prompts import prompts_of
from utils.errors import EngineRefused
from utils.sse import Event, EventBuffer, events_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inference.call import Call, CallRecord, Sink

Json = dict[str, Any]
_DONE = b"data: [DONE]\n\n"
_OK = 200
_JSON = {"Content-Type": "application/json; charset=utf-8"}
# What an engine tells of one answer, and what would be wrong for all.
_OF_ONE = ("timings", "__verbose")


async def several(
    run: Callable[[Call, Sink], Awaitable[None]],
    call: Call,
    sink: Sink,
    answers: int,
    *,
    apart: bool = False,
) -> None:
    """Give ``answers`` answers to ``call`` in one response; ``run`` gives one.

    With ``apart`` each of several prompts is asked by itself, too. Raises what ``run`` raises. If
    an answer fails, so does the response.
    """
    request: Json = orjson.loads(call.facts.body)
    for name in ("n", "n_cmpl"):
        request.pop(name, None)
    asked = [{**request, "prompt": each} for each in prompts_of(request)] if apart else []
    if len(asked) <= 1:
        asked = [request]
    merged = Merged(answers, len(asked))
    record = call.record
    parts: list[_Part] = []
    for number in range(len(asked) * answers):
        body = orjson.dumps(_varied(asked[number // answers], number % answers))
        # What is relayed is looked at answer by answer.
        record.tally = Tally()
        one = _OneOf(sink, merged, number, stream=call.facts.stream)
        try:
            facts = call.facts._replace(body=body, answers=1)
            await run(replace(call, facts=facts, conversation=None), one)
        finally:
            parts.append(_Part(record.completion, record.queued, record.loading, record.first))
            _sum_up(record, parts)
        if one.refused:
            return
        one.take()
    if call.facts.stream:
        await sink.write(merged.end())
    else:
        await sink.answer(_OK, _JSON, orjson.dumps(merged.whole))


class _Part(NamedTuple):
    """What the record of the call says of one answer."""

    completion: int | None
    queued: float | None
    loading: float | None
    first: float | None


def _sum_up(record: CallRecord, parts: list[_Part]) -> None:
    """Write into the record what is true of all answers so far."""
    record.completion = sum(part.completion or 0 for part in parts)
    record.queued = sum(part.queued or 0.0 for part in parts)
    record.loading = sum(part.loading or 0.0 for part in parts)
    record.first = parts[0].first


async def at_once(run: Callable[[Call, Sink], Awaitable[None]], call: Call, sink: Sink) -> None:
    """Give a stream of the answers that an engine writes at once; raises what ``run`` raises."""
    merged = Merged(1)
    one = _OneOf(sink, merged, 0, stream=True)
    await run(call, one)
    if not one.refused:
        await sink.write(merged.end())


def _varied(request: Json, number: int) -> Json:
    """Return the request with a seed of its own: with the same one the answers would be equal."""
    seed = request.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        return request
    return {**request, "seed": seed + number}


class Merged:
    """The answers so far, as one. Pure."""

    def __init__(self, answers: int, prompts: int = 1) -> None:
        self.whole: Json = {}
        self._answers = answers
        self._prompts = prompts
        self._first: Json = {}
        # Of each answer.
        self._usages: list[Json] = []
        self._begun: set[int] = set()
        self._last: Json | None = None

    def add(self, answer: Json, number: int) -> None:
        """Add a whole answer; EngineRefused if it is none."""
        choices = answer.get("choices")
        if not isinstance(choices, list):
            raise EngineRefused("The engine gave an answer without choices.")
        self._number(choices, number)
        self._count(answer)
        if not self.whole:
            self.whole = {k: v for k, v in answer.items() if k not in _OF_ONE} | {"choices": []}
        self.whole["choices"] += choices
        if self._usages:
            self.whole["usage"] = self._usage

    def event(self, data: Json, number: int) -> bytes:
        """Return an event of the answer with this number as one of the whole stream."""
        if "error" in data:
            return Event.of(data).raw
        self._first = self._first or {
            name: data[name] for name in ("id", "created") if name in data
        }
        data |= self._first
        for name in _OF_ONE:
            data.pop(name, None)
        choices = data.get("choices")
        if not isinstance(choices, list):
            return Event.of(data).raw
        if not choices and data.get("usage"):
            # The tokens of all answers stand in one event at the end.
            self._count(data)
            self._last = data
            return b""
        self._number(choices, number)
        return self._begin(data, choices) + Event.of(data).raw

    def end(self) -> bytes:
        """Return the end of the whole stream."""
        last = b"" if self._last is None else Event.of({**self._last, "usage": self._usage}).raw
        return last + _DONE

    def _number(self, choices: list[Any], number: int) -> None:
        for choice in choices:
            if isinstance(choice, dict) and isinstance(choice.get("index", 0), int):
                # The answers to one prompt stand together, as there may be several prompts.
                choice["index"] = choice.get("index", 0) * self._answers + number

    def _begin(self, data: Json, choices: list[Any]) -> bytes:
        """Return the role of each choice of a chat that begins without one."""
        told = b""
        for choice in choices:
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if not isinstance(delta, dict) or (index := choice.get("index")) in self._begun:
                continue
            self._begun.add(index)
            if not delta.get("role"):
                begun = {"role": "assistant", "content": ""}
                role = {"index": index, "delta": begun, "finish_reason": None}
                told += Event.of({**data, "choices": [role]}).raw
        return told

    def _count(self, data: Json) -> None:
        if isinstance(usage := data.get("usage"), dict):
            self._usages.append(usage)

    @property
    def _usage(self) -> Json:
        """The tokens of each prompt once, however many answers it got, and those of all answers."""
        first = self._usages[0]
        each = self._usages[:: max(1, len(self._usages) // self._prompts)]
        read = sum(usage.get("prompt_tokens", 0) for usage in each)
        written = sum(usage.get("completion_tokens", 0) for usage in self._usages)
        told = {
            **first,
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
        if "cost" in first:
            # Each answer is paid for. Prices have nine decimal places.
            told["cost"] = round(sum(usage.get("cost", 0) for usage in self._usages), 9)
        return told


class _OneOf(HoldingSink):
    """The sink of one answer of several; the others use ``inner`` before and after it."""

    def __init__(self, inner: Sink, merged: Merged, number: int, *, stream: bool) -> None:
        super().__init__(inner)
        self._merged = merged
        self._number = number
        self._buffer = EventBuffer() if stream else None

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin the response, unless another answer has, or it is a whole one."""
        if self._buffer is not None:
            await self._inner.begin(status, headers)

    async def write(self, chunk: bytes) -> None:
        """Pass on the events that the chunk completes, or keep a piece of a whole answer."""
        if self._buffer is None:
            self._pieces.append(chunk)
            return
        events = (event.json() for event in events_of(self._buffer.feed(chunk)))
        written = b"".join(self._event(data) for data in events if data is not None)
        if written:
            await self._inner.write(written)

    def _event(self, data: Json) -> bytes:
        # An error in a stream ends the response.
        self.refused |= "error" in data
        return self._merged.event(data, self._number)

    def take(self) -> None:
        """Add the whole answer to the others; EngineRefused if it is no JSON object."""
        if self._buffer is not None:
            return
        try:
            answer = orjson.loads(b"".join(self._pieces))
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise EngineRefused("The engine gave an answer that is no JSON object.")
        self._merged.add(answer, self._number)
