"""server/codecs/ollama/vectors.py: the answers with embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sdk_types import sdk_type

from server.codecs.ollama.vectors import (
    content_in,
    embed_answer,
    embeddings_answer,
    tokens_in,
    vectors_in,
)
from utils.errors import EngineRefused


class Times:
    def now(self) -> str:
        raise AssertionError

    def total(self) -> float:
        return 1.5

    def loading(self) -> float:
        return 0.5


def answer(*vectors: list[float]) -> bytes:
    rows = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    return json.dumps({"data": rows[::-1], "usage": {"prompt_tokens": 7}}).encode()


def test_vectors_have_the_length_1_and_the_order_of_the_texts() -> None:
    found = embed_answer(answer([3, 4], [0, 2], [0, 0]), "m", Times())
    sdk_type("ollama._types", "EmbedResponse").model_validate(found)
    assert found == {
        "model": "m",
        "embeddings": [[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]],
        "total_duration": 1_500_000_000,
        "load_duration": 500_000_000,
        "prompt_eval_count": 7,
    }


@pytest.mark.parametrize(
    ("dimensions", "vector"), [(None, [0.6, 0.8]), (0, [0.6, 0.8]), (1, [1.0]), (9, [0.6, 0.8])]
)
def test_vectors_are_cut_to_the_wanted_dimensions(
    dimensions: int | None, vector: list[float]
) -> None:
    assert embed_answer(answer([3, 4]), "m", Times(), dimensions)["embeddings"] == [vector]


def test_one_vector_as_the_engine_tells_it() -> None:
    found = embeddings_answer(answer([3, 4]))
    sdk_type("ollama._types", "EmbeddingsResponse").model_validate(found)
    assert found == {"embedding": [3.0, 4.0]}
    assert embeddings_answer(b'{"data": []}') == {"embedding": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"data": null}',
        b'{"data": [{"index": 0}]}',
        b'{"data": [{"index": "a", "embedding": []}]}',
        b'{"data": [{"index": 0, "embedding": [[1.0]]}]}',
        b'{"data": [1]}',
    ],
)
def test_an_answer_without_vectors(body: Any) -> None:
    with pytest.raises(EngineRefused, match="no embeddings"):
        vectors_in(body)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"tokens": [1, 2]}', [1, 2]),
        (b'{"tokens": []}', []),
        (b'{"tokens": [{"id": 1}]}', None),
        (b'{"tokens": [true]}', None),
        (b'{"error": "no"}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_the_tokens_that_an_engine_tells(body: bytes, tokens: list[int] | None) -> None:
    assert tokens_in(body) == tokens


@pytest.mark.parametrize(
    ("body", "text"),
    [(b'{"content": "a b"}', "a b"), (b'{"content": ""}', None), (b'{"a": 1}', None), (b"", None)],
)
def test_the_text_that_an_engine_makes_of_tokens(body: bytes, text: str | None) -> None:
    assert content_in(body) == text
