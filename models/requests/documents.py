"""Documents and results of a search in Anthropic's API, as the text that models read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.requests.fields import Json


def document_text(block: Json, where: str) -> str:
    """Return the text of a document, after its title and its context; BadRequest if it has none."""
    source = block.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if isinstance(source, dict) and kind == "text" and isinstance(source.get("data"), str):
        text = source["data"]
    elif isinstance(source, dict) and kind == "content":
        text = "\n".join(_texts(source.get("content")))
    else:
        raise BadRequest(
            f"'{where}.source' would be ignored by the engine."
            " Only documents of text can be read here; send their text.",
            param=f"{where}.source",
        )
    return "\n".join(filter(None, (_text(block.get("title")), _text(block.get("context")), text)))


def search_text(block: Json) -> str:
    """Return the text of a result of a search, after its title and its source."""
    head = (_text(block.get("title")), _text(block.get("source")))
    return "\n".join(filter(None, (*head, *_texts(block.get("content")))))


def _texts(content: Any) -> Iterator[str]:  # noqa: ANN401 - decoded JSON
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict):
            yield _text(block.get("text"))


def _text(value: Any) -> str:  # noqa: ANN401 - decoded JSON
    return value if isinstance(value, str) else ""
