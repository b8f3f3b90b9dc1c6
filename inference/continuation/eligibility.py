"""What requests of all APIs that grow have in common. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.continuation.codec import Json

# With these the words so far do not tell all that led to them, or more than words was asked for.
_INEXACT = (
    "logprobs",
    "top_logprobs",
    "n_probs",
    "json_schema",
    "grammar",
    "echo",
    "suffix",
    "best_of",
    "t_max_predict_ms",
    "n_indent",
    "return_tokens",
    "continue_final_message",
)


def plain(request: Json) -> bool:
    """Whether nothing but words is asked for, once, and nothing else is demanded."""
    if any(request.get(name) for name in _INEXACT) or request.get("n") not in (None, 1):
        return False
    choice = request.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return kind in (None, "auto", "none")


def is_text(form: object) -> bool:
    """Whether a ``response_format``, under whichever name, asks for nothing but text."""
    return not isinstance(form, dict) or form.get("type") in (None, "text")


def replaced(last: Json, field: str, text: str, known: tuple[str, ...]) -> bool:
    """A client's own beginning becomes ``text``, which engines begin with it; False where not.

    It must have no fields beside ``known``.
    """
    begun = last.get(field)
    if not isinstance(begun, str) or not text.startswith(begun) or last.keys() - {field, *known}:
        return False
    last[field] = text
    return True


def begun_chat(request: Json, text: str) -> Json:
    """A chat that an engine's template renders like ``request``, as far as its end goes.

    Engines render chats alone for show; others they turn into chats themselves.
    """
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]
    kwargs = request.get("chat_template_kwargs")
    return {"messages": said} | ({"chat_template_kwargs": kwargs} if kwargs else {})
