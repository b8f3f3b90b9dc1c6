"""models/requests/prompts.py: what completions, infill, embeddings and reranking are sized by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from models.requests import endpoints
from models.requests.reader import RequestFacts, parse
from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint


def facts(kind: Endpoint, **fields: Any) -> RequestFacts:
    return parse(kind, json.dumps(fields).encode())


def refusal(kind: Endpoint, **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(BadRequest) as caught:
        facts(kind, **fields)
    assert "sEcReT" not in caught.value.message
    return caught.value.message, caught.value.param


@pytest.mark.parametrize(
    ("fields", "prompts", "ids"),
    [
        ({"input": "a"}, ("a",), 0),
        ({"input": ""}, ("",), 0),
        ({"input": ["a", "bc"]}, ("a", "bc"), 0),
        ({"input": [1, 2, 3]}, (), 3),
        ({"input": [[1, 2], [3], "x"]}, ("x",), 2),
        ({"input": [1, "a"]}, ("1a",), 0),
        ({"input": [{"prompt_string": "a"}]}, ('{"prompt_string": "a"}',), 0),
        ({"content": "a"}, ("a",), 0),
        ({"content": ["a"], "input": None}, ("a",), 0),
        ({"content": "a", "input": "b"}, ("b",), 0),
    ],
)
def test_inputs_to_embed(fields: dict[str, Any], prompts: tuple[str, ...], ids: int) -> None:
    found = facts(endpoints.EMBEDDINGS, **fields)
    assert (found.prompts, found.prompt_ids, found.max_output) == (prompts, ids, 0)
    assert not found.needs


@pytest.mark.parametrize("name", ["multimodal_data", "image", "image_url"])
def test_images_to_embed_need_a_model_that_sees(name: str) -> None:
    found = facts(endpoints.EMBEDDINGS, input=["a", {"text": "b", name: ["A" * 5000]}])
    assert found.prompts == ("a", '{"text": "b"}')
    assert [*found.needs] == ["vision"]
    assert not facts(endpoints.EMBEDDINGS, input=[{"text": "b", name: []}]).needs


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({}, "'input' must be a string or a non-empty array, not null.", "input"),
        (
            {"input": []},
            "'input' must be a string or a non-empty array, not an empty array.",
            "input",
        ),
        (
            {"content": 5},
            "'content' must be a string or a non-empty array, not a number.",
            "content",
        ),
        (
            {"input": ["sEcReT", None]},
            "'input[1]' must be a string or an array of token ids.",
            "input[1]",
        ),
    ],
)
def test_inputs_that_cannot_be_sized(fields: dict[str, Any], told: str, param: str) -> None:
    assert refusal(endpoints.EMBEDDINGS, **fields) == (told, param)


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"query": "q", "documents": ["a", "ccc", "bb"]}, "q\nccc"),
        ({"query": "q", "documents": ["ab", "é€"]}, "q\né€"),
        ({"query": "", "texts": ["a"]}, "\na"),
        ({"query": "q", "texts": ["t"], "documents": ["d"]}, "q\nd"),
        ({"query": "q", "documents": ["", {"text": "x"}]}, 'q\n{"text": "x"}'),
    ],
)
def test_a_query_is_read_with_the_longest_document(fields: dict[str, Any], prompt: str) -> None:
    found = facts(endpoints.RERANK, **fields)
    assert (found.prompts, found.max_output) == ((prompt,), 0)


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({"documents": ["a"]}, "'query' must be a string, not null.", "query"),
        ({"query": ["sEcReT"]}, "'query' must be a string, not an array.", "query"),
        ({"query": "q"}, "'documents' must be a non-empty array, not null.", "documents"),
        (
            {"query": "q", "texts": []},
            "'texts' must be a non-empty array, not an empty array.",
            "texts",
        ),
        (
            {"query": "q", "documents": ["sEcReT", 7]},
            "'documents[1]' must be a string, not a number.",
            "documents[1]",
        ),
    ],
)
def test_what_cannot_be_ranked(fields: dict[str, Any], told: str, param: str) -> None:
    assert refusal(endpoints.RERANK, **fields) == (told, param)


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({}, ""),
        ({"input_prefix": "a", "input_suffix": "b"}, "ab"),
        ({"input_prefix": "a", "prompt": "p", "input_suffix": None}, "ap"),
        (
            {"input_prefix": "a", "input_extra": [{"filename": "f", "text": "t"}, {"text": "u"}]},
            "aftu",
        ),
    ],
)
def test_what_surrounds_a_gap(fields: dict[str, Any], prompt: str) -> None:
    found = facts(endpoints.INFILL, n_predict=9, **fields)
    assert (found.prompts, found.max_output) == ((prompt,), 9)


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({"input_prefix": 5}, "'input_prefix' must be a string, not a number.", "input_prefix"),
        ({"input_extra": "x"}, "'input_extra' must be an array, not a string.", "input_extra"),
        (
            {"input_extra": ["sEcReT"]},
            "'input_extra[0]' must be an object, not a string.",
            "input_extra[0]",
        ),
        (
            {"input_extra": [{"text": ["sEcReT"]}]},
            "'input_extra[0].text' must be a string, not an array.",
            "input_extra[0].text",
        ),
    ],
)
def test_a_gap_that_cannot_be_sized(fields: dict[str, Any], told: str, param: str) -> None:
    assert refusal(endpoints.INFILL, **fields) == (told, param)


@pytest.mark.parametrize("kind", [endpoints.EMBEDDINGS, endpoints.RERANK, endpoints.AUXILIARY])
def test_what_is_not_written_token_by_token_is_no_stream(kind: Endpoint) -> None:
    found = facts(kind, input="a", query="q", documents=["d"], stream=True, max_tokens="?")
    assert (found.stream, found.max_output) == (False, 0)


def test_an_auxiliary_request_has_nothing_to_size() -> None:
    found = facts(endpoints.AUXILIARY, model="m", messages=5, content={"x": 1})
    assert (found.model, found.prompts, found.segments) == ("m", (), ())
