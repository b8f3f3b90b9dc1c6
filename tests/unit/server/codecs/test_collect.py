"""server/codecs/collect.py: an answer is collected, an error answer passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.codecs.collect import CollectingSink, Unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Client:
    """Where an error answer goes; ``translates`` it itself, or not."""

    def __init__(self, *, translates: bool = False) -> None:
        self.decided: dict[str, str] = {}
        self.progress: Callable[[], str] | None = None
        self.begun = False
        self.got: list[tuple[int, bytes]] = []
        self._translates = translates

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        raise AssertionError(status, headers)

    async def write(self, chunk: bytes) -> None:
        raise AssertionError(chunk)

    def outlet(self) -> None:
        """Return None: pieces are written."""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        assert headers == {"A": "b"}
        self.got.append((status, body))

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        assert headers == {"A": "b"}
        if self._translates:
            self.got.append((status, b"translated " + body))
        return self._translates

    async def end(self) -> None:
        raise AssertionError


async def test_an_answer_in_pieces_or_whole() -> None:
    client = Client()
    sink = CollectingSink(client)
    await sink.begin(200, {})
    await sink.write(b"a")
    await sink.write(b"b")
    await sink.end()
    assert (sink.body, sink.refused, sink.begun, client.got) == (b"ab", False, False, [])
    whole = CollectingSink(client)
    await whole.answer(200, {}, b"all")
    assert whole.body == b"all"


async def test_an_error_answer_is_passed_on_once() -> None:
    for translates, body in ((False, b"no"), (True, b"translated no")):
        client = Client(translates=translates)
        sink = CollectingSink(client)
        assert await sink.refuse(400, {"A": "b"}, b"no")
        assert sink.refused
        assert client.got == [(400, body)]


async def test_what_is_decided_reaches_the_client() -> None:
    client = Client()
    sink = CollectingSink(client)
    sink.decided = {"X": "1"}
    sink.progress = lambda: "queued"
    assert client.decided == sink.decided == {"X": "1"}
    assert client.progress is sink.progress


async def test_nobody_hears_of_an_answer() -> None:
    sink = CollectingSink(Unheard())
    await sink.write(b"tokens")
    await sink.end()
    assert sink.body == b"tokens"
    assert await sink.refuse(400, {}, b"no")
    assert sink.refused
    nobody = Unheard()
    await nobody.begin(200, {})
    await nobody.write(b"x")
    await nobody.answer(200, {}, b"x")
    nobody.outlet()
    await nobody.end()
    assert not nobody.begun
