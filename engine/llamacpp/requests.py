"""Make a request one that llama-server obeys in all its fields, or refuse it by name. Pure.

llama-server ignores what it does not know. What it can do in another form is rewritten: a forced
tool becomes the only one offered, a document becomes text. Hints that change nothing which a client
could rely on (``user``, ``service_tier``, ``metadata`` …) are left to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.requests.documents import document_text, search_text
from models.requests.endpoints import AUXILIARY, CHAT, COMPLETION, MESSAGES
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.requests.endpoints import Endpoint
    from models.spec import VariantSpec

Json = dict[str, Any]

# Fields of a chat that are looked at; most chats have none of them.
_OF_CHATS = frozenset(
    {
        "audio",
        "chat_template_kwargs",
        "function_call",
        "functions",
        "logit_bias",
        "modalities",
        "stop",
        "tool_choice",
        "tools",
        "web_search_options",
    }
)
_UNKNOWN_IN_CHATS = {
    "functions": "Offer 'tools' instead",
    "function_call": "Use 'tools' and 'tool_choice' instead",
    "audio": "Models answer in text here",
}
_UNKNOWN_IN_COMPLETIONS = {
    "suffix": "Use /infill instead",
    "echo": "The prompt is not repeated here",
}
_UNKNOWN_IN_MESSAGES = {
    "mcp_servers": "Connect MCP servers to the client instead",
    "container": "There are no containers here",
    "output_format": "Use 'response_format' of /v1/chat/completions instead",
}
_BLOCKS = frozenset(
    {"text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking", "input_audio"}
)


def fitted(variant: VariantSpec, endpoint: Endpoint, request: Json) -> bool:  # noqa: ARG001 - the interface
    """Change ``request`` so that nothing in it is ignored; return whether anything changed.

    Raises BadRequest with the field that llama-server would ignore.
    """
    if endpoint is CHAT and _OF_CHATS.isdisjoint(request):
        return False
    fit = _FITS.get(endpoint)
    return fit is not None and fit(request)


def _chat(request: Json) -> bool:
    _refuse(request, _UNKNOWN_IN_CHATS)
    # Without any options it is a wish, too.
    if request.get("web_search_options") is not None:
        raise _ignored("web_search_options", "There is no web search here")
    for kind in _items(request.get("modalities")):
        if kind != "text":
            raise _ignored("modalities", "Models answer in text here")
    for field, kinds in (
        ("stop", (str, list)),
        ("logit_bias", (dict, list)),
        ("chat_template_kwargs", (dict,)),
    ):
        if request.get(field) is not None and not isinstance(request[field], kinds):
            raise BadRequest(f"'{field}' has a type that has no meaning.", param=field)
    for index, tool in enumerate(_items(request.get("tools"))):
        if isinstance(tool, dict) and tool.get("type", "function") != "function":
            raise _ignored(f"tools[{index}].type", "Only functions can be called here")
    changed = _without_nulls(request)
    return _choose(request, _chosen_in_chat) or changed


def _without_nulls(request: Json) -> bool:
    """Leave out the descriptions of tools that are null, which llama-server refuses."""
    changed = False
    for tool in _items(request.get("tools")):
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("description", "") is None:
            del function["description"]
            changed = True
    return changed


def _completion(request: Json) -> bool:
    _refuse(request, _UNKNOWN_IN_COMPLETIONS)
    best, wanted = request.get("best_of"), request.get("n") or 1
    if best is not None and best != wanted:
        raise _ignored("best_of", "Ask for 'n' answers and choose among them")
    return False


def _messages(request: Json) -> bool:
    _refuse(request, _UNKNOWN_IN_MESSAGES)
    config = request.get("output_config")
    if isinstance(config, dict) and config.get("format") is not None:
        raise _ignored("output_config.format", _UNKNOWN_IN_MESSAGES["output_format"])
    for index, tool in enumerate(_items(request.get("tools"))):
        if isinstance(tool, dict) and tool.get("type") not in (None, "custom"):
            why = (
                "Tools of Anthropic's servers do not exist here, and models do not know its others"
            )
            raise _ignored(f"tools[{index}].type", why)
    changed = _choose(request, _chosen_in_messages)
    return _counted(request) or changed


def _counted(request: Json) -> bool:
    """Fit what also changes the count of a prompt's tokens."""
    changed = _plain_blocks(request)
    thinking, kwargs = request.get("thinking"), request.get("chat_template_kwargs") or {}
    off = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    if off and isinstance(kwargs, dict) and "enable_thinking" not in kwargs:
        request["chat_template_kwargs"] = {**kwargs, "enable_thinking": False}
        changed = True
    return changed


# -- the choice of a tool --------------------------------------------------------------------------


def _choose(request: Json, chosen: Callable[[Json], tuple[object, list[str]] | None]) -> bool:
    """Offer only the tools that may be called, if the request names them."""
    choice = request.get("tool_choice")
    demands = choice == "required" or isinstance(choice, dict)
    if isinstance(choice, dict) and choice.get("type") in ("auto", "none"):
        return False
    if demands and not request.get("tools"):
        raise BadRequest("'tool_choice' needs 'tools' to choose from.", param="tool_choice")
    if not isinstance(choice, dict) or (found := chosen(choice)) is None:
        return False
    mode, names = found
    offered = {_name(tool): tool for tool in _items(request.get("tools"))}
    for name in names:
        if name not in offered:
            raise BadRequest(
                f"'tool_choice' names no tool of 'tools': {name}.", param="tool_choice"
            )
    request["tools"] = [offered[name] for name in names]
    request["tool_choice"] = mode
    return True


def _chosen_in_chat(choice: Json) -> tuple[object, list[str]]:
    if choice.get("type") == "function":
        return "required", [_name(choice)]
    allowed = choice.get("allowed_tools")
    if choice.get("type") == "allowed_tools" and isinstance(allowed, dict):
        names = [_name(tool) for tool in _items(allowed.get("tools"))]
        return allowed.get("mode", "auto"), names
    raise _ignored("tool_choice", "It must name a function")


def _chosen_in_messages(choice: Json) -> tuple[object, list[str]] | None:
    if choice.get("type") == "any":
        return None
    if choice.get("type") == "tool":
        return {**choice, "type": "any"}, [_name(choice)]
    raise _ignored("tool_choice", "Its type must be auto, any, tool or none")


def _name(tool: Any) -> str:  # noqa: ANN401 - decoded JSON
    if not isinstance(tool, dict):
        return ""
    function = tool.get("function")
    return str((function if isinstance(function, dict) else tool).get("name", ""))


# -- documents as text -----------------------------------------------------------------------------


def _plain_blocks(request: Json) -> bool:
    changed = False
    for index, message in enumerate(_items(request.get("messages"))):
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            changed |= _plain(message["content"], f"messages[{index}].content")
    return changed


def _plain(blocks: list[Any], where: str) -> bool:
    changed = False
    for index, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind in ("document", "search_result"):
            place = f"{where}[{index}]"
            text = document_text(block, place) if kind == "document" else search_text(block)
            blocks[index] = {"type": "text", "text": text}
            changed = True
        elif kind == "tool_result" and isinstance(block.get("content"), list):
            changed |= _plain(block["content"], f"{where}[{index}].content")
        elif isinstance(kind, str) and kind not in _BLOCKS:
            raise _ignored(
                f"{where}[{index}].type", f"Blocks of the type '{kind}' are not read here"
            )
    return changed


# -- what all share --------------------------------------------------------------------------------


def _refuse(request: Json, unknown: dict[str, str]) -> None:
    for field, instead in unknown.items():
        if request.get(field) not in (None, False, [], {}, ""):
            raise _ignored(field, instead)


def _ignored(field: str, instead: str) -> BadRequest:
    return BadRequest(f"'{field}' would be ignored by the engine. {instead}.", param=field)


def _items(value: Any) -> list[Any]:  # noqa: ANN401 - decoded JSON
    return value if isinstance(value, list) else []


_FITS: dict[Endpoint, Callable[[Json], bool]] = {
    CHAT: _chat,
    COMPLETION: _completion,
    MESSAGES: _messages,
    # Anthropic's requests to count tokens; other requests have nothing of this.
    AUXILIARY: _counted,
}
