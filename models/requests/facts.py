"""What the gateway knows of a request: frozen values, and nothing that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from models.requests.endpoints import Endpoint


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

    endpoint: Endpoint
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
