"""Every admitted call is settled once: one test for each way out.

Each docstring says what must have been counted, and that nothing is held, by then.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from calls import Collected, call_of
from engines import running_manager
from gateway import fake_model, fake_variant, until
from gateway_client import chat_body
from growth_models import growing

from engine.llamacpp.type import LlamaCpp
from engine.types import EngineTypes
from inference.call import Call, Hooks
from inference.run import Inference
from models.requests import endpoints
from models.requests.reader import parse
from models.selection import ModelSelector, Selection
from models.sizing import Sizer
from utils.clock import LoopClock
from utils.errors import (
    BadRequest,
    EngineBroke,
    EngineStartFailed,
    EngineUnreachable,
    GatewayError,
    NotCapable,
    QueueFull,
    ShuttingDown,
)

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator

    from fake_engine import Journal

    from engine.manager import EngineManager
    from inference.usage import Usage
    from models.spec import ModelSpec

HELLO = 4  # tokens of the answers that are asked for


class Book(Hooks):
    """Writes down who was admitted, and what each call cost."""

    def __init__(self) -> None:
        self.admitted: list[Call] = []
        self.settled: list[Usage] = []
        self.refusal: GatewayError | None = None

    async def admit(self, call: Call, selection: Selection) -> None:
        assert selection.size.tokens
        if self.refusal is not None:
            raise self.refusal
        self.admitted.append(call)

    def settle(self, call: Call, usage: Usage) -> None:
        assert call in self.admitted
        self.settled.append(usage)


@dataclass
class House:
    """An inference core on one manager, and its settlements."""

    manager: EngineManager
    model: ModelSpec
    book: Book = field(default_factory=Book)

    def __post_init__(self) -> None:
        selector = ModelSelector(Sizer(self.manager, EngineTypes([LlamaCpp()])), self.manager)
        self.inference = Inference(selector, self.manager, LoopClock(), hooks=self.book)

    def run(self, sink: Collected | None = None, **fields: Any) -> asyncio.Task[None]:
        """Begin a chat."""
        called = {name: fields.pop(name) for name in ("conversation",) if name in fields}
        facts = parse(endpoints.CHAT, orjson.dumps(chat_body("hello", **fields)))
        call = call_of(self.model, facts, **called)
        if "conversation" in called:
            call.headers = dict(call.headers) | {"X-Conversation-Id": called["conversation"]}
        return asyncio.create_task(self.inference.run(call, sink or Collected()))

    def settled(self) -> Usage:
        """Return the settlement of the only call, which holds nothing any more."""
        assert len(self.book.admitted) == 1
        (usage,) = self.book.settled
        assert not [record for record in self.manager.records() if record.active]
        assert not self.manager.waiting()
        return usage

    def nothing_counted(self) -> bool:
        usage = self.settled()
        return not usage.prompt and not usage.completion


@asynccontextmanager
async def house(journal: Journal, *models: ModelSpec, **knobs: Any) -> AsyncIterator[House]:
    model = models[0] if models else fake_model(fake_variant(journal, **knobs))
    async with running_manager(journal, model) as manager:
        yield House(manager, model)


async def ended(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_came_to_its_end(journal: Journal, stream: bool) -> None:
    """The engine's own counts are settled."""
    async with house(journal) as core:
        sink = Collected()
        await core.run(sink, stream=stream)
        usage = core.settled()
        assert usage.prompt
        assert (usage.completion, usage.estimated) == (HELLO, False)
        assert sink.status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_the_engine_refuses(journal: Journal, stream: bool) -> None:
    """The settlement has no tokens."""
    async with house(journal, status=400) as core:
        sink = Collected()
        await core.run(sink, stream=stream)
        assert core.nothing_counted()
        assert sink.status == 400


async def test_an_engine_that_cannot_start(journal: Journal) -> None:
    """The settlement has no tokens."""
    async with house(journal, exit_code=3) as core:
        assert isinstance(await ended(core.run()), EngineStartFailed)
        assert core.nothing_counted()


async def test_an_engine_that_dies_before_its_answer_and_again(journal: Journal) -> None:
    """The settlement has no tokens."""
    async with house(journal, die_at="request") as core:
        assert isinstance(await ended(core.run(stream=True)), EngineUnreachable)
        assert core.nothing_counted()


async def test_an_engine_that_breaks_off(journal: Journal) -> None:
    """The prompt and the tokens that came are settled."""
    async with house(journal, die_at=2) as core:
        assert isinstance(await ended(core.run(stream=True)), EngineBroke)
        usage = core.settled()
        assert usage.estimated
        assert usage.prompt
        assert usage.completion in (1, 2)


async def test_a_refusal_before_the_queue(journal: Journal) -> None:
    """A call that was not admitted is not settled, and has asked for no engine."""
    async with house(journal) as core:
        core.book.refusal = BadRequest("no credit")
        assert await ended(core.run()) is core.book.refusal
        assert (core.book.admitted, core.book.settled) == ([], [])
        assert not journal.events("start")


async def test_what_the_model_cannot_do_is_not_admitted(journal: Journal) -> None:
    """It is not settled either."""
    async with house(journal) as core:
        facts = parse(endpoints.EMBEDDINGS, b'{"input": "a"}')
        call = call_of(core.model, facts)
        call.able = LlamaCpp().capabilities(core.model.largest)
        with pytest.raises(NotCapable):
            await core.inference.run(call, Collected())
        assert (core.book.admitted, core.book.settled) == ([], [])


async def test_a_full_queue(journal: Journal) -> None:
    """The settlement has no tokens."""
    model = fake_model(fake_variant(journal))
    async with running_manager(journal, model, max_queue=1) as manager:
        core = House(manager, model)
        async with manager.lease(model.largest):
            first = core.run()
            await until(lambda: manager.waiting() == 1)
            assert isinstance(await ended(core.run()), QueueFull)
            assert [usage.prompt for usage in core.book.settled] == [None]
        await first
        assert [usage.completion for usage in core.book.settled] == [None, HELLO]


async def test_cancelled_in_the_queue(journal: Journal) -> None:
    """The settlement has no tokens."""
    async with house(journal) as core:
        async with core.manager.lease(core.model.largest):
            task = core.run()
            await until(lambda: core.manager.waiting() == 1)
            task.cancel()
            assert isinstance(await ended(task), asyncio.CancelledError)
        assert core.nothing_counted()


@pytest.mark.parametrize("moment", ["request", "headers"])
async def test_cancelled_before_the_answer(journal: Journal, moment: str) -> None:
    """The settlement has no tokens."""
    async with house(journal, stall_at=moment) as core:
        task = core.run(stream=True)
        await journal.wait("fault", fault="stall")
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert core.nothing_counted()


@pytest.mark.parametrize("how", ["cancelled", "gone"])
async def test_a_client_that_leaves(journal: Journal, how: str) -> None:
    """The prompt and the relayed tokens are settled."""
    async with house(journal, stall_at=3) as core:
        pieces: list[bytes] = []

        def taken(piece: bytes) -> None:
            pieces.append(piece)
            if how == "gone" and b"".join(pieces).count(b"data: ") >= 3:
                raise ConnectionResetError

        task = core.run(Collected(taken), stream=True)
        if how == "cancelled":
            await until(lambda: b"".join(pieces).count(b"data: ") >= 4)
            task.cancel()
        error = await ended(task)
        assert isinstance(error, (asyncio.CancelledError, ConnectionResetError))
        usage = core.settled()
        assert usage.estimated
        assert usage.prompt
        # An event for each token, after one that only begins the answer.
        assert usage.completion == b"".join(pieces).count(b"data: ") - 1 > 0


async def test_a_gateway_that_ends(journal: Journal) -> None:
    """The prompt and the tokens that came before the fault are settled."""
    async with house(journal, stall_at=2) as core:
        sink = Collected()
        task = core.run(sink, stream=True)
        await until(lambda: sink.body.count(b"data: ") >= 3)
        await core.manager.halt()
        assert isinstance(await ended(task), EngineBroke)
        usage = core.settled()
        assert usage.estimated
        assert usage.completion == 2


async def test_a_gateway_that_ends_while_a_call_waits(journal: Journal) -> None:
    """The settlement has no tokens."""
    async with house(journal, load_seconds=60) as core:
        task = core.run()
        await journal.wait("listening")
        await core.manager.halt()
        assert isinstance(await ended(task), (ShuttingDown, EngineStartFailed))
        assert core.nothing_counted()


# -- conversations -------------------------------------------------------------------------------


async def test_a_stream_whose_client_leaves_goes_on(journal: Journal) -> None:
    """It is settled by the engine's own count when all of it is written."""
    async with house(journal, resumable=True, hold="2") as core:
        sink = Collected()
        task = core.run(sink, stream=True, conversation="c")
        await until(lambda: sink.body.count(b"data: ") >= 2)
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert core.book.settled == []
        journal.let_go("2")
        await until(lambda: core.book.settled)
        usage = core.settled()
        assert (usage.completion, usage.estimated) == (HELLO, False)


async def test_a_stream_that_goes_on_until_an_operator_ends_it(journal: Journal) -> None:
    """The prompt and the tokens that came are settled."""
    async with house(journal, resumable=True, stall_at=2) as core:
        sink = Collected()
        task = core.run(sink, stream=True, conversation="c")
        await until(lambda: sink.body.count(b"data: ") >= 3)
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)
        await until(lambda: len(core.inference.requests))
        (rest,) = core.inference.requests
        core.inference.requests.cancel(rest.record.id)
        await until(lambda: core.book.settled)
        usage = core.settled()
        assert usage.estimated
        assert usage.completion == 2


async def test_a_stream_that_goes_on_until_the_gateway_ends(journal: Journal) -> None:
    """The prompt and the tokens that came are settled, without a wait for the rest."""
    async with house(journal, resumable=True, stall_at=2) as core:
        sink = Collected()
        task = core.run(sink, stream=True, conversation="c")
        await until(lambda: sink.body.count(b"data: ") >= 3)
        task.cancel()
        await ended(task)
        await until(lambda: len(core.inference.requests))
        core.inference.streams.close()
        await until(lambda: core.book.settled)
        assert core.settled().completion == 2


async def test_two_streams_of_one_conversation(journal: Journal) -> None:
    """The first goes on without its client, although the second has the same conversation."""
    async with house(journal, resumable=True, stall_at="headers", times=1, parallel=2) as core:
        first = core.run(stream=True, conversation="c")
        await journal.wait("fault", fault="stall")
        await core.run(stream=True, conversation="c")
        first.cancel()
        assert isinstance(await ended(first), asyncio.CancelledError)
        await until(lambda: len(core.inference.requests))
        core.inference.streams.close()
        await until(lambda: len(core.book.settled) == 2)
        assert [usage.completion for usage in core.book.settled] == [HELLO, None]
        assert not [record for record in core.manager.records() if record.active]


# -- answers that go on in a larger variant ------------------------------------------------------


async def test_cancelled_while_a_larger_variant_is_asked(journal: Journal) -> None:
    """The prompt and the relayed tokens of the first variant are settled."""
    async with house(journal, growing(journal, 128, 512, large={"load_seconds": 60})) as core:
        task = core.run(stream=True, max_tokens=None)
        await journal.wait("start", 2, who="llama-server")
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)
        usage = core.settled()
        assert usage.estimated
        assert usage.completion


# -- a crowd -------------------------------------------------------------------------------------


async def test_a_crowd_is_settled_call_by_call(journal: Journal, dice: random.Random) -> None:
    """Engines fail and clients leave: each call is settled once, and nothing is held."""
    faults: dict[str, Any] = {"die_at": dice.choice(["request", "headers", 1, 2]), "times": 3}
    small = fake_variant(journal, 128, token_delay=0.005, resumable=True, **faults)
    large = fake_variant(journal, 512, token_delay=0.005, resumable=True)
    model = fake_model(small, large, grow_answers=True)
    async with running_manager(journal, model, max_queue=20) as manager:
        core = House(manager, model)

        async def one(number: int) -> None:
            fields: dict[str, Any] = {"stream": dice.random() < 0.7}
            if dice.random() < 0.3:
                fields |= {"conversation": f"c{number % 5}", "stream": True}
            fields["max_tokens"] = dice.choice([2, 4, 200])
            task = core.run(**fields)
            if dice.random() < 0.5:
                await asyncio.wait([task], timeout=dice.random() / 2)
                task.cancel()
            await asyncio.wait([task])

        await asyncio.gather(*(one(number) for number in range(40)))
        core.inference.streams.close()
        await until(lambda: len(core.book.settled) == len(core.book.admitted))
        assert core.book.admitted
        assert not manager.waiting()
        assert not [record for record in manager.records() if record.active]
        assert not len(core.inference.requests)
