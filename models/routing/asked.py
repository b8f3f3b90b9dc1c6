"""What the rules of a route look at in a request. Pure.

It is read before the model is known, so before the request is changed for a model and sized: the
number of tokens is an estimate.
"""

from __future__ import annotations

from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests.endpoints import SPEECH
from models.requests.facts import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json

# Bytes of text that make a token, on average, and the tokens of a picture or a sound.
_BYTES, _MEDIA = 4, 1024
# Characters of the last message that a regular expression looks at.
LONGEST_TEXT = 32 * 1024
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """What is known of a request before its model is.

    * ``needs``: all capabilities that the model must have.
    * ``tokens``: an estimate of its prompt. ``text``: the beginning of the user's last message.
    * ``tier``: that of the client's key. ``hour``: the local time's. ``profile``: the active one.
    * ``key``: the same for the requests of a conversation, else different for each. ``stays`` is
      the model that last answered the conversation.
    * ``relayed``: another gateway has sent it, so it stays here.
    * ``voice``: the one that a request for speech names, else "".
    """

    endpoint: str
    needs: frozenset[str] = frozenset()
    tokens: int = 0
    text: str = ""
    headers: Mapping[str, str] = _NO_HEADERS
    tier: str = ""
    hour: int = 0
    profile: str = ""
    key: str = ""
    stays: str | None = None
    relayed: bool = False
    voice: str = ""


def read_asked(endpoint: Endpoint, request: Json) -> Asked:
    """Return what the request itself tells, or raise BadRequest."""
    prompt = Prompt() if endpoint.read is None else endpoint.read(request)
    needs = prompt.needs if endpoint.needs is None else prompt.needs | {endpoint.needs}
    voice = _voice(request.get("voice")) if endpoint is SPEECH else ""
    return Asked(endpoint.name, needs, _estimate(prompt), last_text(request), voice=voice)


def _estimate(prompt: Prompt) -> int:
    if prompt.prompts or prompt.prompt_ids:
        longest = max((len(text.encode()) for text in prompt.prompts), default=0)
        return max(longest // _BYTES, prompt.prompt_ids)
    sizes = sum(segment.size for segment in prompt.segments)
    return sizes // _BYTES + _MEDIA * sum(segment.media for segment in prompt.segments)


def last_text(request: Json) -> str:
    """Return the beginning of the user's last message; of a request without messages, its text."""
    messages = request.get("messages")
    if isinstance(messages, list):
        said = (m for m in reversed(messages) if isinstance(m, dict) and m.get("role") == "user")
        return _text(next(said, {}).get("content"))[:LONGEST_TEXT]
    for field in ("prompt", "input", "query", "content"):
        if field in request:
            return _text(request[field])[:LONGEST_TEXT]
    return ""


def opening(request: Json) -> bytes | None:
    """Return a digest of a chat's messages up to the user's first; None if it has none.

    It is the same for each turn of a conversation.
    """
    messages = request.get("messages")
    if not isinstance(messages, list):
        return None
    for index, message in enumerate(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return blake2b(orjson.dumps(messages[: index + 1]), digest_size=16).digest()
    return None


def _voice(voice: Any) -> str:  # noqa: ANN401 - decoded JSON
    name = voice.get("id") if isinstance(voice, dict) else voice
    return name if isinstance(name, str) else ""


def _text(content: Any) -> str:  # noqa: ANN401 - decoded JSON
    """Return the text of a content: a text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "\n".join(text for text in texts if isinstance(text, str))
