"""A form with files, kept until its request has ended, and sent to the engine in the same order.

The form is kept for three reasons: the model may be named after the file, the engine may have to
start first, and if it ends by itself the request is sent again. Files are in a ``Spool``, never in
memory as a whole.
"""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests.amount import of_sound
from models.requests.endpoints import TRANSCRIPTION, TRANSLATION
from models.requests.reader import (
    Fit,
    Models,
    RequestFacts,
    model_of,
    parse_form,
    shape,
    take_keep_alive,
)
from server.uploads.body import bodies_too_large
from server.uploads.spool import Spool
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from models.requests.amount import Amount
    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json
    from models.spec import ModelSpec

_MOST_PARTS = 128
# Bytes of all texts of a form together.
_MOST_TEXT = 1024 * 1024
_SOUNDS = (TRANSCRIPTION, TRANSLATION)
# The parameters that are not texts and that engines read from a form. They refuse other numbers.
_NUMBERS = ("temperature", "max_tokens", "stream", "audio_ctx", "temperature_inc", "n")


class _Part(NamedTuple):
    """A part of the form: a text, or the place of a file in the spool."""

    name: str
    head: bytes
    text: bytes | None
    start: int = 0
    size: int = 0


class Form:
    """A form as the engine gets it: an ``Upload``.

    ``take`` is asked before that number of bytes is kept in memory; it returns whether it may be.
    ``seconds`` is the length of the sound in the first file, as the file tells it; None while it is
    not known.
    """

    def __init__(self, take: Callable[[int], bool]) -> None:
        self._take = take
        self._boundary = secrets.token_hex(24)
        self._parts: list[_Part] = []
        self._spool = Spool(take)
        self._text_size = 0
        self._holders = 1
        self.seconds: float | None = None

    @property
    def content_type(self) -> str:
        """The content type, with the form's own boundary in place of the client's."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def size(self) -> int:
        """The length of the whole form in bytes, as ``chunks`` yields it."""
        ends = len(self._opening()) + len(b"\r\n\r\n") + len(b"\r\n")
        parts = (
            ends + len(part.head) + (part.size if part.text is None else len(part.text))
            for part in self._parts
        )
        return sum(parts) + len(self._end())

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The text fields, in their order."""
        return [
            (part.name, part.text.decode(errors="replace"))
            for part in self._parts
            if part.text is not None
        ]

    @property
    def file_size(self) -> int:
        """The length of the first file in bytes."""
        return self._first_file.size

    def file(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the first file alone."""
        part = self._first_file
        return self._spool.read(part.start, part.size)

    @property
    def _first_file(self) -> _Part:
        return next(part for part in self._parts if part.text is None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the form from the first boundary to the last."""
        for part in self._parts:
            opening = self._opening() + part.head + b"\r\n\r\n"
            if part.text is not None:
                yield opening + part.text + b"\r\n"
                continue
            yield opening
            async for piece in self._spool.read(part.start, part.size):
                yield piece
            yield b"\r\n"
        yield self._end()

    def share(self) -> None:
        """Keep the files for one more holder, which closes the form too."""
        self._holders += 1

    def close(self) -> None:
        """Remove the files, once each holder has called this."""
        self._holders -= 1
        if self._holders <= 0:
            self._spool.close()

    def read(
        self,
        endpoint: Endpoint,
        models: Models,
        named: str | None = None,
        fits: Mapping[str, Fit] = MappingProxyType({}),
        *,
        rename: bool = False,
    ) -> tuple[ModelSpec, RequestFacts]:
        """Find the form's model, apply its configured parameters, and return the request's facts.

        ``named`` overrides the model that the form names; with ``rename`` also in the form.
        What ``fits`` has for the model may change the texts, as those of a JSON request.
        """
        file = endpoint.files[0]
        if not any(part.name in endpoint.files and part.text is None for part in self._parts):
            raise BadRequest(f"The form has no part '{file}' with a filename.", param=file)
        texts = {
            part.name: part.text.decode(errors="replace")
            for part in self._parts
            if part.text is not None
        }
        fields: Json = dict(texts)
        if _is_number(fields.get("keep_alive", "")):
            fields["keep_alive"] = float(fields["keep_alive"])
        asked = model_of(fields)
        _, keep_alive = take_keep_alive(fields)
        model = models.asked(endpoint, fields, named or asked)
        if rename:
            fields["model"] = model.name
        shape(fields, model, named or asked)
        if (fit := fits.get(model.name)) is not None:
            fit(model.largest, endpoint, fields)
        shown = {name: _as_text(name, value) for name, value in fields.items()}
        wanted = {name: text for name, text in shown.items() if text is not None}
        self._parts = [part for part in self._parts if part.text is None or part.name in wanted]
        for name, text in wanted.items():
            if texts.get(name) != text:
                self._set(name, text)
        digest, amount = self._spool.digest, self._amount(endpoint)
        if amount is not None:
            amount.within(model)
        return model, parse_form(endpoint, asked, wanted, digest, self, keep_alive, amount)

    async def add(
        self,
        headers: Mapping[str, str],
        name: str,
        filename: str | None,
        pieces: AsyncIterator[bytes],
    ) -> None:
        """Read one more part to its end; a part without a filename is a text."""
        head = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
        raw = head.encode("utf-8", "surrogateescape")
        text, start = bytearray(), self._spool.size
        async for piece in pieces:
            if filename is not None:
                await self._spool.append(piece)
                continue
            text += piece
            self._text_size += len(piece)
            if not self._take(len(piece)):
                raise bodies_too_large()
            if self._text_size > _MOST_TEXT:
                raise BadRequest(f"The texts of the form exceed {_MOST_TEXT} bytes.", param=name)
        size = self._spool.size - start
        kept = bytes(text) if filename is None else None
        self._parts.append(_Part(name, raw, kept, start, size))
        if len(self._parts) > _MOST_PARTS:
            raise BadRequest(f"The form has more than {_MOST_PARTS} parts.")

    async def complete(self) -> None:
        """End the form: no part follows."""
        await self._spool.flush()
        file = next((part for part in self._parts if part.text is None), None)
        if file is not None:
            # Most gateways hear nothing, and start sooner without it.
            from engine.sound.lengths import seconds_of  # noqa: PLC0415 - see above

            self.seconds = await self._spool.look(file.start, file.size, seconds_of)

    def _amount(self, endpoint: Endpoint) -> Amount | None:
        """Return the seconds of a sound, if its file tells them."""
        return of_sound(self.seconds) if endpoint in _SOUNDS else None

    def _set(self, name: str, text: str) -> None:
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'Content-Disposition: form-data; name="{quoted}"'.encode()
        self._parts = [part for part in self._parts if part.text is None or part.name != name]
        self._parts.append(_Part(name, head, text.encode()))

    def _opening(self) -> bytes:
        return f"--{self._boundary}\r\n".encode()

    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()


def _as_text(name: str, value: Any) -> str | None:  # noqa: ANN401 - decoded JSON
    """Return the value of a field as text in a form; None if no engine reads it from a form."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if name in _NUMBERS else None


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal() and text.isascii()
