"""Answers of /v1/messages and /v1/responses that fill their context, through a gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from gateway import Gateway, running_gateway, until
from growth_models import FIRST, LENGTH, PROMPT, WHOLE, growing
from raw_client import post

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fake_engine import Journal
    from gateway_client import Answer

HELLO = {"role": "user", "content": "hello"}


class Messages:
    """Asks as a client of Anthropic's API, and reads its answer."""

    path = "/v1/messages"
    body: Mapping[str, Any] = {"messages": [HELLO], "max_tokens": LENGTH}

    def begun(self, text: str) -> dict[str, Any]:
        return {**self.body, "messages": [HELLO, {"role": "assistant", "content": text}]}

    def added(self, text: str, begun: str) -> str:
        """What an answer has of a text that the client has begun: only what is new."""
        return text.removeprefix(begun)

    def text(self, answer: Answer) -> str:
        [block] = answer.json["content"]
        assert block["type"] == "text"
        return str(block["text"])

    def counts(self, answer: Any) -> tuple[int, int]:
        usage = answer["usage"]
        return usage["input_tokens"] + usage["cache_read_input_tokens"], usage["output_tokens"]

    def whole(self, answer: Answer, text: str, prompt: int, written: int) -> None:
        """Check that the answer is one message; return what it says of itself."""
        assert self.text(answer) == text
        assert self.counts(answer.json) == (prompt, written)
        assert answer.json["stop_reason"] == "max_tokens"

    def streamed(self, events: list[Any], text: str, prompt: int, written: int) -> None:
        """Check that the stream is one message; return what it says of itself."""
        kinds = [event["type"] for event in events]
        said = [event["delta"]["text"] for event in events[2:-3]]
        assert kinds[:2] == ["message_start", "content_block_start"]
        assert set(kinds[2:-3]) == {"content_block_delta"}
        assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
        assert "".join(said) == text
        read, _ = self.counts(events[0]["message"])
        assert read == prompt
        assert self.counts(events[-2]) == (prompt, written)
        assert events[-2]["delta"]["stop_reason"] == "max_tokens"


class Responses:
    """The same for the Responses API."""

    path = "/v1/responses"
    body: Mapping[str, Any] = {"input": "hello", "max_output_tokens": LENGTH}

    def begun(self, text: str) -> dict[str, Any]:
        begun = {"type": "message", "role": "assistant", "content": text}
        return {**self.body, "input": [HELLO, begun]}

    def added(self, text: str, begun: str) -> str:
        """What an answer has of a text that the client has begun: all of it."""
        assert text.startswith(begun)
        return text

    def text(self, answer: Answer) -> str:
        return self._said(answer.json)

    def counts(self, answer: Any) -> tuple[int, int]:
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        return usage["input_tokens"], usage["output_tokens"]

    def whole(self, answer: Answer, text: str, prompt: int, written: int) -> None:
        """The response is one, and tells these things of itself."""
        assert self.text(answer) == text
        assert self.counts(answer.json) == (prompt, written)
        assert answer.json["status"] == "incomplete"
        assert answer.json["incomplete_details"] == {"reason": "max_output_tokens"}

    def streamed(self, events: list[Any], text: str, prompt: int, written: int) -> None:
        """The stream is one response, and tells these things of itself."""
        kinds = [event["type"].removeprefix("response.") for event in events]
        said = [event["delta"] for event in events[4:-4]]
        assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
        assert set(kinds[4:-4]) == {"output_text.delta"}
        assert kinds[-4:] == [
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "incomplete",
        ]
        assert "".join(said) == text
        response = events[-1]["response"]
        assert {events[-4]["text"], events[-3]["part"]["text"], self._said(response)} == {text}
        assert events[-2]["item"] == response["output"][0]
        ids = {event["item_id"] for event in events if "item_id" in event}
        assert ids == {events[2]["item"]["id"]} == {response["output"][0]["id"]}
        assert response["id"] == events[0]["response"]["id"]
        assert self.counts(response) == (prompt, written)

    def _said(self, response: Any) -> str:
        [item] = response["output"]
        [part] = item["content"]
        return str(part["text"])


APIS = (Messages(), Responses())
Api = Messages | Responses
each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: type(api).__name__)


async def stream(gw: Gateway, api: Api, body: Mapping[str, Any]) -> list[Any]:
    """All events of the answer; their names are their types."""
    answer = await gw.post({**body, "stream": True}, api.path)
    assert answer.status == 200, answer.body
    events = []
    for each in answer.body.decode().split("\n\n"):
        lines = [line for line in each.split("\n") if line and not line.startswith(":")]
        if lines:
            name, data = lines
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
    return events


# -- one answer --------------------------------------------------------------------------------


@each_api
@pytest.mark.parametrize("prefill", ["", "silent"])
@pytest.mark.parametrize("contexts", [(128, 512), (128, 256, 512)])
async def test_a_stream_is_one(
    journal: Journal, api: Api, contexts: tuple[int, ...], prefill: str
) -> None:
    async with running_gateway(journal, growing(journal, *contexts, prefill=prefill)) as gw:
        events = await stream(gw, api, api.body)
        api.streamed(events, WHOLE, PROMPT, LENGTH)
        assert gw.starts() == list(contexts)


@each_api
@pytest.mark.parametrize("prefill", ["", "silent"])
async def test_an_answer_in_one_piece_is_one(journal: Journal, api: Api, prefill: str) -> None:
    model = growing(journal, 128, 256, 512, prefill=prefill)
    async with running_gateway(journal, model) as gw:
        answer = await gw.post(dict(api.body), api.path)
        api.whole(answer, WHOLE, PROMPT, LENGTH)
        assert answer.headers["X-Gateway-Variant"] == "m@512"
        assert gw.starts() == [128, 256, 512]


@each_api
async def test_an_answer_that_the_client_began_is_continued(journal: Journal, api: Api) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        body = api.begun("hello.0 hello.1")
        answer = await gw.post(body, api.path)
        # The limit is of what was added.
        more = f"{WHOLE} hello.300 hello.301"
        api.whole(answer, api.added(more, "hello.0 hello.1"), PROMPT + 2, LENGTH)
        assert gw.starts() == [128, 512]


@each_api
async def test_the_books_tell_of_the_whole(
    journal: Journal, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        await stream(gw, api, api.body)
        line = f"completion={LENGTH} "
        await until(lambda: any("variant=m@512" in m and line in m for m in caplog.messages))


# -- no continuation -----------------------------------------------------------------------------


async def ends(gw: Gateway, api: Api, body: Mapping[str, Any]) -> None:
    """The answer ends as the smallest engine ended it, streamed or not."""
    api.whole(await gw.post(dict(body), api.path), FIRST, PROMPT, 128 - PROMPT)
    api.streamed(await stream(gw, api, body), FIRST, PROMPT, 128 - PROMPT)


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        (APIS[0], {"stop_sequences": ["2 and more"]}),
        (APIS[1], {"stop": ["2 and more"]}),
        (APIS[1], {"top_logprobs": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_is_not_exact_ends(journal: Journal, api: Api, fields: dict[str, Any]) -> None:
    async with running_gateway(journal, growing(journal, 128, 512)) as gw:
        await ends(gw, api, {**api.body, **fields})
        assert gw.starts() == [128]


@each_api
@pytest.mark.parametrize("prefill", ["refuse", "anew"])
async def test_a_template_that_takes_no_beginning_starts_nothing(
    journal: Journal, api: Api, prefill: str
) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, prefill=prefill)) as gw:
        await ends(gw, api, api.body)
        assert gw.starts() == [128]


@each_api
async def test_it_can_be_turned_off(journal: Journal, api: Api) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, grow_answers=False)) as gw:
        # Then all that is asked for must have room at once.
        answer = await gw.post(dict(api.body), api.path)
        api.whole(answer, WHOLE, PROMPT, LENGTH)
        assert gw.starts() == [512]


@each_api
@pytest.mark.parametrize(
    "faults",
    [
        {"exit_code": 3},
        {"prefill": "refuse"},
        {"prefill": "similar"},
        {"status": 500},
        {"die_at": "request"},
        {"die_at": "headers"},
        {"error_at": "0"},
    ],
    ids=lambda faults: "-".join(map(str, *faults.items())),
)
async def test_the_engines_own_end_stands(
    journal: Journal, api: Api, faults: Mapping[str, Any]
) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, large=faults)) as gw:
        events = await stream(gw, api, api.body)
        api.streamed(events, FIRST, PROMPT, 128 - PROMPT)
        assert gw.starts()[:2] == [128, 512]


@each_api
@pytest.mark.parametrize("faults", [{"exit_code": 3}, {"prefill": "similar"}, {"status": 500}])
async def test_also_of_an_answer_in_one_piece(
    journal: Journal, api: Api, faults: Mapping[str, Any]
) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, large=faults)) as gw:
        answer = await gw.post(dict(api.body), api.path)
        api.whole(answer, FIRST, PROMPT, 128 - PROMPT)
        assert answer.headers["X-Gateway-Variant"] == "m@128"


@each_api
async def test_an_engine_that_dies_in_its_part_is_told(journal: Journal, api: Api) -> None:
    async with running_gateway(journal, growing(journal, 128, 512, large={"die_at": 7})) as gw:
        client = await gw.connect()
        body = {**api.body, "model": "m", "stream": True}
        await client.send(post(api.path, json.dumps(body).encode()))
        await client.head()
        while await client.chunk():
            pass
        told = b"".join(client.chunks).decode()
        last = told.strip().split("\n\n")[-1]
        error = json.loads(last.partition("data: ")[2])
        if api is APIS[0]:
            assert last.startswith("event: error\n")
        else:
            assert last.startswith("event: response.failed\n")
            error = error["response"]
        assert "m@512" in error["error"]["message"]
        deltas = [each for each in told.split("\n\n") if "delta\n" in each]
        assert "".join(deltas).count("hello.129") == 1
        assert "message_stop" not in told
        assert "response.completed" not in told
