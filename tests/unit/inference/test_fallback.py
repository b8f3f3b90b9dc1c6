"""inference/fallback.py: another model is asked only before the first byte of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import result_of

from inference.fallback import FAILURES, NOT_LOADED, with_fallbacks
from server.codecs.collect import CollectingSink, Unheard
from utils.errors import (
    BadRequest,
    ContextLengthExceeded,
    EngineBroke,
    EngineOutOfMemory,
    EngineRefused,
    EngineStartFailed,
    EngineStartTimeout,
    GatewayError,
    QueueFull,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference.call import Sink


class Others:
    """The names of further models; those that begin with "!" cannot be asked.

    They answer after the errors in ``mended``.
    """

    def __init__(self, *names: str, mended: tuple[type[GatewayError], ...] = FAILURES) -> None:
        self.names = list(names)
        self.failed: list[str] = []
        self._mended = mended

    def after(self, error: GatewayError) -> bool:
        return isinstance(error, self._mended)

    @property
    def left(self) -> bool:
        return bool(self.names)

    async def following(self, call: Any, error: GatewayError) -> Any:
        self.failed.append(f"{call}: {type(error).__name__}")
        name = self.names.pop(0)
        if name.startswith("!"):
            raise BadRequest("no")
        return name


def answered(
    acts: dict[str, Sequence[object]],
    *others: str,
    mended: tuple[type[GatewayError], ...] = FAILURES,
) -> tuple[bytes, list[str]]:
    """Run the call "a"; a model writes bytes, raises errors, and refuses with a status."""
    sink, rest = CollectingSink(Unheard()), Others(*others, mended=mended)

    async def run(call: Any, to: Sink) -> None:
        for act in acts[call]:
            if isinstance(act, bytes):
                await to.begin(200, {})
                await to.write(act)
            elif isinstance(act, int):
                await to.refuse(act, {}, b"page")
            elif isinstance(act, Exception):
                raise act

    call: Any = "a"
    result_of(with_fallbacks(run, call, sink, rest))
    return sink.body, rest.failed


def test_the_first_that_answers_is_the_answer() -> None:
    assert answered({"a": [b"hello"]}, "b") == (b"hello", [])
    acts: dict[str, Sequence[object]] = {
        "a": [QueueFull("full", 1.0)],
        "b": [503],
        "c": [ContextLengthExceeded("c", 9, 8)],
        "d": [b"hello"],
    }
    failed = ["a: QueueFull", "b: EngineRefused", "c: ContextLengthExceeded"]
    assert answered(acts, "b", "c", "d") == (b"hello", failed)


def test_after_the_first_byte_there_is_no_way_back() -> None:
    with pytest.raises(EngineBroke):
        answered({"a": [b"hel", EngineBroke("broke")], "b": [b"hello"]}, "b")


def test_a_fault_of_the_request_is_told_at_once() -> None:
    with pytest.raises(BadRequest):
        answered({"a": [BadRequest("bad")], "b": [b"hello"]}, "b")
    # Passed on as the engine's own answer.
    assert answered({"a": [404], "b": [b"hello"]}, "b") == (b"", [])


def test_only_some_failures_are_for_others_to_mend() -> None:
    good: Sequence[object] = [b"hello"]
    for error in (EngineStartFailed("no"), EngineOutOfMemory("full"), EngineStartTimeout("late")):
        assert answered({"a": [error], "b": good}, "b", mended=NOT_LOADED)[0] == b"hello"
    for other in (EngineBroke("broke"), QueueFull("full", 1.0), ContextLengthExceeded("a", 9, 8)):
        with pytest.raises(type(other)):
            answered({"a": [other], "b": good}, "b", mended=NOT_LOADED)
    # The engine's own page is passed on.
    assert answered({"a": [503], "b": good}, "b", mended=NOT_LOADED) == (b"", [])


def test_the_last_error_is_told_and_models_that_cannot_be_asked_are_left_out() -> None:
    broken: dict[str, Sequence[object]] = {
        "a": [EngineBroke("a")],
        "b": [EngineRefused("b")],
        "c": [b"hello"],
    }
    assert answered(broken, "!x", "c")[0] == b"hello"
    with pytest.raises(EngineRefused, match="b"):
        answered(broken, "b")
    with pytest.raises(EngineBroke, match="a"):
        answered(broken, "!x")
