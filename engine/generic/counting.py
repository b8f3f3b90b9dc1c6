"""How servers that are not llama.cpp count the tokens of a prompt. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests.endpoints import CHAT, COMPLETION

if TYPE_CHECKING:
    from models.requests.reader import RequestFacts

# The fields of a chat that its template prints.
_PRINTED = ("model", "messages", "tools", "chat_template_kwargs", "add_generation_prompt")

# Of the servers that count texts alone: the path, the field of the text and that of the count.
_OF_TEXTS = {
    "tabbyapi": ("/v1/token/encode", "text", "length"),
    "koboldcpp": ("/api/extra/tokencount", "prompt", "value"),
}


class Question(NamedTuple):
    """A request for a count, and the field of the answer that has it."""

    path: str
    body: bytes
    field: str


def question(server: str, facts: RequestFacts) -> Question | None:
    """Return how ``server`` is asked to count the prompt; None if it cannot tell."""
    if not server:
        return None
    chat = facts.endpoint is CHAT
    if not chat and (facts.endpoint is not COMPLETION or len(facts.prompts) != 1):
        return None
    if server == "vllm":
        return Question("/tokenize", orjson.dumps(_of_vllm(facts, chat=chat)), "count")
    if chat:
        # The others leave out the tools of a chat, the beginning of the answer or the template.
        return None
    path, asked, told = _OF_TEXTS[server]
    return Question(path, orjson.dumps({asked: facts.prompts[0]}), told)


def _of_vllm(facts: RequestFacts, *, chat: bool) -> dict[str, Any]:
    request = _request(facts)
    if chat:
        return {name: request[name] for name in _PRINTED if name in request}
    named = {"model": request["model"]} if "model" in request else {}
    return {**named, "prompt": facts.prompts[0]}


def _request(facts: RequestFacts) -> dict[str, Any]:
    request: dict[str, Any] = orjson.loads(facts.body)
    return request
