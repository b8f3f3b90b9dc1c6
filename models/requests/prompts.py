"""Read requests without messages: completions, infill, embeddings, reranking."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from models.requests.amount import Amount, Unit
from models.requests.facts import Prompt
from models.requests.fields import Json, named
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

# Under these names an input has images.
_MEDIA = ("multimodal_data", "image", "image_url")
_INFILL = ("input_prefix", "prompt", "input_suffix")


def completion(request: Json) -> Prompt:
    """Return the prompts of a text completion; each has the whole context. Raises BadRequest."""
    prompt = request.get("prompt")
    if isinstance(prompt, str):
        return Prompt(prompts=(prompt + str(request.get("suffix") or ""),))
    return _several(prompt, "prompt")


def infill(request: Json) -> Prompt:
    """Return the text before and after the gap, with the extra files. Raises BadRequest."""
    texts = [_text(request.get(field), field) for field in _INFILL]
    extra = request.get("input_extra")
    if extra is not None and not isinstance(extra, list):
        raise BadRequest(
            f"'input_extra' must be an array, not {named(extra)}.", param="input_extra"
        )
    for index, chunk in enumerate(extra or ()):
        where = f"input_extra[{index}]"
        if not isinstance(chunk, dict):
            raise BadRequest(f"'{where}' must be an object, not {named(chunk)}.", param=where)
        texts += [_text(chunk.get(field), f"{where}.{field}") for field in ("filename", "text")]
    return Prompt(prompts=("".join(texts),))


def embeddings(request: Json) -> Prompt:
    """Return the inputs; the longest decides the size. Raises BadRequest.

    Some engines also call the field ``content``. Inputs with images need a model that sees.
    """
    field = "content" if request.get("input") is None and "content" in request else "input"
    value = request.get(field)
    if isinstance(value, str):
        return Prompt(prompts=(value,))
    plain, sees = _without_media(value)
    prompt = _several(plain, field)
    return prompt._replace(needs=frozenset({"vision"})) if sees else prompt


def _without_media(value: Any) -> tuple[Any, bool]:  # noqa: ANN401 - decoded JSON
    """Return inputs without the bytes of their images, and whether there were any.

    An image takes other tokens than its bytes would.
    """
    if not isinstance(value, list):
        return value, False
    sees = [isinstance(item, dict) and any(item.get(name) for name in _MEDIA) for item in value]
    plain = [
        {name: part for name, part in item.items() if name not in _MEDIA} if seen else item
        for item, seen in zip(value, sees, strict=True)
    ]
    return plain, any(sees)


def speech(request: Json) -> Prompt:
    """Return the characters of the text that is to be spoken; an engine checks the text itself."""
    text = request.get("input")
    return Prompt(amount=Amount(len(text), Unit.CHARACTERS) if isinstance(text, str) else None)


def rerank(request: Json) -> Prompt:
    """Return the query with the longest document. Raises BadRequest.

    An engine scores the pairs one after the other, so the longest pair decides the size.
    """
    query = request.get("query")
    if not isinstance(query, str):
        raise BadRequest(f"'query' must be a string, not {named(query)}.", param="query")
    field = "texts" if request.get("documents") is None and "texts" in request else "documents"
    documents = request.get(field)
    if not isinstance(documents, list) or not documents:
        raise BadRequest(
            f"'{field}' must be a non-empty array, not {named(documents)}.", param=field
        )
    longest = ""
    for index, document in enumerate(documents):
        if not isinstance(document, str | dict):
            where = f"{field}[{index}]"
            raise BadRequest(f"'{where}' must be a string, not {named(document)}.", param=where)
        text = document if isinstance(document, str) else json.dumps(document)
        longest = max(longest, text, key=_size)
    return Prompt(prompts=(f"{query}\n{longest}",))


def _several(prompt: Any, field: str) -> Prompt:  # noqa: ANN401 - decoded JSON
    """Return the prompts that are texts, and the length of the longest one in token ids."""
    if not isinstance(prompt, list) or not prompt:
        raise BadRequest(
            f"'{field}' must be a string or a non-empty array, not {named(prompt)}.", param=field
        )
    if all(map(_is_id, prompt)):
        return Prompt(prompt_ids=len(prompt))
    texts, ids = [], 0
    for index, item in enumerate(prompt):
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, list) and all(map(_is_id, item)):
            ids = max(ids, len(item))
        elif _is_id(item) or isinstance(item, dict | list):
            # Some engines also take mixed arrays; their JSON is longer than their tokens.
            texts.append(json.dumps(item))
        else:
            raise BadRequest(
                f"'{field}[{index}]' must be a string or an array of token ids.",
                param=f"{field}[{index}]",
            )
    return Prompt(prompts=_joined_when_mixed(prompt, texts), prompt_ids=ids)


def prompts_of(request: Json) -> list[Any]:
    """Return the prompts in the request of a completion: each gets an answer of its own."""
    prompt = request.get("prompt")
    if not isinstance(prompt, list) or any(map(_is_id, prompt)):
        return [prompt]
    return prompt


def _joined_when_mixed(prompt: Iterable[Any], texts: list[str]) -> tuple[str, ...]:
    # [12, "text", 7] is ONE prompt; ["a", "b"] are two.
    return ("".join(texts),) if any(map(_is_id, prompt)) else tuple(texts)


def _text(value: Any, where: str) -> str:  # noqa: ANN401 - decoded JSON
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"'{where}' must be a string, not {named(value)}.", param=where)
    return value or ""


def _is_id(value: Any) -> bool:  # noqa: ANN401 - decoded JSON
    return isinstance(value, int) and not isinstance(value, bool)


def _size(text: str) -> int:
    return len(text.encode())
