"""Write the answers of ``/api/embed`` and ``/api/embeddings``. Pure.

The vectors of the first have the length 1, as in Ollama; the second passes on what the engine says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson

from inference.usage import told_in
from server.codecs.ollama.answers import nanoseconds
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from models.requests.fields import Json
    from server.codecs.ollama.answers import Times

Vector = list[float]


def vectors_in(body: bytes) -> tuple[list[Vector], int]:
    """Return the vectors of an engine's answer in the order of their texts, and the tokens read.

    Raises EngineRefused for an answer that has none.
    """
    try:
        answer: Any = orjson.loads(body)
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        vectors = [[float(number) for number in row["embedding"]] for row in rows]
        tokens = told_in(answer).prompt or 0
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EngineRefused("The engine's answer has no embeddings.") from None
    return vectors, tokens


def embed_answer(body: bytes, model: str, times: Times, dimensions: int | None = None) -> Json:
    """Return the answer of ``/api/embed``; each vector has ``dimensions`` numbers at most."""
    vectors, tokens = vectors_in(body)
    return {
        "model": model,
        "embeddings": [_normal(each[:dimensions] if dimensions else each) for each in vectors],
        "total_duration": nanoseconds(times.total()),
        "load_duration": nanoseconds(times.loading()),
        "prompt_eval_count": tokens,
    }


def embeddings_answer(body: bytes) -> Json:
    """Return the answer of ``/api/embeddings``."""
    vectors, _ = vectors_in(body)
    return {"embedding": vectors[0] if vectors else []}


def tokens_in(body: bytes) -> list[int] | None:
    """Return the tokens that an engine tells of a text; None if it tells none."""
    try:
        tokens: Any = orjson.loads(body)["tokens"]
    except (ValueError, KeyError, TypeError):
        return None
    numbers = isinstance(tokens, list) and all(type(token) is int for token in tokens)
    return tokens if numbers else None


def content_in(body: bytes) -> str | None:
    """Return the text that an engine makes of tokens; None if it makes none."""
    try:
        content: Any = orjson.loads(body)["content"]
    except (ValueError, KeyError, TypeError):
        return None
    return content if isinstance(content, str) and content else None


def _normal(vector: Vector) -> Vector:
    length = math.hypot(*vector)
    return [number / length for number in vector] if length else vector
