"""Body bytes in, facts out: what the gateway must know of a request to place it.

Pure. The body itself is kept as it came and forwarded untouched: nothing here
repairs it, and only what is configured (models/requests/shaping.py) changes it. Only what would
mislead the sizing is refused, the rest is the engine's business.
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
        """Return the model of this name, or the default; ModelNotFound or BadRequest if none."""
        ...


def read(
    endpoint: Endpoint, body: bytes, models: Models, named: str | None = None
) -> tuple[ModelSpec, RequestFacts]:
    """Decode ``body``, find its model, change what that model's configuration changes, read it.

    ``named`` is a model that goes before the body's own. BadRequest says what is wrong and in
    which field; the body is written anew only where something in it changed.

    Takes about 2 ms a megabyte, so callers move large bodies off the event loop.
    """
    request = decoded(body)
    asked = model_of(request)
    model = models.find(named or asked)
    changed = shape(request, model, named or asked)
    return model, _facts(endpoint, request, body, asked, changed=changed)


def parse(endpoint: Endpoint, body: bytes) -> RequestFacts:
    """Return the facts of ``body``, which no configuration changes; BadRequest as above."""
    request = decoded(body)
    return _facts(endpoint, request, body, model_of(request), changed=False)


def _facts(
    endpoint: Endpoint, request: Json, body: bytes, model: str | None, *, changed: bool
) -> RequestFacts:
    # Shaped first: strip_params can take it from clients, set_params can say it for them.
    taken, keep_alive = take_keep_alive(request)
    prompt = Prompt() if endpoint.read is None else endpoint.read(request)
    return RequestFacts(
        endpoint=endpoint,
        body=orjson.dumps(request) if changed or taken else body,
        model=model,
        # What is not written token by token comes in one piece, whatever was asked for.
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
    """The facts of a form with a sound file, whose digest is ``sound``; BadRequest as above.

    ``fields`` is already shaped, and ``model`` what it named before that: how a form changes
    is its own business.
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
