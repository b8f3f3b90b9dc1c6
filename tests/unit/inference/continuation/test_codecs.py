"""inference/continuation: join parts of messages and responses, however the bytes are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.continuation.answer import ContinuedAnswer
from inference.continuation.messages import MESSAGES
from inference.continuation.stream import ContinuedStream
from models.requests import endpoints
from models.requests.reader import parse
from utils.sse import events_of

if TYPE_CHECKING:
    from inference.continuation.codec import Codec
    from models.requests.reader import RequestFacts

# Each engine's words; the first two fill their contexts of 100 and 200 tokens.
PARTS = ["Es war einmal ein Fuchs, der hieß ", "Ƒox 🦊 und lief\n\n", "heim."]
WHOLE = "".join(PARTS)
FULL = [(20, 80), (100, 100)]


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def words(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def told(data: bytes) -> list[Any]:
    return [found for each in events_of(data) if (found := each.json())]


class Messages:
    codec: Codec = MESSAGES
    facts = parse(endpoints.MESSAGES, b'{"messages": [{"role": "user", "content": "hi"}]}')

    def begun(self, number: int, counts: tuple[int, int] = (20, 80)) -> bytes:
        usage = {"cache_read_input_tokens": 5, "input_tokens": counts[0] - 5, "output_tokens": 0}
        block = {"type": "text", "text": ""}
        return event("message_start", message={"id": f"id-{number}", "usage": usage}) + event(
            "content_block_start", index=0, content_block=block
        )

    def said(self, _number: int, text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return event("content_block_delta", index=0, delta=delta)

    def ended(
        self, _number: int, _text: str, counts: tuple[int, int] = (20, 80), *, full: bool = True
    ) -> bytes:
        delta = {"stop_reason": "max_tokens" if full else "end_turn", "stop_sequence": None}
        return (
            event("content_block_stop", index=0)
            + event("message_delta", delta=delta, usage={"output_tokens": counts[1]})
            + event("message_stop")
        )

    def text(self, events: list[Any]) -> str:
        kinds = [each["type"] for each in events]
        for once in ("message_start", "content_block_start", "content_block_stop"):
            assert kinds.count(once) == 1
        assert kinds[-2:] == ["message_delta", "message_stop"]
        return "".join(each["delta"].get("text", "") for each in events if "delta" in each)

    def counted(self, events: list[Any]) -> tuple[int, int]:
        usage = events[0]["message"]["usage"]
        read = usage["input_tokens"] + usage["cache_read_input_tokens"]
        return read, events[-2]["usage"]["output_tokens"]

    def whole(
        self, number: int, text: str, counts: tuple[int, int] = (20, 80), *, full: bool = True
    ) -> Any:
        read = {"cache_read_input_tokens": 5, "input_tokens": counts[0] - 5}
        return {
            "id": f"id-{number}",
            "type": "message",
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": "max_tokens" if full else "end_turn",
            "usage": read | {"output_tokens": counts[1]},
        }

    def of_whole(self, answer: Any) -> tuple[str, str, int, int]:
        usage = answer["usage"]
        read = usage["input_tokens"] + usage["cache_read_input_tokens"]
        return answer["content"][0]["text"], answer["id"], read, usage["output_tokens"]


Api = Messages
APIS = (Messages(),)
each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: type(api).__name__)


def stream(api: Api, number: int, *said: str, more: str = "", **ended: Any) -> bytes:
    """Return a whole stream; its end may tell of ``more`` than its events did."""
    counts = ended.get("counts", (20, 80))
    deltas = b"".join(api.said(number, text) for text in said)
    return api.begun(number, counts) + deltas + api.ended(number, more + "".join(said), **ended)


def fed(growing: ContinuedStream, data: bytes, cuts: tuple[int, ...] = ()) -> bytes:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return b"".join(growing.feed(data[start:end]) for start, end in pairwise(places))


def filled(api: Api, facts: RequestFacts | None = None) -> tuple[ContinuedStream, bytes]:
    """Return a stream of 20 + 80 tokens in a context of 100, to be continued, and its output."""
    growing = ContinuedStream(api.codec, facts or api.facts)
    passed = fed(growing, stream(api, 0, *words(PARTS[0])))
    assert growing.ended(100) is not None
    growing.resume()
    return growing, passed


# -- streams -----------------------------------------------------------------------------------


@each_api
@pytest.mark.parametrize("repeats", ["yes", "no", "at the end"])
@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_several_parts_are_one_wherever_they_are_cut(
    api: Api, repeats: str, cuts: list[int]
) -> None:
    growing, passed, said = ContinuedStream(api.codec, api.facts), b"", ""
    for number, part in enumerate(PARTS):
        last = number == len(PARTS) - 1
        counts = (200, 50) if last else FULL[number]
        first, *rest = words(part)
        begun = said + first if repeats == "yes" else first
        more = said if repeats == "at the end" else ""
        data = stream(api, number, begun, *rest, more=more, counts=counts, full=not last)
        passed += fed(growing, data, tuple(cuts))
        said += part
        following = growing.ended([100, 200, 400][number])
        assert growing.joined
        assert (following is None) == last
        if following is not None:
            assert following.text == said
            assert json.dumps(said, ensure_ascii=False) in following.body.decode()
            growing.resume()
    passed += growing.end()
    events = told(passed)
    assert api.text(events) == WHOLE
    assert api.counted(events) == (20, 230)
    assert growing.cached == 5


@each_api
@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_a_stream_that_does_not_grow_keeps_its_bytes(api: Api, cuts: list[int]) -> None:
    for data in (
        stream(api, 1, *words(WHOLE), full=False),
        stream(api, 1, *words(WHOLE)) + b": cut",
        api.begun(1) + b'event: error\ndata: {"error":{}}\n\ndata: {"cut',
        api.begun(1) + event("error", message="no") + api.ended(1, "x"),
        b'data: {"error":{}}\n\n',
    ):
        growing = ContinuedStream(api.codec, api.facts)
        passed = fed(growing, data, tuple(cuts))
        assert growing.ended(4096) is None
        assert passed + growing.end() == data
        assert growing.cached is None


@each_api
def test_nothing_waits_but_the_end(api: Api) -> None:
    growing = ContinuedStream(api.codec, api.facts)
    for each in (b": ping\n\n", api.begun(1), api.said(1, "event: content_block_stop\n")):
        assert growing.feed(each) is each
    end = api.ended(1, "event: content_block_stop\n")
    assert growing.feed(api.said(1, "a") + end) == api.said(1, "a")
    assert growing.end() == b""
    assert growing.ended(4096) is None
    assert growing.end() == end


def test_a_response_is_continued_only_if_its_context_is_full_to_the_last_token() -> None:
    for api, context, following in (
        (APIS[0], 104, True),
        (APIS[0], 105, False),
    ):
        growing = ContinuedStream(api.codec, api.facts)
        fed(growing, stream(api, 1, PARTS[0]))
        assert (growing.ended(context) is not None) == following


THINKING = event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "x"})
REASONING = event("response.reasoning_text.delta", delta="hm", item_id="rs")
CALL = event("response.output_item.added", item={"type": "function_call", "name": "f"})
USE = event("content_block_start", index=1, content_block={"type": "tool_use", "name": "f"})


@pytest.mark.parametrize(
    ("api", "more"),
    [(APIS[0], THINKING), (APIS[0], USE)],
    ids=lambda value: type(value).__name__,
)
def test_more_than_words_is_not_continued_nor_a_continuation(api: Api, more: bytes) -> None:
    growing = ContinuedStream(api.codec, api.facts)
    data = api.begun(1) + more + api.said(1, PARTS[0]) + api.ended(1, PARTS[0])
    passed = fed(growing, data)
    assert growing.ended(100) is None
    assert passed + growing.end() == data
    growing, _ = filled(api)
    end = growing.end()
    assert fed(growing, api.begun(2) + more) == b""
    assert (growing.refused, growing.anew) == (True, True)
    assert growing.end() == end


@each_api
def test_once_it_has_joined_it_may_say_more_than_words(api: Api) -> None:
    growing, _ = filled(api)
    more = USE
    assert growing.feed(api.begun(2) + api.said(2, PARTS[0] + "x")) != b""
    assert told(growing.feed(more)) == told(more)


@each_api
@pytest.mark.parametrize("said", [PARTS[0].rstrip() + "\n", PARTS[0][:-3] + "ß?"])
def test_what_is_no_continuation_is_not_passed_on(api: Api, said: str) -> None:
    growing, _ = filled(api)
    end = growing.end()
    assert fed(growing, stream(api, 1, said)) == b""
    assert growing.ended(200) is None
    assert (growing.refused, growing.anew) == (True, True)
    assert growing.end() == end


@each_api
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b'data: {"error": {"message": "no"}}\n\n',
        event("error", error={"message": "no"}),
        b'event: error\ndata: {"code": 500, "type": "server_error"}\n\n',
    ],
)
def test_an_error_says_nothing_of_what_it_would_have_said(api: Api, said: bytes) -> None:
    growing, _ = filled(api)
    assert fed(growing, api.begun(1) + said) == b""
    assert growing.ended(200) is None
    assert (growing.refused, growing.anew) == (True, False)


@each_api
def test_a_larger_engine_may_have_nothing_to_add(api: Api) -> None:
    growing, passed = filled(api)
    passed += fed(growing, stream(api, 1, PARTS[0], counts=(100, 1), full=False))
    assert growing.joined
    assert growing.ended(400) is None
    events = told(passed + growing.end())
    assert api.text(events) == PARTS[0]
    assert api.counted(events) == (20, 81)


def test_a_message_without_a_beginning_does_not_grow_further() -> None:
    growing, _ = filled(APIS[0])
    fed(growing, APIS[0].said(1, PARTS[1]) + APIS[0].ended(1, "", (100, 100)))
    assert growing.joined
    assert growing.ended(200) is None


# -- in one piece --------------------------------------------------------------------------------


def body(answer: Any) -> bytes:
    return json.dumps(answer).encode()


@each_api
@pytest.mark.parametrize("repeats", [False, True])
def test_an_answer_in_one_piece_is_one(api: Api, *, repeats: bool) -> None:
    growing = ContinuedAnswer(api.codec, api.facts, body(api.whole(1, PARTS[0])))
    assert growing.ended(100) is not None
    begun = PARTS[0] if repeats else ""
    assert growing.joins(body(api.whole(2, begun + PARTS[1], (100, 100))))
    assert growing.ended(200) is not None
    begun = PARTS[0] + PARTS[1] if repeats else ""
    assert growing.joins(body(api.whole(3, begun + PARTS[2], (200, 50), full=False)))
    assert growing.ended(400) is None
    assert api.of_whole(json.loads(growing.body)) == (WHOLE, "id-1", 20, 230)
    assert growing.cached == 5


@each_api
def test_an_answer_may_have_nothing_to_add(api: Api) -> None:
    growing = ContinuedAnswer(api.codec, api.facts, body(api.whole(1, PARTS[0])))
    assert growing.ended(100) is not None
    assert growing.joins(body(api.whole(2, "", (100, 1), full=False)))
    assert api.of_whole(json.loads(growing.body)) == (PARTS[0], "id-1", 20, 81)


@each_api
def test_what_is_no_continuation_is_no_part(api: Api) -> None:
    growing = ContinuedAnswer(api.codec, api.facts, body(api.whole(1, PARTS[0])))
    assert growing.ended(100) is not None
    before = growing.body
    for answer in (b"{", b"[]", b"{}", b'{"error": {}}'):
        assert not growing.joins(answer)
        assert not growing.anew
    assert not growing.joins(body(api.whole(2, PARTS[0][:-1] + "#")))
    assert growing.anew
    assert growing.body is before


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        (APIS[0], APIS[0].whole(1, PARTS[0], full=False)),
        (APIS[0], APIS[0].whole(1, PARTS[0], (20, 70))),
        (APIS[0], APIS[0].whole(1, PARTS[0]) | {"content": [{"type": "thinking"}]}),
        (APIS[0], APIS[0].whole(1, PARTS[0]) | {"content": [{"type": "text"}] * 2}),
        (APIS[0], APIS[0].whole(1, PARTS[0]) | {"content": []}),
        (APIS[0], {"error": {}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_go_on_is_left_alone(api: Api, answer: Any) -> None:
    data = body(answer)
    growing = ContinuedAnswer(api.codec, api.facts, data)
    assert growing.ended(100) is None
    assert growing.body is data
