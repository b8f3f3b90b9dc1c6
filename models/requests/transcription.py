"""Read ``/v1/audio/transcriptions``: a form with text fields and a sound file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from models.requests.facts import Prompt, Segment
from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.fields import Json

_MOST_OUTPUT = 2**31 - 1
_STREAM = {"": False, "false": False, "true": True}


def transcription(fields: Json, sound: bytes) -> Prompt:
    """Return the prompt of the form; ``sound`` is the digest of the sound file."""
    text = " ".join(fields[name] for name in ("prompt", "language") if fields.get(name))
    nothing = Segment("", 0, 0, b"", verbatim=True)
    digest = hashlib.blake2b(text.encode(), key=sound, digest_size=16).digest()
    # Not verbatim: without a prompt from the client, the engine writes its own.
    asked = Segment(text, len(text.encode()), 1, digest, verbatim=False, sounds=1)
    return Prompt(segments=(nothing, asked), needs=frozenset({"audio"}))


def stream_of_form(fields: Json) -> bool:
    """Return whether the client wants a stream (a word in a form). Raises BadRequest."""
    stream = _STREAM.get(fields.get("stream", ""))
    if stream is None:
        raise BadRequest("'stream' must be true or false.", param="stream")
    return stream


def output_of_form(fields: Json) -> int | None:
    """Return the token limit of the form, or None if it sets none. Raises BadRequest."""
    value = fields.get("max_tokens", "")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > len(str(_MOST_OUTPUT)):
        raise BadRequest("'max_tokens' must be an integer.", param="max_tokens")
    return min(int(value), _MOST_OUTPUT)
