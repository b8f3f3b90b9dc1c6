"""What the gateway knows of a request: frozen values, and nothing that makes them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Kind(Enum):
    """How a request's prompt is written."""

    CHAT = "chat"
    COMPLETION = "completion"
    INFILL = "infill"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    # A form with a sound file, which is larger than what is kept in memory.
    TRANSCRIPTION = "transcription"
    # Asks the model's engine something that takes no room in its context.
    AUXILIARY = "aside"

    @property
    def generates(self) -> bool:
        """Whether the answer is written token by token, and so needs room beside the prompt."""
        return self not in _NOT_WRITTEN

    @property
    def grows(self) -> bool:
        """Whether an answer that fills its context can go on in a larger one."""
        return self in _GROWING

    @property
    def sized(self) -> bool:
        """Whether the request takes room in the context at all."""
        return self is not Kind.AUXILIARY

    @property
    def cut_to_fit(self) -> bool:
        """Whether the engine shortens a prompt that is too long instead of refusing it."""
        return self is Kind.INFILL


# A tuple is searched by identity; a set would ask each time for a hash, which is Python code.
_NOT_WRITTEN = (Kind.EMBEDDINGS, Kind.RERANK, Kind.AUXILIARY)
_GROWING = (Kind.CHAT, Kind.COMPLETION, Kind.MESSAGES, Kind.RESPONSES)


class Segment(NamedTuple):
    """A piece of the prompt.

    ``size`` is the text's length in UTF-8 bytes, ``media`` the number of images and the like,
    ``digest`` covers the prompt up to this segment's end, and ``verbatim`` says that any
    template prints the whole text, as it does with what others said to the model; earlier
    answers may lose their reasoning. ``sounds`` are the audio parts among ``media``.
    """

    text: str
    size: int
    media: int
    digest: bytes
    verbatim: bool
    sounds: int = 0


class Upload(Protocol):
    """A body that is not kept in memory; it can be sent more than once."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    @property
    def content_type(self) -> str:
        """What it is, with everything that its reader must know."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, from the first to the last."""

    def close(self) -> None:
        """What it took is free. Harmless when called again."""


class Prompt(NamedTuple):
    """What a reader found in a request.

    ``segments`` holds the preamble (tools and the like) and then each message; ``prompts``
    and ``prompt_ids`` (the length of the longest prompt given as token ids) are those of
    requests without messages. ``prefilled`` says that the last message is the assistant's,
    which the engine continues instead of closing. ``needs`` names what else than text the
    model must be capable of.
    """

    segments: tuple[Segment, ...] = ()
    prompts: tuple[str, ...] = ()
    prompt_ids: int = 0
    prefilled: bool = False
    needs: frozenset[str] = frozenset()


class RequestFacts(NamedTuple):
    """A request as the gateway sees it; ``max_output`` is None where the client set no limit.

    ``body`` is what the engine gets. ``keep_alive`` is how many seconds without a request the
    model shall stay loaded after this one; infinity, or None where the client did not say.
    ``upload`` stands for ``body`` where that would be too large; whoever reads closes it.

    The fields of ``Prompt`` stand here again, for whoever sizes.
    """

    kind: Kind
    body: bytes
    model: str | None
    stream: bool
    max_output: int | None
    keep_alive: float | None = None
    segments: tuple[Segment, ...] = ()
    prompts: tuple[str, ...] = ()
    prompt_ids: int = 0
    prefilled: bool = False
    needs: frozenset[str] = frozenset()
    upload: Upload | None = None
