"""models/requests/endpoints.py: how each endpoint is sized and placed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import BARE, model, result_of

from models.requests import endpoints
from models.requests.reader import RequestFacts, parse
from models.selection import ModelSelector
from models.sizing import Known, PromptSize, Source, byte_bound, longest
from utils.errors import ContextLengthExceeded

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint
    from models.spec import ModelSpec, VariantSpec

MODEL = model(100, 200)


class Exactly:
    """A sizer with fixed answers."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def guess(self, _model: ModelSpec, _facts: RequestFacts) -> PromptSize:
        return PromptSize(self.tokens, self.tokens, Source.ENGINE)


class Nothing:
    """Runs no engine."""

    def running(self, _model: ModelSpec) -> VariantSpec | None:
        return None


def facts(kind: Endpoint, **fields: Any) -> RequestFacts:
    return parse(kind, json.dumps(fields).encode())


def chosen(kind: Endpoint, tokens: int, **fields: Any) -> int:
    sizer: Any = Exactly(tokens)
    selector = ModelSelector(sizer, Nothing())
    return result_of(selector.select(MODEL, facts(kind, **fields))).minimum.capacity


@pytest.mark.parametrize(("tokens", "context"), [(100, 100), (101, 200), (200, 200)])
def test_an_embedding_may_fill_a_context(tokens: int, context: int) -> None:
    assert chosen(endpoints.EMBEDDINGS, tokens, input="a") == context


def test_an_embedding_beyond_the_largest_context() -> None:
    with pytest.raises(ContextLengthExceeded):
        chosen(endpoints.EMBEDDINGS, 201, input="a")


@pytest.mark.parametrize(("tokens", "context"), [(99, 100), (100, 200), (199, 200)])
def test_what_is_written_needs_room_for_a_token(tokens: int, context: int) -> None:
    assert chosen(endpoints.COMPLETION, tokens, prompt="a", max_tokens=0) == context
    with pytest.raises(ContextLengthExceeded):
        chosen(endpoints.COMPLETION, 200, prompt="a", max_tokens=0)


def test_an_engine_cuts_what_surrounds_a_gap() -> None:
    assert chosen(endpoints.INFILL, 5000, input_prefix="a", n_predict=8) == 200


def test_an_auxiliary_request_takes_one_token_whatever_it_holds() -> None:
    assert byte_bound(facts(endpoints.AUXILIARY, content="x" * 999), BARE, Known()) == 1


def test_only_the_longest_of_many_prompts_are_counted() -> None:
    few = ("a", "ccc", "bb")
    assert longest(few) == [*few]
    many = tuple("x" * length for length in range(50))
    assert [len(text) for text in longest(many)] == [49, 48, 47, 46, 45, 44, 43, 42]


@pytest.mark.parametrize("kind", endpoints.ENDPOINTS)
def test_what_holds_for_each_endpoint(kind: Endpoint) -> None:
    uncounted = {endpoints.SPEECH, endpoints.IMAGE, endpoints.IMAGE_EDIT, endpoints.AUXILIARY}
    assert kind.sized is (kind not in uncounted)
    assert kind.cut_to_fit is (kind is endpoints.INFILL)
    assert kind.generates is (kind not in {endpoints.EMBEDDINGS, endpoints.RERANK, *uncounted})
