"""The ``options`` of a request to Ollama's API, as fields of a request to an engine. Pure.

1. An option for sampling becomes the engine's field of that meaning.
2. ``num_ctx`` is the context that the request wants. It chooses a variant, and changes no engine.
3. An option about how a model is loaded changes nothing: the configuration decides that.
4. An unknown option changes nothing, as in Ollama. ``unused`` names it, as in rule 3.
5. A value of a wrong type is refused, and null says nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.requests.fields import Json, named
from utils.errors import BadRequest

# Options whose values are integers, and the engine's field.
_INTEGERS = {
    "num_keep": "n_keep",
    "num_predict": "max_tokens",
    "seed": "seed",
    "top_k": "top_k",
    "repeat_last_n": "repeat_last_n",
    "mirostat": "mirostat",
}
# Options whose values are numbers; the engine's field has the same name.
_NUMBERS = frozenset(
    {
        "temperature",
        "top_p",
        "min_p",
        "typical_p",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "mirostat_tau",
        "mirostat_eta",
    }
)
# What engines and JSON can take.
_LARGEST_INTEGER = 2**63
# More than any model has; a larger number would be no count of tokens.
_LARGEST_CONTEXT = 2**31 - 1


class Options(NamedTuple):
    """``fields`` are for the engine; ``context`` is the wanted context in tokens, 0 for any.

    ``unused`` names the options that change nothing.
    """

    fields: Json
    context: int = 0
    unused: tuple[str, ...] = ()


def options_of(request: Json) -> Options:
    """Return the options of a request; raise BadRequest where one has a value of a wrong type."""
    given = request.get("options")
    if given is None:
        return Options({})
    if not isinstance(given, dict):
        raise BadRequest(f"'options' must be an object, not {named(given)}.", param="options")
    fields: Json = {}
    unused = []
    context = 0
    for name, value in given.items():
        if value is None:
            continue
        if name in _INTEGERS:
            fields[_INTEGERS[name]] = _integer(name, value)
        elif name in _NUMBERS:
            fields[name] = _number(name, value)
        elif name == "stop":
            fields["stop"] = _texts(name, value)
        elif name == "num_ctx":
            context = min(max(0, _integer(name, value)), _LARGEST_CONTEXT)
        else:
            unused.append(name)
    if fields.get("max_tokens", 0) < 0:
        # No limit, which is an engine's default.
        del fields["max_tokens"]
    return Options(fields, context, tuple(unused))


def _integer(name: str, value: Any) -> int:  # noqa: ANN401 - decoded JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "an integer", value)
    if not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        where = f"options.{name}"
        raise BadRequest(f"'{where}' is out of range.", param=where)
    return int(value)


def _number(name: str, value: Any) -> int | float:  # noqa: ANN401 - decoded JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number", value)
    return value


def _texts(name: str, value: Any) -> list[str]:  # noqa: ANN401 - decoded JSON
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _wrong(name, "an array of strings", value)
    return [text for text in texts if text]


def _wrong(name: str, wanted: str, value: Any) -> BadRequest:  # noqa: ANN401 - decoded JSON
    where = f"options.{name}"
    return BadRequest(f"'{where}' must be {wanted}, not {named(value)}.", param=where)
