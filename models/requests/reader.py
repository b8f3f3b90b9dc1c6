"""Read the body of a request: bytes in, facts out. Pure.

The body is forwarded as it came. Only the configuration may change it (see ``shaping.py``).
A fault is refused here only if it would mislead the sizing; the engine checks the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

from models.requests.endpoints import TRANSCRIPTION, Endpoint
from models.requests.facts import Prompt, RequestFacts, Segment, Upload
from models.requests.fields import Json, decoded, model_of, output_of, stream_of
from models.requests.shaping import shape, take_keep_alive
from models.requests.transcription import output_of_form, stream_of_form, transcription

if TYPE_CHECKING:
    from models.spec import ModelSpec

__all__ = ["RequestFacts", "Segment", "Upload", "parse", "parse_form", "read"]


class Models(Protocol):
    """Finds models by their names."""

    def find(self, name: str | None) -> ModelSpec:
        """Return the model of this name, or the default; raise ModelNotFound or BadRequest."""
        ...


def read(
    endpoint: Endpoint, body: bytes, models: Models, named: str | None = None
) -> tuple[ModelSpec, RequestFacts]:
    """Return the model and the facts of ``body``, or raise ModelNotFound or BadRequest.

    The model's configuration may change the request first. ``named`` is a model that overrides
    the body's own. BadRequest names the fault and its field. The body is encoded anew only if
    something in it changed.

    This takes about 2 ms for each megabyte, so callers move large bodies off the event loop.
    """
    request = decoded(body)
    asked = model_of(request)
    model = models.find(named or asked)
    changed = shape(request, model, named or asked)
    return model, _facts(endpoint, request, body, asked, changed=changed)


def parse(endpoint: Endpoint, body: bytes) -> RequestFacts:
    """Return the facts of ``body`` without changes of a configuration; raise BadRequest."""
    request = decoded(body)
    return _facts(endpoint, request, body, model_of(request), changed=False)


def _facts(
    endpoint: Endpoint, request: Json, body: bytes, model: str | None, *, changed: bool
) -> RequestFacts:
    # After shaping, because strip_params may remove keep_alive and set_params may set it.
    taken, keep_alive = take_keep_alive(request)
    prompt = Prompt() if endpoint.read is None else endpoint.read(request)
    return RequestFacts(
        endpoint=endpoint,
        body=orjson.dumps(request) if changed or taken else body,
        model=model,
        # An endpoint that generates no tokens answers in one piece, even if a stream is wanted.
        stream=endpoint.generates and stream_of(request),
        max_output=_max_output(endpoint, request),
        keep_alive=keep_alive,
        segments=prompt.segments,
        prompts=prompt.prompts,
        prompt_ids=prompt.prompt_ids,
        prefilled=prompt.prefilled,
        needs=prompt.needs,
    )


def parse_form(
    model: str | None, fields: Json, sound: bytes, upload: Upload, keep_alive: float | None
) -> RequestFacts:
    """Return the facts of a form with a sound file, or raise BadRequest.

    ``sound`` is the digest of the file. ``fields`` are already shaped; ``model`` is the model
    that they named before that.
    """
    prompt = transcription(fields, sound)
    return RequestFacts(
        endpoint=TRANSCRIPTION,
        body=b"",
        model=model,
        stream=stream_of_form(fields),
        max_output=output_of_form(fields),
        keep_alive=keep_alive,
        segments=prompt.segments,
        needs=prompt.needs,
        upload=upload,
    )


def _max_output(endpoint: Endpoint, request: Json) -> int | None:
    if not endpoint.generates:
        return 0
    limit = output_of(request, endpoint.limits)
    return endpoint.default_output if limit is None else limit
