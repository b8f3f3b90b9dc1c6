"""Body bytes in, facts out: what the gateway must know of a request to place it.

Pure. The body itself is kept as it came and forwarded untouched; nothing here
changes or repairs it. Only what would mislead the sizing is refused, the rest
is the engine's business.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]

# Fields, in the order in which engines read them, that limit the answer.
_OUTPUT_FIELDS = ("max_tokens", "max_completion_tokens", "n_predict")
# The engine's own limit: a 32-bit integer.
_MOST_OUTPUT = 2**31 - 1
# Fields beside the messages that chat templates print into the prompt.
_PREAMBLE_FIELDS = ("tools", "functions", "response_format", "chat_template_kwargs", "json_schema")
_MEDIA = ("image_url", "input_audio", "input_image", "video_url", "input_video")
# What templates print around these is in the allowance for a message.
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# No request in use comes near it, while every level lengthens each indented line by four.
_DEEPEST = 100
# Beyond, indentation would only multiply memory; the engine has the last word anyway.
_MOST_INDENTED = 1024 * 1024


class Kind(Enum):
    """How a request's prompt is written."""

    CHAT = "chat"
    COMPLETION = "completion"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the prompt.

    ``size`` is the text's length in UTF-8 bytes, ``media`` the number of images and the like,
    ``digest`` covers the prompt up to this segment's end, and ``verbatim`` says that any
    template prints the whole text, as it does with what others said to the model; earlier
    answers may lose their reasoning.
    """

    text: str
    size: int
    media: int
    digest: bytes
    verbatim: bool


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """A request as the gateway sees it.

    ``segments`` holds the preamble (tools and the like) and then each message; ``prompts``
    and ``prompt_ids`` (the length of the longest prompt given as token ids) are a
    completion's. ``max_output`` is None where the client set no limit. ``prefilled`` says
    that the last message is the assistant's, which the engine continues instead of closing.
    """

    kind: Kind
    body: bytes
    model: str | None
    stream: bool
    max_output: int | None
    segments: tuple[Segment, ...] = ()
    prompts: tuple[str, ...] = ()
    prompt_ids: int = 0
    prefilled: bool = False


def parse(kind: Kind, body: bytes) -> RequestFacts:
    """The facts of ``body``; BadRequest says what is wrong and in which field.

    Takes about 2 ms a megabyte, so callers move large bodies off the event loop.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The message holds a position and a cause, never the text itself.
        raise BadRequest(f"The body is not valid JSON: {error.msg} at byte {error.pos}.") from None
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > _DEEPEST and _nesting_exceeds(request, _DEEPEST):
        raise BadRequest(f"The body is nested more than {_DEEPEST} levels deep.")
    texts: tuple[str, ...] = ()
    ids = 0
    segments: tuple[Segment, ...] = ()
    if kind is Kind.COMPLETION:
        texts, ids = _prompts(request)
    else:
        segments = tuple(_segments(request))
    return RequestFacts(
        kind=kind,
        body=body,
        model=_model(request),
        stream=_stream(request),
        max_output=_max_output(request),
        segments=segments,
        prompts=texts,
        prompt_ids=ids,
        prefilled=bool(segments) and request["messages"][-1].get("role") == "assistant",
    )


def _model(request: Json) -> str | None:
    model = request.get("model")
    if model is not None and not isinstance(model, str):
        raise BadRequest(f"'model' must be a string, not {_kind(model)}.", param="model")
    return model or None


def _stream(request: Json) -> bool:
    stream = request.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest(f"'stream' must be true or false, not {_kind(stream)}.", param="stream")
    return bool(stream)


def _max_output(request: Json) -> int | None:
    limits = []
    for field in _OUTPUT_FIELDS:
        value = request.get(field)
        if value is None:
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadRequest(f"'{field}' must be an integer, not {_kind(value)}.", param=field)
        if value > _MOST_OUTPUT:
            raise BadRequest(f"'{field}' must not exceed {_MOST_OUTPUT}.", param=field)
        # llama-server reads a negative number as "no limit".
        if value >= 0:
            limits.append(value)
    return max(limits, default=None)


def _segments(request: Json) -> Iterator[Segment]:
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise BadRequest(f"'messages' must be an array, not {_kind(messages)}.", param="messages")
    if not messages:
        raise BadRequest("'messages' must hold at least one message.", param="messages")
    tools = request.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadRequest(f"'tools' must be an array, not {_kind(tools)}.", param="tools")
    preamble = {name: request[name] for name in _PREAMBLE_FIELDS if request.get(name)}
    text = _printed(preamble) if preamble else ""
    digest = _digest(b"", text.encode())
    yield Segment(text, len(text.encode()), 0, digest, verbatim=not text)
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest(
                f"'messages[{index}]' must be an object, not {_kind(message)}.",
                param=f"messages[{index}]",
            )
        role = message.get("role")
        if not isinstance(role, str):
            where = f"messages[{index}].role"
            raise BadRequest(f"'{where}' must be a string, not {_kind(role)}.", param=where)
        content, media = _content(message.get("content"), f"messages[{index}].content")
        extras = {k: v for k, v in message.items() if k not in ("role", "content") and v}
        if role not in _ROLES:
            extras["role"] = role
        text = content + (_printed(extras) if extras else "")
        digest = _digest(digest, orjson.dumps(message))
        yield Segment(
            text, len(text.encode()), media, digest, verbatim=not extras and role != "assistant"
        )


def _printed(fields: Json) -> str:
    """``fields`` as wide as a template prints them at most: indented and escaped."""
    text = json.dumps(fields)
    return text if len(text) > _MOST_INDENTED else json.dumps(fields, indent=4)


def _content(content: Any, where: str) -> tuple[str, int]:  # noqa: ANN401 - decoded JSON
    """A message's text and how many media parts go with it."""
    if content is None:
        return "", 0
    if isinstance(content, str):
        return content, 0
    if not isinstance(content, list):
        raise BadRequest(
            f"'{where}' must be a string or an array of parts, not {_kind(content)}.", param=where
        )
    texts, media = [], 0
    for index, part in enumerate(content):
        if not isinstance(part, dict):
            raise BadRequest(
                f"'{where}[{index}]' must be an object, not {_kind(part)}.",
                param=f"{where}[{index}]",
            )
        if part.get("type") in _MEDIA:
            media += 1
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            texts.append(json.dumps(part))
    return "\n".join(texts), media


def _prompts(request: Json) -> tuple[tuple[str, ...], int]:
    """A completion's prompts as texts, and the length of its longest as token ids."""
    prompt = request.get("prompt")
    if isinstance(prompt, str):
        return (prompt + str(request.get("suffix") or ""),), 0
    if not isinstance(prompt, list) or not prompt:
        raise BadRequest(
            f"'prompt' must be a string or a non-empty array, not {_kind(prompt)}.", param="prompt"
        )
    if all(_is_id(item) for item in prompt):
        return (), len(prompt)
    texts, ids = [], 0
    for index, item in enumerate(prompt):
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, list) and all(_is_id(part) for part in item):
            ids = max(ids, len(item))
        elif _is_id(item) or isinstance(item, dict | list):
            # llama-server also takes mixed arrays; their JSON is longer than their tokens.
            texts.append(json.dumps(item))
        else:
            raise BadRequest(
                f"'prompt[{index}]' must be a string or an array of token ids.",
                param=f"prompt[{index}]",
            )
    return _joined_when_mixed(prompt, texts), ids


def _joined_when_mixed(prompt: Iterable[Any], texts: list[str]) -> tuple[str, ...]:
    # [12, "text", 7] is ONE prompt; ["a", "b"] are two.
    return ("".join(texts),) if any(_is_id(item) for item in prompt) else tuple(texts)


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


def _is_id(value: Any) -> bool:  # noqa: ANN401 - decoded JSON
    return isinstance(value, int) and not isinstance(value, bool)


def _digest(before: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(text, key=before, digest_size=16).digest()


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def _kind(value: Any) -> str:  # noqa: ANN401 - decoded JSON
    """JSON's word for a value's type; never the value, which may be private."""
    return "an empty array" if value == [] else _KINDS[type(value)]
