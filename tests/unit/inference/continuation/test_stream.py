"""inference/continuation: join the parts of an answer, however the bytes are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from builders import chat, completion
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.continuation.answer import ContinuedAnswer
from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.stream import ContinuedStream
from utils.sse import events_of

if TYPE_CHECKING:
    from models.requests.reader import RequestFacts

# Each engine's words; the first two fill their contexts of 100 and 200 tokens.
PARTS = ["Es war einmal ein Fuchs, der hieß ", "Ƒox 🦊 und lief\n\n", "heim."]
WHOLE = "".join(PARTS)
FULL = [(20, 80), (100, 100)]
ASKED = chat("hi")


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


def delta(number: int, finish: str | None = None, **said: Any) -> bytes:
    choice = {"finish_reason": finish, "index": 0, "delta": said}
    return event(id=f"id-{number}", choices=[choice])


def stream(
    number: int, *said: str, finish: str = "length", counts: tuple[int, int] = (20, 80), **more: Any
) -> bytes:
    """A whole chat stream; ``counts`` are of prompt and answer."""
    timings = {"cache_n": 0, "prompt_n": counts[0], "predicted_n": counts[1]}
    usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": 0}
    choice = {"finish_reason": finish, "index": 0, "delta": {}}
    return b"".join(
        (
            delta(number, role="assistant", content=None),
            *(delta(number, content=text) for text in said),
            event(id=f"id-{number}", choices=[choice], **({} if more else {"timings": timings})),
            *([event(id=f"id-{number}", choices=[], usage=usage, timings=timings)] * bool(more)),
            b"data: [DONE]\n\n",
        )
    )


def words(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def fed(growing: ContinuedStream, data: bytes, cuts: tuple[int, ...] = ()) -> bytes:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return b"".join(growing.feed(data[start:end]) for start, end in pairwise(places))


def first_full(facts: RequestFacts = ASKED) -> ContinuedStream:
    """Return a stream of 20 + 80 tokens in a context of 100, to be continued."""
    growing = ContinuedStream(CHAT, facts)
    fed(growing, stream(1, *words(PARTS[0])))
    assert growing.ended(100) is not None
    growing.resume()
    return growing


def told(data: bytes) -> list[Any]:
    return [found for each in events_of(data) if (found := each.json())]


def text_of(data: bytes) -> str:
    choices = [each["choices"][0] for each in told(data) if each["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


# -- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("repeats", [False, True])
@settings(max_examples=settings().max_examples // 2)
@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_several_parts_are_one_wherever_they_are_cut(
    repeats: bool, usage: bool, cuts: list[int]
) -> None:
    growing, passed, said = ContinuedStream(CHAT, ASKED), b"", ""
    more = {"usage": True} if usage else {}
    for number, part in enumerate(PARTS):
        last = number == len(PARTS) - 1
        first, *rest = words(part)
        begun = said + first if repeats else first
        finish, counts = ("stop", (200, 50)) if last else ("length", FULL[number])
        data = stream(number, begun, *rest, finish=finish, counts=counts, **more)
        passed += fed(growing, data, tuple(cuts))
        said += part
        following = growing.ended([100, 200, 400][number])
        assert growing.joined
        assert (following is None) == last
        if following is not None:
            assert following.text == said
            assert json.loads(following.body)["messages"][-1]["content"] == said
            growing.resume()
    passed += growing.end()
    assert text_of(passed) == WHOLE
    events = told(passed)
    assert {each["id"] for each in events} == {"id-0"}
    choices = [each["choices"][0] for each in events if each["choices"]]
    assert [c["delta"]["role"] for c in choices if "role" in c["delta"]] == ["assistant"]
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["stop"]
    (timings,) = [each["timings"] for each in events if "timings" in each]
    assert (timings["prompt_n"], timings["predicted_n"]) == (20, 230)
    totals = [each["usage"]["total_tokens"] for each in events if "usage" in each]
    assert totals == [250] * usage
    assert passed.endswith(b"data: [DONE]\n\n")
    assert passed.count(b"[DONE]") == 1
    assert growing.cached == 0


@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_a_stream_that_does_not_grow_keeps_its_bytes(cuts: list[int]) -> None:
    for data in (
        stream(1, *words(WHOLE), finish="stop"),
        stream(1, *words(WHOLE)) + b": cut",
        b'data: {"error":{}}\n\ndata: {"cut',
    ):
        growing = ContinuedStream(CHAT, ASKED)
        passed = fed(growing, data, tuple(cuts))
        assert growing.ended(4096) is None
        assert passed + growing.end() == data
        assert growing.cached is None


def test_nothing_waits_but_the_end() -> None:
    growing = ContinuedStream(CHAT, ASKED)
    for each in (b": ping\n\n", delta(1, content='"finish_reason":"length"'), delta(1, content="")):
        assert growing.feed(each) is each
    assert growing.feed(delta(1, content="a") + delta(1, "length")) == delta(1, content="a")
    assert growing.feed(b"data: [DONE]\n\n") == b""
    assert growing.end() == b""
    # It came without any counts.
    assert growing.ended(0) is None
    assert growing.end() == delta(1, "length") + b"data: [DONE]\n\n"


def test_a_first_event_may_be_the_end() -> None:
    growing = ContinuedStream(CHAT, ASKED)
    assert growing.feed(delta(1, "length")) == b""
    assert growing.ended(0) is None
    assert growing.end() == delta(1, "length")


@pytest.mark.parametrize(
    "more",
    [
        delta(1, tool_calls=[{"index": 0}]),
        delta(1, reasoning_content="hm"),
        event(id="1", choices=[{"index": 1, "delta": {"content": "b"}}]),
    ],
)
def test_more_than_words_ends(more: bytes) -> None:
    growing = ContinuedStream(CHAT, ASKED)
    passed = fed(growing, more + stream(1, PARTS[0]))
    assert growing.ended(100) is None
    assert passed + growing.end() == more + stream(1, PARTS[0])


def test_words_that_come_with_the_end_end_it() -> None:
    growing = ContinuedStream(COMPLETION, completion("a"))
    timings = {"prompt_n": 20, "predicted_n": 80}
    for text, following in (("", True), ("b", False)):
        growing = ContinuedStream(COMPLETION, completion("a"))
        choice = {"index": 0, "finish_reason": "length", "text": text}
        growing.feed(event(choices=[{"index": 0, "text": PARTS[0]}]))
        growing.feed(event(choices=[choice], timings=timings))
        assert (growing.ended(100) is not None) == following


def test_a_context_with_room_left_was_not_the_reason() -> None:
    for context, following in ((100, True), (104, True), (105, False)):
        growing = ContinuedStream(CHAT, ASKED)
        fed(growing, stream(1, PARTS[0]))
        assert (growing.ended(context) is not None) == following


def test_a_repetition_may_come_in_pieces() -> None:
    growing = first_full()
    text = PARTS[0]
    assert growing.feed(b": ping\n\n") == b""
    assert growing.feed(delta(2, role="assistant", content=None)) == b""
    assert growing.feed(delta(2, content=text[:-2])) == b""
    assert not growing.joined
    assert growing.feed(delta(2, content=text[-2:])) == b""
    assert growing.joined
    assert growing.feed(delta(2, content="Rex")) == delta(1, content="Rex")


@pytest.mark.parametrize("size", [1, 3, 10])
def test_a_repetition_may_come_in_small_pieces(size: int) -> None:
    growing, text = first_full(), PARTS[0]
    for at in range(0, len(text), size):
        assert growing.feed(delta(2, content=text[at : at + size])) == b""
    assert growing.joined
    assert growing.feed(delta(2, content="Rex")) == delta(1, content="Rex")


def test_new_words_may_begin_as_the_text_did() -> None:
    growing = first_full()
    assert growing.feed(delta(2, content=PARTS[0][:3])) == b""
    assert text_of(growing.feed(delta(2, content="?"))) == PARTS[0][:3] + "?"
    assert growing.joined


@pytest.mark.parametrize(
    "answers",
    [
        # Nearly what was said: trimmed, changed, or less of it.
        delta(2, content=PARTS[0].rstrip() + "\n"),
        delta(2, content=PARTS[0][:-3] + "ß?" + "and on"),
        delta(2, content=PARTS[0][:-2]) + delta(2, content="?"),
        delta(2, content=PARTS[0][:-2]) + delta(2, "stop"),
        delta(2, content=PARTS[0][:-2]),
        event(error={"message": "no"}),
        b"",
    ],
)
def test_what_is_no_continuation_is_not_passed_on(answers: bytes) -> None:
    growing = first_full()
    end = growing.end()
    assert fed(growing, answers) == b""
    assert growing.ended(200) is None
    assert growing.refused
    assert growing.end() == end
    assert json.loads(end[6:].split(b"\n")[0])["choices"][0]["finish_reason"] == "length"


def test_what_follows_a_refusal_is_ignored() -> None:
    growing = first_full()
    assert growing.feed(event(error={}) + delta(2, content=PARTS[0] + "more")) == b""
    assert growing.refused


@pytest.mark.parametrize(
    "first",
    [delta(2, "stop"), delta(2, role="assistant", tool_calls=[{"index": 0, "id": "t"}])],
)
def test_an_engine_may_go_on_without_words(first: bytes) -> None:
    growing = first_full()
    (passed,) = told(growing.feed(first))
    assert growing.joined
    assert "role" not in passed["choices"][0]["delta"]
    assert passed["id"] == "id-1"
    assert growing.end() == b""


def test_a_text_completion_needs_no_proof() -> None:
    growing = ContinuedStream(COMPLETION, completion("a"))
    timings = {"prompt_n": 20, "predicted_n": 80}
    growing.feed(event(choices=[{"index": 0, "text": PARTS[0]}]))
    growing.feed(event(choices=[{"finish_reason": "length", "text": ""}], timings=timings))
    assert growing.ended(100) is not None
    growing.resume()
    assert growing.joined
    more = event(choices=[{"index": 0, "text": PARTS[0]}])
    assert growing.feed(more) == more
    assert growing.ended(200) is None
    assert growing.end() == b""


def test_numbers_that_are_none_stay_as_they_are() -> None:
    growing = first_full()
    growing.feed(delta(2, content="Rex"))
    said = delta(1, content='"usage"') + event(usage=None, choices=[]) + b': "timings"\n\n'
    assert growing.feed(said) == said


# -- in one piece --------------------------------------------------------------------------------


def whole(
    text: str | None, finish: str = "length", counts: tuple[int, int] = (20, 80), **more: Any
) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"content": text, **more}}
    usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": 0}
    return json.dumps({"id": f"id-{finish}", "choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize("repeats", [False, True])
def test_an_answer_in_one_piece_is_one(repeats: bool) -> None:
    growing = ContinuedAnswer(CHAT, ASKED, whole(PARTS[0]))
    assert growing.cached is None
    following = growing.ended(100)
    assert following is not None
    assert following.text == PARTS[0]
    begun = PARTS[0] if repeats else ""
    assert growing.joins(whole(begun + PARTS[1], counts=(100, 100)))
    assert growing.ended(200) is not None
    begun = PARTS[0] + PARTS[1] if repeats else ""
    assert growing.joins(whole(begun + PARTS[2], "stop", (200, 50)))
    assert growing.ended(400) is None
    answer = json.loads(growing.body)
    assert answer["choices"][0]["message"]["content"] == WHOLE
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["id"] == "id-length"
    usage = {"prompt_tokens": 20, "completion_tokens": 230, "total_tokens": 250}
    assert answer["usage"] == usage
    assert growing.cached == 0


def test_a_text_completion_is_put_together() -> None:
    def said(text: str) -> bytes:
        usage = {"prompt_tokens": 20, "completion_tokens": 80}
        return json.dumps(
            {"choices": [{"text": text, "finish_reason": "length"}], "usage": usage}
        ).encode()

    growing = ContinuedAnswer(COMPLETION, completion("a"), said(PARTS[0]))
    assert growing.ended(100) is not None
    assert growing.joins(said(PARTS[0]))
    assert json.loads(growing.body)["choices"][0]["text"] == 2 * PARTS[0]


def test_a_part_without_counts_is_the_last() -> None:
    growing = ContinuedAnswer(CHAT, ASKED, whole(PARTS[0]))
    assert growing.ended(100) is not None
    choice = {"message": {"content": PARTS[1]}, "finish_reason": "length"}
    assert growing.joins(json.dumps({"choices": [choice]}).encode())
    assert json.loads(growing.body)["choices"][0]["message"]["content"] == PARTS[0] + PARTS[1]
    assert growing.cached is None


@pytest.mark.parametrize("body", [whole(PARTS[0][:-1] + "#"), b"{", b"[]", b"{}"])
def test_what_is_no_continuation_is_no_part(body: bytes) -> None:
    growing = ContinuedAnswer(CHAT, ASKED, whole(PARTS[0]))
    assert growing.ended(100) is not None
    assert not growing.joins(body)
    assert growing.body == whole(PARTS[0])


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"choices":[7]}',
        b'{"choices":[{},{}]}',
        whole(PARTS[0], "stop"),
        whole(PARTS[0], counts=(20, 70)),
        whole(None),
        whole(PARTS[0], tool_calls=[{}]),
        whole(PARTS[0], reasoning_content="hm"),
        json.dumps({"choices": [{"finish_reason": "length", "text": PARTS[0]}]}).encode(),
    ],
)
def test_what_cannot_go_on_is_left_alone(body: bytes) -> None:
    growing = ContinuedAnswer(CHAT, ASKED, body)
    assert growing.ended(100) is None
    assert growing.body is body
