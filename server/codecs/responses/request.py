"""Read a request to create a response, and write the chat that an engine gets for it. Pure.

``read_request`` checks every field; ``chat_of`` adds what was said before. A field of OpenAI's that
no engine here can obey is refused by name. Fields that are not OpenAI's go to the engine as they
are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.requests.fields import Json, named
from models.requests.reader import model_of, output_of, stream_of
from server.codecs.responses.items import input_items, messages_of
from server.codecs.responses.tools import format_of, tools_of
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.codecs.responses.tools import Named, Tools

_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"
# The others are of tools that do not exist here, so that there is nothing to include of them.
_INCLUDED = (
    _LOGPROBS,
    _SEALED,
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
)
_MOST_LOGPROBS = 20
_METADATA = (16, 64, 512)
# Words that chat templates know, for those that OpenAI has beside them.
_EFFORTS = {
    "none": None,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
# Told again in the response, and no engine's business.
_TOLD = (
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "truncation",
    "user",
    "image",
    "access_programs",
)
_REFUSED = {
    "prompt": "no prompts are kept here",
    "moderation": "there is no moderation here",
    "context_management": "see 'truncation' and /v1/responses/compact",
}


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """What was asked for.

    - ``items``: the new input, each item complete. ``instructions``: those of this response alone.
    - ``previous``, ``conversation``: what was said before; at most one of them.
    - ``fields``: of the chat, without messages. ``told``: the fields of the response that repeat
      the request.
    - ``shortened``: leave out the oldest messages of a prompt that is too long.
    - ``summarised``: tell thoughts as a summary. ``sealed``: also for the client to keep.
    - ``tools``: custom tools, and those of namespaces, by their names in the chat.
      ``most_calls``: how many tools may be called.
    """

    items: tuple[Json, ...]
    instructions: str | None
    previous: str | None
    conversation: str | None
    stream: bool
    store: bool
    background: bool
    fields: Json
    told: Json
    shortened: bool
    summarised: bool
    sealed: bool
    tools: Mapping[str, Named]
    most_calls: int | None


def read_request(request: Json) -> ResponseRequest:
    """Return what the request asks for, or raise BadRequest that names the field at fault."""
    for name, why in _REFUSED.items():
        if request.get(name):
            raise BadRequest(f"'{name}' cannot be obeyed: {why}.", param=name)
    tools = tools_of(request)
    reasoning = _object(request, "reasoning")
    include = _include(request)
    previous, conversation = _string(request, "previous_response_id"), _conversation(request)
    if previous and conversation:
        raise BadRequest(
            "'previous_response_id' and 'conversation' cannot both be set.",
            param="previous_response_id",
        )
    store = _flag(request, "store", usual=True)
    background = _flag(request, "background", usual=False)
    if background and not store:
        raise BadRequest("'background' needs 'store': true.", param="background")
    items = input_items(request.get("input", []))
    if not items and not previous and not conversation:
        raise BadRequest("'input' must hold at least one item.", param="input")
    shortened = _word(request, "truncation", ("auto", "disabled"), "disabled") == "auto"
    return ResponseRequest(
        items=tuple(items),
        instructions=_string(request, "instructions"),
        previous=previous,
        conversation=conversation,
        stream=stream_of(request),
        store=store,
        background=background,
        fields=_chat_fields(request, tools, reasoning, include),
        told=_told(request, store=store, background=background),
        shortened=shortened,
        summarised=bool(reasoning.get("summary") or reasoning.get("generate_summary")),
        sealed=_SEALED in include,
        tools=tools.known,
        most_calls=_count(request, "max_tool_calls"),
    )


def chat_of(request: ResponseRequest, earlier: Sequence[Json]) -> Json:
    """Return the chat for the engine: the ``earlier`` items, then those of the request."""
    messages = messages_of(request.instructions, [*earlier, *request.items])
    if not messages:
        raise BadRequest("'input' must hold at least one item.", param="input")
    chat = {**request.fields, "messages": messages, "stream": request.stream or request.background}
    if chat["stream"]:
        chat["stream_options"] = {"include_usage": True}
    return chat


def shorter(messages: list[Json], tokens: int, limit: int) -> list[Json] | None:
    """Return the messages without the oldest, for a prompt of ``tokens`` that must fit ``limit``.

    The system's first message stays, and the rest begins with one of the user. None if nothing can
    be left out.
    """
    kept = 1 if messages[0]["role"] == "system" else 0
    turns = [at for at in range(kept + 1, len(messages)) if messages[at]["role"] == "user"]
    if not turns:
        return None
    sizes = [len(str(message)) for message in messages]
    # An estimate: if it is not enough, the engine's next count is nearer.
    surplus = sum(sizes) * (tokens - limit) / max(tokens, 1)
    first = next((at for at in turns if sum(sizes[kept:at]) >= surplus), turns[-1])
    return [*messages[:kept], *messages[first:]]


# -- fields --------------------------------------------------------------------------------------


def _chat_fields(request: Json, tools: Tools, reasoning: Json, include: list[str]) -> Json:
    fields = {
        name: value
        for name, value in request.items()
        if name not in _TOLD and name not in _REFUSED and name != "stream"
    }
    if (model := model_of(request)) is not None:
        fields["model"] = model
    fields |= tools.fields | format_of(request)
    if (limit := output_of(request, ("max_output_tokens",))) is not None:
        if limit < 1:
            raise BadRequest("'max_output_tokens' must be 1 at least.", param="max_output_tokens")
        fields["max_tokens"] = limit
    if (effort := reasoning.get("effort")) is not None:
        if effort not in _EFFORTS:
            raise BadRequest(
                f"'reasoning.effort' must be one of {', '.join(_EFFORTS)}.",
                param="reasoning.effort",
            )
        word = _EFFORTS[effort]
        wish = {"enable_thinking": False} if word is None else {"reasoning_effort": word}
        fields["chat_template_kwargs"] = {**wish, **_object(request, "chat_template_kwargs")}
    most = _count(request, "top_logprobs")
    if most is not None and most > _MOST_LOGPROBS:
        raise BadRequest(f"'top_logprobs' must not exceed {_MOST_LOGPROBS}.", param="top_logprobs")
    if most or _LOGPROBS in include:
        fields |= {"logprobs": True, "top_logprobs": most or 0}
    return fields


def _told(request: Json, *, store: bool, background: bool) -> Json:
    """Return the fields of a response that tell again what was asked for."""
    text = {"format": {"type": "text"}, **_object(request, "text")}
    if text["format"] is None:
        text["format"] = {"type": "text"}
    reasoning = _object(request, "reasoning")
    choice = request.get("tool_choice")
    parallel = request.get("parallel_tool_calls")
    return {
        "background": background,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "metadata": metadata_of(request),
        "parallel_tool_calls": parallel if isinstance(parallel, bool) else True,
        "previous_response_id": request.get("previous_response_id"),
        "prompt_cache_key": _string(request, "prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": _string(request, "safety_identifier"),
        "service_tier": "default",
        "store": store,
        "temperature": _number(request, "temperature"),
        "text": {**text, "format": _format_told(text["format"])},
        "tool_choice": "auto" if choice is None else choice,
        "tools": [_tool_told(tool) for tool in request.get("tools") or ()],
        "top_logprobs": request.get("top_logprobs") or 0,
        "top_p": _number(request, "top_p"),
        "truncation": request.get("truncation") or "disabled",
        "user": _string(request, "user"),
    }


def _tool_told(tool: Json) -> Json:
    if tool["type"] != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None} | tool


def _format_told(form: Json) -> Json:
    if form.get("type") != "json_schema":
        return form
    return {"description": None, "strict": None} | form


def metadata_of(request: Json) -> Json:
    """Return the metadata in a request, {} if there are none; raise BadRequest."""
    metadata = _object(request, "metadata")
    most, longest_name, longest = _METADATA
    if len(metadata) > most:
        raise BadRequest(f"'metadata' must not have more than {most} pairs.", param="metadata")
    for name, value in metadata.items():
        if not isinstance(value, str) or len(value) > longest or len(name) > longest_name:
            raise BadRequest(
                f"'metadata' must be pairs of texts: names of {longest_name} characters at most,"
                f" values of {longest}.",
                param="metadata",
            )
    return metadata


def _include(request: Json) -> list[str]:
    include = request.get("include")
    if include is None:
        return []
    if not isinstance(include, list):
        raise BadRequest(f"'include' must be an array, not {named(include)}.", param="include")
    for at, each in enumerate(include):
        if each not in _INCLUDED:
            raise BadRequest(
                f"'include[{at}]' must be one of {', '.join(_INCLUDED)}.", param=f"include[{at}]"
            )
    return include


def _conversation(request: Json) -> str | None:
    value = request.get("conversation")
    if isinstance(value, dict):
        value = value.get("id")
        if not isinstance(value, str):
            raise BadRequest("'conversation.id' must be a string.", param="conversation")
    if value is not None and not isinstance(value, str):
        raise BadRequest(
            f"'conversation' must be an id or an object, not {named(value)}.", param="conversation"
        )
    return value or None


def _object(request: Json, name: str) -> Json:
    value = request.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"'{name}' must be an object, not {named(value)}.", param=name)
    return value or {}


def _string(request: Json, name: str) -> str | None:
    value = request.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"'{name}' must be a string, not {named(value)}.", param=name)
    return value or None


def _flag(request: Json, name: str, *, usual: bool) -> bool:
    value = request.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{name}' must be true or false, not {named(value)}.", param=name)
    return usual if value is None else value


def _count(request: Json, name: str) -> int | None:
    value = request.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise BadRequest(f"'{name}' must be a whole number, 0 at least.", param=name)
    return value


def _number(request: Json, name: str) -> float | None:
    value = request.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadRequest(f"'{name}' must be a number, not {named(value)}.", param=name)
    return value


def _word(request: Json, name: str, words: Sequence[str], usual: str) -> Any:  # noqa: ANN401 - one of the words
    value = request.get(name)
    if value is None:
        return usual
    if value not in words:
        raise BadRequest(f"'{name}' must be one of {', '.join(words)}.", param=name)
    return value
