"""The facts of a request, as frozen values. Other files make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from models.requests.amount import Amount
    from models.requests.endpoints import Endpoint


class Segment(NamedTuple):
    """A piece of the prompt.

    * ``size``: the length of the text in UTF-8 bytes.
    * ``media``: the number of media parts; ``sounds``: how many of them are audio.
    * ``digest``: covers the prompt up to the end of this segment.
    * ``verbatim``: every template prints the whole text. This is so for messages to the model;
      its earlier answers may lose their reasoning.
    """

    text: str
    size: int
    media: int
    digest: bytes
    verbatim: bool
    sounds: int = 0


class Upload(Protocol):
    """A body that is stored outside memory and can be sent more than once.

    ``seconds`` is the length of the sound in its first file, None while it is not known; an engine
    that decodes the file sets it.
    """

    seconds: float | None

    @property
    def size(self) -> int:
        """The length in bytes."""

    @property
    def content_type(self) -> str:
        """The content type, with all parameters that a reader needs."""

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The text fields of the form, in their order."""

    @property
    def file_size(self) -> int:
        """The length of the form's first file in bytes."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield all bytes, from the first to the last."""

    def file(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the form's first file alone."""

    def share(self) -> None:
        """Keep the storage for one more holder, which closes it too."""

    def close(self) -> None:
        """Free the storage, once each holder has called this."""


class Prompt(NamedTuple):
    """The prompt that a reader found in a request.

    * ``segments``: the preamble (tools and the like), then each message.
    * ``prompts``: the texts of a request without messages.
    * ``prompt_ids``: the length of its longest prompt in token ids.
    * ``prefilled``: the last message is the assistant's; the engine continues it.
    * ``needs``: the capabilities beside text that the model must have.
    * ``amount``: its size, where that is not counted in tokens and known.
    """

    segments: tuple[Segment, ...] = ()
    prompts: tuple[str, ...] = ()
    prompt_ids: int = 0
    prefilled: bool = False
    needs: frozenset[str] = frozenset()
    amount: Amount | None = None


class RequestFacts(NamedTuple):
    """The facts of a request.

    * ``body``: what the engine gets. For a large body ``upload`` takes its place; its reader
      closes it.
    * ``max_output``: the client's token limit; None if it set none.
    * ``keep_alive``: how many seconds without a request the model stays loaded after this one;
      may be infinity; None if the client did not say.
    * ``answers``: how many answers the client wants to its prompt.
    * ``context``: the context in tokens that the client wants, beyond what its request needs; 0 if
      it wants none.
    * The other fields are those of ``Prompt``.
    """

    endpoint: Endpoint
    body: bytes
    model: str | None
    stream: bool
    max_output: int | None
    keep_alive: float | None = None
    answers: int = 1
    context: int = 0
    segments: tuple[Segment, ...] = ()
    prompts: tuple[str, ...] = ()
    prompt_ids: int = 0
    prefilled: bool = False
    needs: frozenset[str] = frozenset()
    upload: Upload | None = None
    amount: Amount | None = None
