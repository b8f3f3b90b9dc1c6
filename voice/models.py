"""What a session asks of models; the server does it by the way of all requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from voice.told import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voice.history import ToolCall


class Answer(NamedTuple):
    """The end of a model's answer: the tools that it calls, and its tokens."""

    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()


class Spoken(NamedTuple):
    """Speech in the client's format."""

    sound: bytes
    seconds: float


class Models(Protocol):
    """Each method raises a GatewayError if there is no answer, and can be cancelled."""

    def hold(self) -> None:
        """Keep what a turn needs ready until ``release``, as far as that does not take too long."""

    def release(self) -> None:
        """Keep nothing ready any more."""

    async def hear(self, sound: bytes) -> str:
        """Return the text of a sound file."""
        ...

    async def hear_so_far(self, sound: bytes) -> str | None:
        """Return the text of speech that goes on; None where it would be in the way of others."""
        ...

    async def think(
        self, messages: list[dict[str, Any]], said: Callable[[str], Awaitable[None]]
    ) -> Answer:
        """Let the model answer; ``said`` takes its text as it comes."""
        ...

    async def read_ahead(self, messages: list[dict[str, Any]]) -> None:
        """Let the model read what it will be asked, as far as it is known, if it can do so now.

        It may be cancelled, and raises no GatewayError.
        """
        ...

    async def speak(self, text: str) -> Spoken:
        """Return the text as speech."""
        ...
