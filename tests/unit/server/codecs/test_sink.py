"""server/codecs/sink.py: whole or streamed, whatever the engine does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from server.codecs.deltas import Text
from server.codecs.sink import TranslatingSink
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from server.codecs.deltas import Delta
    from utils.errors import GatewayError

EVENTS = {"Content-Type": "text/event-stream"}
WHOLE = {"content-type": "application/json"}
BODY = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
STREAM = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n'


class Upper:
    """An API of capital letters."""

    content_type = "application/x-ndjson"

    def __init__(self) -> None:
        self.said = ""

    def begin(self) -> bytes:
        return b"<"

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        new = "".join(d.text.upper() for d in deltas if isinstance(d, Text))
        self.said += new
        return new.encode()

    def end(self) -> bytes:
        return b">"

    def fail(self, error: GatewayError) -> bytes:
        return error.message.encode()

    def whole(self) -> bytes:
        return f"[{self.said}]".encode()


class Client:
    """Notes what it gets."""

    def __init__(self, *, begun: bool = False, translates: bool = False) -> None:
        self.decided: dict[str, str] = {}
        self.progress: Callable[[], str] | None = None
        self.begun = begun
        self.got = b""
        self.begins: list[tuple[int, str | None]] = []
        self.ends = 0
        self.status = 0
        self._translates = translates

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.begun = True
        self.begins.append((status, headers.get("Content-Type")))

    async def write(self, chunk: bytes) -> None:
        self.got += chunk

    def outlet(self) -> None:
        """Return None: pieces are written."""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        assert {n.lower(): v for n, v in headers.items()}["content-type"].startswith(
            "application/json"
        )
        self.begun, self.status, self.got = True, status, body

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        assert (status, dict(headers)) == (400, WHOLE)
        if self._translates:
            self.got = b"translated " + body
        return self._translates

    async def end(self) -> None:
        self.ends += 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("engine_streams", [True, False])
async def test_the_client_gets_what_it_asked_for(stream: bool, engine_streams: bool) -> None:
    client = Client()
    sink = TranslatingSink(client, Upper(), stream=stream)
    if engine_streams:
        await sink.begin(200, EVENTS)
        for at in range(0, len(STREAM), 7):
            await sink.write(STREAM[at : at + 7])
    else:
        await sink.answer(200, WHOLE, BODY)
    await sink.end()
    await sink.end()
    assert client.ends == 1
    assert client.got == (b"<HI>" if stream else b"[HI]")
    assert client.begins == ([(200, "application/x-ndjson")] if stream else [])
    assert sink.begun


async def test_later_decisions_are_told_in_a_stream_alone() -> None:
    for stream, told in ((True, 2), (False, 0)):
        client = Client()
        sink = TranslatingSink(client, Upper(), stream=stream)
        await sink.begin(200, EVENTS)
        sink.decided = {"X-Gateway-Variant": "m@512"}
        await sink.begin(200, {})
        assert len(client.begins) == told
        assert client.decided == sink.decided == {"X-Gateway-Variant": "m@512"}


async def test_an_error_in_the_middle_is_raised_after_what_was_said() -> None:
    client = Client()
    sink = TranslatingSink(client, Upper(), stream=True)
    await sink.begin(200, EVENTS)
    failed = b'data: {"error": {"message": "broken"}}\n\n'
    with pytest.raises(EngineRefused, match="broken"):
        await sink.write(STREAM.replace(b"data: [DONE]\n\n", failed))
    assert client.got == b"<HI"


async def test_a_whole_answer_that_is_none_is_an_error() -> None:
    client = Client()
    sink = TranslatingSink(client, Upper(), stream=False)
    await sink.answer(200, {}, b"nonsense")
    with pytest.raises(EngineRefused):
        await sink.end()
    assert not client.begun


async def test_an_error_page_is_passed_on_in_the_shape_of_the_api() -> None:
    page = b'{"error": {"message": "too hot"}}'
    client = Client(translates=True)
    sink = TranslatingSink(client, Upper(), stream=True)
    assert await sink.refuse(400, WHOLE, page)
    await sink.end()
    assert client.got == b"translated " + page
    client = Client()
    assert await TranslatingSink(client, Upper(), stream=False).refuse(400, WHOLE, page)
    assert (client.status, client.got) == (400, page)
    begun = TranslatingSink(Client(begun=True), Upper(), stream=True)
    with pytest.raises(EngineRefused, match=r"answered 400\. too hot"):
        await begun.refuse(400, WHOLE, page)


async def test_progress_is_that_of_the_client() -> None:
    client = Client()
    sink = TranslatingSink(client, Upper(), stream=True)
    sink.progress = lambda: "waiting"
    assert client.progress is sink.progress
