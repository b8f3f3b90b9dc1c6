"""How servers that are not llama.cpp count the tokens of a prompt. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests.endpoints import CHAT, COMPLETION

if TYPE_CHECKING:
    from models.requests.reader import RequestFacts

# The fields of a chat that its template prints.
_PRINTED = ("model", "messages", "tools", "chat_template_kwargs", "add_generation_prompt")


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
    if server == "tabbyapi":
        text: Any = _request(facts).get("messages") if chat else facts.prompts[0]
        return Question("/v1/token/encode", orjson.dumps({"text": text}), "length")
    if server == "koboldcpp" and not chat:
        # It counts a text only; which template a chat gets, it does not say.
        body = orjson.dumps({"prompt": facts.prompts[0]})
        return Question("/api/extra/tokencount", body, "value")
    return None


def _of_vllm(facts: RequestFacts, *, chat: bool) -> dict[str, Any]:
    request = _request(facts)
    if chat:
        return {name: request[name] for name in _PRINTED if name in request}
    named = {"model": request["model"]} if "model" in request else {}
    return {**named, "prompt": facts.prompts[0]}


def _request(facts: RequestFacts) -> dict[str, Any]:
    request: dict[str, Any] = orjson.loads(facts.body)
    return request
