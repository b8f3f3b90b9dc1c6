"""Read ``/v1/chat/completions``: messages, tools, and other fields that templates print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from models.requests.fields import (
    ROLES,
    Content,
    Conversation,
    Json,
    content_of,
    extras_of,
    objects,
    printed,
    role_of,
    tools_of,
)

if TYPE_CHECKING:
    from models.requests.facts import Prompt

# Fields beside the messages that chat templates print into the prompt.
_IN_ORDER = ("tools", "functions", "response_format", "chat_template_kwargs", "json_schema")
_PREAMBLE = frozenset(_IN_ORDER)
# Most messages have a role and a content, and nothing beside them.
_PLAIN = 2


def chat(request: Json) -> Prompt:
    """Return the prompt of a chat, or raise BadRequest."""
    messages = objects(request, "messages")
    if "tools" in request:
        tools_of(request)
    preamble: Json = {}
    if not _PREAMBLE.isdisjoint(request):
        preamble = {name: request[name] for name in _IN_ORDER if request.get(name)}
    talk = Conversation("", preamble)
    for index, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if len(message) == _PLAIN and isinstance(role, str) and role in ROLES:
            if isinstance(content, str):
                # Most messages: nothing but a text, which has no fault to report.
                talk.say_text(orjson.dumps(message), content, verbatim=role != "assistant")
                continue
        else:
            role = role_of(message, index)
        said = content_of(content, f"messages[{index}].content")
        if extras := extras_of(message, "content"):
            said = Content(said.text + printed(extras), said.media)
        talk.say(orjson.dumps(message), said, verbatim=not extras and role != "assistant")
    return talk.prompt(prefilled=messages[-1].get("role") == "assistant")
