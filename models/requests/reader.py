"""Read the body of a request: bytes in, facts out. Pure.

The body is forwarded as it came. Only the model's configuration may change it:
see ``shape``. A fault is refused here only if it would mislead the sizing; the engine checks the
rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from models.requests.endpoints import CHAT, COMPLETION, INFILL, Endpoint
from models.requests.facts import Prompt, RequestFacts, Segment, Upload
from models.requests.fields import Json, named
from models.requests.transcription import output_of_form, stream_of_form
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.requests.amount import Amount
    from models.spec import ModelSpec, VariantSpec


__all__ = [
    "RequestFacts",
    "Segment",
    "Upload",
    "decoded",
    "model_of",
    "output_of",
    "parse",
    "parse_form",
    "read",
    "stream_of",
]
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)")
# The longest text to match: the pattern would take long for a text of megabytes.
_LONGEST = 64
_MISSING = object()
# The engine's limit: a 32-bit integer.
_MOST_OUTPUT = 2**31 - 1
# Real requests are far below this. Each level adds four characters to every indented line.
_DEEPEST = 100
# What can be asked for several answers.
_SEVERAL = (CHAT, COMPLETION, INFILL)


class Models(Protocol):
    """Finds models by their names."""

    def asked(self, endpoint: Endpoint, request: Json, name: str | None) -> ModelSpec:
        """Return the model of this name, or the only one; raise ModelNotFound or RouteNeeded."""
        ...


# Changes a request for a variant so that its engine ignores nothing in it; says if it changed.
Fit = Callable[["VariantSpec", Endpoint, Json], bool]


def read(
    endpoint: Endpoint,
    body: bytes | Json,
    models: Models,
    named: str | None = None,
    fits: Mapping[str, Fit] = MappingProxyType({}),
    *,
    rename: bool = False,
) -> tuple[ModelSpec, RequestFacts]:
    """Return the model and the facts of ``body``, or raise ModelNotFound or BadRequest.

    RouteNeeded, a BadRequest, says that the models must be compared first.

    The model's configuration may change the request first, then what ``fits`` has for the model.
    ``named`` is a model that overrides the body's own; with ``rename``, the engine gets its name.
    BadRequest names the fault and its field. The body is encoded anew only if something in it
    changed, or if it was decoded, and translated, before.

    This takes about 2 ms for each megabyte, so callers move large bodies off the event loop.
    """
    request, whole = (decoded(body), body) if isinstance(body, bytes) else (body, None)
    asked = model_of(request)
    model = models.asked(endpoint, request, named or asked)
    changed = model.shapes and shape(request, model, named or asked)
    fit = fits.get(model.name)
    if fit is not None and fit(model.largest, endpoint, request):
        changed = True
    if rename and model.upstream_model is None and request.get("model") != model.name:
        request["model"] = model.name
        changed = True
    facts = _facts(endpoint, request, whole, asked, changed=changed)
    if facts.amount is not None:
        facts.amount.within(model)
    return model, facts


def parse(endpoint: Endpoint, body: bytes) -> RequestFacts:
    """Return the facts of ``body`` without changes of a configuration; raise BadRequest."""
    request = decoded(body)
    return _facts(endpoint, request, body, model_of(request), changed=False)


def decoded(body: bytes) -> Json:
    """Return ``body`` as a JSON object; raise BadRequest if it is none or nested too deep."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The message has a position and a cause, never the text itself.
        raise BadRequest(f"The body is not valid JSON: {error.msg} at byte {error.pos}.") from None
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > _DEEPEST and _nesting_exceeds(request, _DEEPEST):
        raise BadRequest(f"The body is nested more than {_DEEPEST} levels deep.")
    return request


def model_of(request: Json) -> str | None:
    """Return the name of the requested model, or None. Raises BadRequest."""
    model = request.get("model")
    if model is not None and not isinstance(model, str):
        raise BadRequest(f"'model' must be a string, not {named(model)}.", param="model")
    return model or None


def stream_of(request: Json) -> bool:
    """Return whether the client wants a stream. Raises BadRequest."""
    stream = request.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest(f"'stream' must be true or false, not {named(stream)}.", param="stream")
    return bool(stream)


def output_of(request: Json, fields: tuple[str, ...]) -> int | None:
    """Return the largest token limit in ``fields``, or None if they set none.

    Raises BadRequest.
    """
    limits: list[int] = []
    for field in fields:
        value = request.get(field)
        if value is None:
            continue
        if type(value) is int and 0 <= value <= _MOST_OUTPUT:
            limits.append(value)
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadRequest(f"'{field}' must be an integer, not {named(value)}.", param=field)
        if value > _MOST_OUTPUT:
            raise BadRequest(f"'{field}' must not exceed {_MOST_OUTPUT}.", param=field)
        # Engines read a negative number as "no limit".
        if value >= 0:
            limits.append(value)
    return max(limits, default=None)


def _answers_of(request: Json) -> int:
    """Return how many answers the request wants. Raises BadRequest.

    Some engines have a name of their own for ``n``, which counts before it.
    """
    field = "n" if request.get("n_cmpl") is None else "n_cmpl"
    value = request.get(field)
    if value is None:
        return 1
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"'{field}' must be an integer, not {named(value)}.", param=field)
    if value < 1:
        raise BadRequest(f"'{field}' must be at least 1.", param=field)
    return value


def _facts(
    endpoint: Endpoint, request: Json, body: bytes | None, model: str | None, *, changed: bool
) -> RequestFacts:
    # After shaping, because strip_params may remove keep_alive and set_params may set it.
    taken, keep_alive = False, None
    if "keep_alive" in request:
        taken, keep_alive = take_keep_alive(request)
    prompt = Prompt() if endpoint.read is None else endpoint.read(request)
    limit = output_of(request, endpoint.limits) if endpoint.generates else 0
    answers = 1
    if endpoint in _SEVERAL and ("n" in request or "n_cmpl" in request):
        answers = _answers_of(request)
    return RequestFacts(
        endpoint=endpoint,
        body=orjson.dumps(request) if body is None or changed or taken else body,
        model=model,
        # An endpoint that generates no tokens answers in one piece, even if a stream is wanted.
        stream=endpoint.generates and stream_of(request),
        max_output=endpoint.default_output if limit is None else limit,
        keep_alive=keep_alive,
        answers=answers,
        segments=prompt.segments,
        prompts=prompt.prompts,
        prompt_ids=prompt.prompt_ids,
        prefilled=prompt.prefilled,
        needs=prompt.needs,
        amount=prompt.amount,
    )


def parse_form(
    endpoint: Endpoint,
    model: str | None,
    fields: Json,
    files: bytes,
    upload: Upload,
    keep_alive: float | None,
    amount: Amount | None = None,
) -> RequestFacts:
    """Return the facts of a form with files, or raise BadRequest.

    ``files`` is the digest of the files, ``amount`` the length of its sound. ``fields`` are already
    shaped; ``model`` is the model that they named before that.
    """
    prompt = Prompt() if endpoint.read_form is None else endpoint.read_form(fields, files)
    return RequestFacts(
        endpoint=endpoint,
        body=b"",
        model=model,
        stream=stream_of_form(fields),
        max_output=output_of_form(fields) if endpoint.generates else 0,
        keep_alive=keep_alive,
        segments=prompt.segments,
        needs=prompt.needs,
        upload=upload,
        amount=amount,
    )


def shape(request: Json, model: ModelSpec, asked: str | None) -> bool:
    """Change ``request`` as the model's configuration says; return whether anything changed.

    First ``strip_params`` apply, then ``set_params``, then the parameters of the alias ``asked``.
    A later step overrides an earlier one.
    """
    changed = False
    for name in model.strip_params:
        changed |= request.pop(name, _MISSING) is not _MISSING
    for params in (model.set_params, model.params_of(asked or "")):
        if params:
            changed |= _set(request, params)
    if model.upstream_model is not None:
        changed |= _set(request, {"model": model.upstream_model})
    return changed


def take_keep_alive(request: Json) -> tuple[bool, float | None]:
    """Remove ``keep_alive`` from the request; return whether it was there, and its seconds.

    It means what it means for Ollama: a number of seconds, or a text such as ``"5m"``; 0 unloads
    the model after the answer, and a negative value never does (infinity here). None sets nothing.
    Raises BadRequest.
    """
    value = request.pop("keep_alive", _MISSING)
    if value is _MISSING:
        return False, None
    return True, None if value is None else _seconds(value)


def _seconds(value: Any) -> float:  # noqa: ANN401 - decoded JSON
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRequest(
            f"'keep_alive' must be a number of seconds or a text such as \"5m\", not"
            f" {named(value)}.",
            param="keep_alive",
        )
    if isinstance(value, str):
        if len(value) > _LONGEST or not _DURATION.fullmatch(value):
            raise BadRequest(
                '\'keep_alive\' must be a duration such as "5m", "1h30m" or "-1m".',
                param="keep_alive",
            )
        total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
        value = -total if value.startswith("-") else total
    return math.inf if value < 0 else float(value)


def _set(request: Json, params: Mapping[str, Any]) -> bool:
    changed = False
    for name, value in params.items():
        before = request.get(name, _MISSING)
        # In JSON 1, 1.0 and true are different; in Python they are equal.
        if type(before) is not type(value) or before != value:
            request[name] = value
            changed = True
    return changed


def _nesting_exceeds(outermost: Json, levels: int) -> bool:
    level: list[Any] = [outermost]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
