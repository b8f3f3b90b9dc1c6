"""models/capabilities.py: what a model can do, and what requests need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import TYPES, model, variant

from models.capabilities import NAMES, Capabilities, require, require_path
from models.requests import endpoints
from models.requests.reader import parse
from models.spec import ModelSpec
from utils.errors import NotCapable

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint

IMAGE = {"type": "image_url", "image_url": {"url": "data:A"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A"}}
BOTH = {"vision", "audio"}


def made(*variants: Any, **fields: Any) -> ModelSpec:
    specs = tuple(
        variant(512 * (n + 1), args=tuple(args.split()), env=env)
        for n, (args, env) in enumerate(variants)
    )
    return ModelSpec(name="m", variants=specs, **fields)


def test_they_are_shown_in_a_fixed_order() -> None:
    assert Capabilities(frozenset(NAMES), frozenset()).shown() == list(NAMES)


def refusal(args: str, kind: Endpoint, **body: Any) -> str | None:
    spec = made((args, {}))
    facts = parse(kind, json.dumps(body).encode())
    try:
        require(spec, TYPES.capabilities(spec), facts)
    except NotCapable as error:
        assert error.param == ("tools" if body.get("tools") else "model")
        return error.message
    return None


def said(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("args", "kind", "body", "missing"),
    [
        ("", endpoints.CHAT, {"messages": said()}, None),
        ("", endpoints.CHAT, {"messages": said(IMAGE)}, "vision"),
        ("", endpoints.CHAT, {"messages": said(IMAGE, SOUND)}, "vision, audio"),
        ("--mmproj p", endpoints.CHAT, {"messages": said(IMAGE, SOUND)}, None),
        ("-hf x", endpoints.CHAT, {"messages": said(IMAGE)}, None),
        ("--no-jinja", endpoints.CHAT, {"messages": said(), "tools": [{}]}, "tools"),
        ("", endpoints.CHAT, {"messages": said(), "tools": [{}]}, None),
        ("--reranking", endpoints.CHAT, {"messages": said()}, "text"),
        ("--reranking", endpoints.COMPLETION, {"prompt": "a"}, "text"),
        ("--reranking", endpoints.MESSAGES, {"messages": said()}, "text"),
        ("--reranking", endpoints.INFILL, {}, "text"),
        ("--embeddings", endpoints.CHAT, {"messages": said()}, None),
        ("--embeddings", endpoints.EMBEDDINGS, {"input": "a"}, None),
        ("", endpoints.EMBEDDINGS, {"input": "a"}, "embeddings"),
        ("--reranking", endpoints.EMBEDDINGS, {"input": "a"}, "embeddings"),
        ("", endpoints.RERANK, {"query": "q", "documents": ["a"]}, "rerank"),
        ("--reranking", endpoints.RERANK, {"query": "q", "documents": ["a"]}, None),
        ("--embeddings", endpoints.AUXILIARY, {}, None),
    ],
)
def test_what_is_refused(args: str, kind: Endpoint, body: Any, missing: str | None) -> None:
    told = refusal(args, kind, **body)
    if missing is None:
        assert told is None
    else:
        assert told is not None
        assert told.startswith(f"The model 'm' is not configured for {missing}. It serves ")
        assert "with 'capabilities'" in told


def test_a_model_that_promises_nothing() -> None:
    spec = model(capabilities=frozenset())
    with pytest.raises(NotCapable, match=r"It serves nothing\."):
        require(
            spec, TYPES.capabilities(spec), parse(endpoints.CHAT, b'{"messages":[{"role":"user"}]}')
        )


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/v1/embeddings", True),
        ("/embedding?a=b", True),
        ("/info", True),
        ("/voices/de", True),
        ("/voices", False),
        ("/v1/chat/completions", False),
        ("/tokenize", False),
    ],
)
def test_only_listed_paths_are_answered(path: str, answered: bool) -> None:
    own = variant(None, endpoints=("/v1/embeddings", "/voices/"), health_path="/info")
    spec = ModelSpec("m", (own,))
    if answered:
        require_path(spec, path)
    else:
        with pytest.raises(NotCapable, match=f"does not serve {path}. Its 'endpoints' are /v1/"):
            require_path(spec, path)


def test_without_a_list_every_path_may_be_answered() -> None:
    require_path(model(), "/whatever")
