"""inference/several.py: the answers to one request, one after another, as one response."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import chat, model
from calls import Collected, call_of

from inference.several import at_once, several
from models.requests.endpoints import COMPLETION
from models.requests.reader import parse
from utils.errors import EngineBroke, EngineRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.call import Call, Sink

HEADERS = {"Content-Type": "text/event-stream"}


def answer(number: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"answer {number}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 3 + number, "total_tokens": 13 + number}
    return {"id": f"id-{number}", "choices": [choice], "usage": usage, "timings": {"prompt_n": 1}}


def events(number: int) -> bytes:
    told: list[dict[str, Any]] = [
        {"id": f"id-{number}", "choices": [{"index": 0, "delta": {"role": "assistant"}}]},
        {"id": f"id-{number}", "choices": [{"index": 0, "delta": {"content": f"answer {number}"}}]},
        {"id": f"id-{number}", "choices": [], "usage": answer(number)["usage"], "timings": {}},
    ]
    return b"".join(b"data: %b\n\n" % json.dumps(e).encode() for e in told) + b"data: [DONE]\n\n"


class Engine:
    """Gives one answer at a time; a stream comes in pieces of ``cut`` bytes."""

    def __init__(self, tell: Callable[[int], bytes], cut: int = 7) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._tell = tell
        self._cut = cut

    async def run(self, call: Call, sink: Sink) -> None:
        number = len(self.bodies)
        self.bodies.append(json.loads(call.facts.body))
        call.record.completion = 3 + number
        call.record.first = 1.0 + number
        told = self._tell(number)
        if call.facts.stream:
            await sink.begin(200, HEADERS)
            for at in range(0, len(told), self._cut):
                await sink.write(told[at : at + self._cut])
        else:
            await sink.answer(200, {}, told)


def asked(engine: Engine, answers: int, **fields: Any) -> tuple[Collected, Call]:
    sink = Collected()
    call = call_of(model(), chat("hi", n=answers, **fields))
    asyncio.run(several(engine.run, call, sink, answers))
    return sink, call


def test_whole_answers_become_one() -> None:
    engine = Engine(lambda number: json.dumps(answer(number)).encode())
    sink, call = asked(engine, 3, seed=5)
    whole = json.loads(sink.body)
    assert whole["id"] == "id-0"
    told = [(choice["index"], choice["message"]["content"]) for choice in whole["choices"]]
    assert told == [(0, "answer 0"), (1, "answer 1"), (2, "answer 2")]
    assert whole["usage"] == {"prompt_tokens": 10, "completion_tokens": 12, "total_tokens": 22}
    assert "timings" not in whole
    assert [(body["seed"], body.get("n")) for body in engine.bodies] == [
        (5, None),
        (6, None),
        (7, None),
    ]
    assert (call.record.completion, call.record.first) == (12, 1.0)


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_streams_become_one(cut: int) -> None:
    sink, _ = asked(Engine(events, cut), 2, stream=True)
    *told, done, rest = sink.body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    found = [json.loads(event.removeprefix(b"data: ")) for event in told]
    assert {event["id"] for event in found} == {"id-0"}
    assert [event["choices"][0]["index"] for event in found[:-1]] == [0, 0, 1, 1]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["completion_tokens"] == 7


def test_an_error_in_a_stream_ends_all() -> None:
    error = b'data: {"error":{"message":"no"}}\n\n'
    engine = Engine(lambda number: error if number else events(number))
    sink, _ = asked(engine, 3, stream=True)
    assert sink.body.endswith(error)
    assert b"[DONE]" not in sink.body
    assert len(engine.bodies) == 2


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"a":1}'])
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(EngineRefused):
        asked(Engine(lambda _: body), 2)


def test_a_failure_of_one_answer_is_raised() -> None:
    def tell(number: int) -> bytes:
        if number:
            raise EngineBroke("no")
        return json.dumps(answer(number)).encode()

    with pytest.raises(EngineBroke):
        asked(Engine(tell), 3)


def test_an_engine_s_error_page_is_passed_on_once() -> None:
    class Refusing(Engine):
        async def run(self, call: Call, sink: Sink) -> None:
            self.bodies.append(json.loads(call.facts.body))
            assert await sink.refuse(400, {}, b"{}")

    engine = Refusing(lambda _: b"")
    sink, _ = asked(engine, 3)
    assert (sink.status, sink.body, len(engine.bodies)) == (400, b"{}", 1)


def test_several_prompts_have_their_answers_together() -> None:
    def both(number: int) -> bytes:
        choices = [{"index": index, "text": f"{index}{number}"} for index in (0, 1)]
        return json.dumps({"choices": choices}).encode()

    sink, _ = asked(Engine(both), 2)
    told = {choice["index"]: choice["text"] for choice in json.loads(sink.body)["choices"]}
    assert told == {0: "00", 1: "01", 2: "10", 3: "11"}


def test_each_prompt_is_asked_by_itself_where_its_tokens_are_paid() -> None:
    def one(number: int) -> bytes:
        usage = {"prompt_tokens": 2 + number // 2, "completion_tokens": 3, "cost": 0.1}
        return json.dumps({"choices": [{"index": 0, "text": f"{number}"}], "usage": usage}).encode()

    engine, sink = Engine(one), Collected()
    body = {"prompt": ["a", [1, 2]], "n_cmpl": 2, "seed": 7}
    facts = parse(COMPLETION, json.dumps(body).encode())
    assert facts.answers == 2
    asyncio.run(several(engine.run, call_of(model(), facts), sink, 2, apart=True))
    told = json.loads(sink.body)
    assert [(c["index"], c["text"]) for c in told["choices"]] == [(n, f"{n}") for n in range(4)]
    assert [(each["prompt"], each["seed"]) for each in engine.bodies] == [
        ("a", 7),
        ("a", 8),
        ([1, 2], 7),
        ([1, 2], 8),
    ]
    assert told["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 12,
        "total_tokens": 17,
        "cost": 0.4,
    }


def test_answers_at_once_are_counted_together() -> None:
    def chunk(index: int, **delta: Any) -> dict[str, Any]:
        return {"id": "a", "choices": [{"index": index, "delta": delta}]}

    used = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    told = [
        chunk(1, role="assistant"),
        # Half a character came first.
        chunk(0, content="x"),
        chunk(1, content="y"),
        {"id": "a", "choices": [], "usage": used},
        {"id": "a", "choices": [], "usage": {**used, "completion_tokens": 4}},
    ]
    stream = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in told)
    engine = Engine(lambda _: stream + b"data: [DONE]\n\n")
    sink, call = Collected(), call_of(model(), chat("hi", n=2, stream=True))
    asyncio.run(at_once(engine.run, call, sink))
    *events, done, _ = sink.body.split(b"\n\n")
    assert done == b"data: [DONE]"
    found = [json.loads(event.removeprefix(b"data: ")) for event in events]
    choices = [event["choices"][0] for event in found[:-1]]
    assert [(c["index"], c["delta"].get("role")) for c in choices] == [
        (1, "assistant"),
        (0, "assistant"),
        (0, None),
        (1, None),
    ]
    assert found[-1]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
    }
    assert engine.bodies[0]["n"] == 2
