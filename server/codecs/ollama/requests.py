"""Requests to Ollama's API, as requests that engines understand. Pure.

1. ``/api/chat`` is a chat. ``/api/generate`` is a chat of one message; with ``raw`` it is a text
   completion, and with ``suffix`` the text between two others.
2. Without messages or a prompt a request only loads the model, or unloads it if ``keep_alive``
   is 0.
3. A stream is the default.
4. What an engine would ignore although it changes the answer is refused by name. What only Ollama's
   own engine needs to know is ignored.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from models.requests import endpoints
from models.requests.chat import tools_of
from models.requests.fields import Json, named
from models.requests.reader import model_of, take_keep_alive
from server.codecs.ollama.messages import chat_messages, user_content
from server.codecs.ollama.options import options_of
from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint

_LEVELS = ("low", "medium", "high", "max")
_MOST_LOGPROBS = 20
_REFUSED = {
    "template": "the model's own template is used; set another with --chat-template-file",
    "context": "send the conversation to /api/chat instead",
}


class Purpose(Enum):
    """What a request is for."""

    ANSWER = "answer"
    LOAD = "load"
    UNLOAD = "unload"


class Asked(NamedTuple):
    """A request as an engine gets it.

    - ``endpoint``, ``body``: the engine's. The body has the model's name as the client wrote it.
    - ``stream``: the client wants a stream; the body says the same to the engine.
    - ``context``: the wanted context in tokens, 0 for any.
    - ``thinks``: the client asks for thoughts, or for none; None if it leaves that to the model.
    - ``unused``: options that change nothing.
    - ``keep_alive``: how many seconds the model stays loaded, of a request that only loads it.
    """

    endpoint: Endpoint
    body: Json
    stream: bool = False
    context: int = 0
    thinks: bool | None = None
    unused: tuple[str, ...] = ()
    purpose: Purpose = Purpose.ANSWER
    keep_alive: float | None = None


def chat(request: Json) -> Asked:
    """Return what ``/api/chat`` asks for, or raise BadRequest."""
    if not request.get("messages"):
        return _without_prompt(request, endpoints.CHAT)
    body = {"messages": chat_messages(request)}
    tools = [_tool(tool) for tool in tools_of(request)]
    if tools:
        body["tools"] = tools
    return _generating(request, endpoints.CHAT, body)


def generate(request: Json) -> Asked:
    """Return what ``/api/generate`` asks for, or raise BadRequest."""
    prompt, suffix = _text(request, "prompt"), _text(request, "suffix")
    system, raw = _text(request, "system"), _flag(request, "raw")
    for name, instead in _REFUSED.items():
        if request.get(name):
            raise BadRequest(f"'{name}' is not served: {instead}.", param=name)
    if not prompt:
        return _without_prompt(request, endpoints.CHAT)
    if raw or suffix:
        mode = "raw" if raw else "suffix"
        for name in ("system", "images", *(["suffix"] if raw else [])):
            if request.get(name):
                raise BadRequest(f"'{name}' cannot be used with '{mode}'.", param=name)
        if raw:
            return _generating(request, endpoints.COMPLETION, {"prompt": prompt})
        body = {"input_prefix": prompt, "input_suffix": suffix, "prompt": ""}
        return _generating(request, endpoints.INFILL, body)
    said: list[Json] = [{"role": "system", "content": system}] if system else []
    said.append({"role": "user", "content": user_content(prompt, request.get("images"))})
    return _generating(request, endpoints.CHAT, {"messages": said})


def embed(request: Json) -> Asked:
    """Return what ``/api/embed`` asks for, or raise BadRequest."""
    value = request.get("input")
    texts = [value] if isinstance(value, str) and value else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("'input' must be a string or an array of strings.", param="input")
    return _embedding(request, texts)


def embeddings(request: Json) -> Asked:
    """Return what ``/api/embeddings`` asks for, or raise BadRequest."""
    prompt = _text(request, "prompt")
    return _embedding(request, [prompt] if prompt else [])


def _generating(request: Json, endpoint: Endpoint, body: Json) -> Asked:
    options = options_of(request)
    stream = wants_stream(request)
    body = {"model": request.get("model"), **body, **options.fields, "stream": stream}
    if stream and endpoint is not endpoints.INFILL:
        # Many engines count tokens only then.
        body["stream_options"] = {"include_usage": True}
    _keep(request, body)
    _format(request, endpoint, body)
    _logprobs(request, endpoint, body)
    thinks = _think(request, endpoint, body)
    return Asked(endpoint, body, stream, options.context, thinks, options.unused)


def _embedding(request: Json, texts: list[str]) -> Asked:
    options = options_of(request)
    if not texts:
        return _without_prompt(request, endpoints.EMBEDDINGS)
    body: Json = {"model": request.get("model"), "input": texts, "encoding_format": "float"}
    _keep(request, body)
    dimensions = request.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 0):
        raise BadRequest("'dimensions' must be a positive integer.", param="dimensions")
    unused = (*options.fields, *options.unused)
    return Asked(endpoints.EMBEDDINGS, body, context=options.context, unused=unused)


def _without_prompt(request: Json, endpoint: Endpoint) -> Asked:
    options = options_of(request)
    _, keep_alive = take_keep_alive({"keep_alive": request.get("keep_alive")})
    purpose = Purpose.UNLOAD if keep_alive == 0 else Purpose.LOAD
    return Asked(
        endpoint,
        {"model": model_of(request)},
        context=options.context,
        unused=options.unused,
        purpose=purpose,
        keep_alive=keep_alive,
    )


def _keep(request: Json, body: Json) -> None:
    # Checked and taken out by the reader of the engine's request.
    if request.get("keep_alive") is not None:
        body["keep_alive"] = request["keep_alive"]


def _format(request: Json, endpoint: Endpoint, body: Json) -> None:
    wanted = request.get("format")
    if wanted in (None, ""):
        return
    if wanted != "json" and not isinstance(wanted, dict):
        raise BadRequest("'format' must be \"json\" or a JSON schema.", param="format")
    schema = {"type": "object"} if wanted == "json" else wanted
    if endpoint is not endpoints.CHAT:
        body["json_schema"] = schema
    elif wanted == "json":
        body["response_format"] = {"type": "json_object"}
    else:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "format", "schema": schema},
        }


def wants_stream(request: Json) -> bool:
    """Return whether a stream is wanted, as it is by default; raise BadRequest."""
    return _flag(request, "stream", default=True)


def top_logprobs(request: Json) -> int:
    """Return how many alternatives to each token are wanted; raise BadRequest."""
    top = request.get("top_logprobs") or 0
    if isinstance(top, bool) or not isinstance(top, int) or not 0 <= top <= _MOST_LOGPROBS:
        raise BadRequest(
            f"'top_logprobs' must be an integer from 0 to {_MOST_LOGPROBS}.", param="top_logprobs"
        )
    return top


def _logprobs(request: Json, endpoint: Endpoint, body: Json) -> None:
    top = top_logprobs(request)
    if not _flag(request, "logprobs"):
        return
    if endpoint is endpoints.INFILL:
        raise BadRequest("'logprobs' cannot be used with 'suffix'.", param="logprobs")
    # Engines tell no fewer than one; the encoder leaves out what was not asked for.
    if endpoint is endpoints.COMPLETION:
        body["logprobs"] = max(1, top)
    else:
        body |= {"logprobs": True, "top_logprobs": max(1, top)}


def _think(request: Json, endpoint: Endpoint, body: Json) -> bool | None:
    wanted = request.get("think")
    if wanted is None:
        return None
    if not isinstance(wanted, bool) and wanted not in _LEVELS:
        levels = ", ".join(f'"{level}"' for level in _LEVELS)
        raise BadRequest(f"'think' must be true, false or one of {levels}.", param="think")
    if endpoint is not endpoints.CHAT:
        # Without a template there is no place for it: the prompt is all that the model sees.
        return None
    arguments: Json = {"enable_thinking": bool(wanted)}
    if isinstance(wanted, str):
        arguments["reasoning_effort"] = wanted
    body["chat_template_kwargs"] = arguments
    return bool(wanted)


def _tool(tool: Any) -> Any:  # noqa: ANN401 - decoded JSON
    return {"type": "function", **tool} if isinstance(tool, dict) else tool


def _flag(request: Json, name: str, *, default: bool = False) -> bool:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequest(f"'{name}' must be true or false, not {named(value)}.", param=name)
    return value


def _text(request: Json, name: str) -> str:
    value = request.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"'{name}' must be a string, not {named(value)}.", param=name)
    return value
