"""Kinds of models beside chats and sound: one that ranks, one that draws, by OpenAI's library."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import openai
import pytest
from painter import picture
from paths import ROOT
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model
from tiny_projector import write_projector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAINTER = ROOT / "tests" / "support" / "painter.py"
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module", params=ONE)
def served(request: Any, tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("kinds")
    draws = (
        f'presets.servers.sd_server({{ name = "draws", model = "{tiny}", '
        f'command = {{ "{sys.executable}", "{PAINTER}" }} }})'
    )
    binary = ENGINES[request.param]
    ranks = lua_model("ranks", binary, (512,), args=("--reranking",), file=tiny)
    embeds = lua_model("embeds", binary, (512,), args=("--embeddings",), file=tiny)
    projector = str(write_projector(folder / "mmproj.gguf"))
    sees = ("--embeddings", "--pooling", "mean", "--mmproj", projector)
    looks = lua_model("looks", binary, (512,), args=sees, file=tiny)
    models = f"{draws}, {ranks}, {embeds}, {looks}"
    with gateway(folder, lua_config(folder, models)) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as asking:
        yield asking


def colour(prompt: str) -> bytes:
    return hashlib.sha256(prompt.encode()).digest()[:3]


def test_pictures_are_made_and_changed(api: openai.OpenAI) -> None:
    made = api.images.generate(model="draws", prompt="a cat", n=2, size="16x16")
    assert made.data
    cat = base64.b64decode(made.data[0].b64_json or "")
    assert (cat, len(made.data)) == (picture(colour("a cat"), 16), 2)
    changed = api.images.edit(model="draws", image=("cat.png", cat), prompt="a dog")
    assert changed.data
    assert base64.b64decode(changed.data[0].b64_json or "") == picture(colour("a dogTrue"), 8)
    with pytest.raises(openai.BadRequestError, match="draws"):
        api.chat.completions.create(model="draws", messages=HELLO)


def test_documents_are_ranked(served: Gateway, api: openai.OpenAI) -> None:
    asked = {"model": "ranks", "query": "red", "documents": ["a b c", "the red one", "green"]}
    request = urllib.request.Request(f"{served.url}/v1/rerank", json.dumps(asked).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        told = json.load(response)
    assert sorted(each["index"] for each in told["results"]) == [0, 1, 2]
    assert len({each["relevance_score"] for each in told["results"]}) == 3
    with pytest.raises(openai.BadRequestError, match="ranks"):
        api.embeddings.create(model="ranks", input="red")


def test_pictures_are_embedded(api: openai.OpenAI) -> None:
    def vector(prompt: str, size: int, model: str) -> list[float]:
        data = base64.b64encode(picture(colour(prompt), size)).decode()
        seen: Any = [{"prompt_string": "a <__media__>", "multimodal_data": [data]}]
        made = api.embeddings.create(model=model, input=seen, encoding_format="float")
        assert made.usage.prompt_tokens > 4
        return made.data[0].embedding

    # Of the models that embed, the one that sees is asked.
    cat, dog = (vector(prompt, 64, "auto") for prompt in ("a cat", "a dog"))
    assert cat == pytest.approx(vector("a cat", 64, "looks"), rel=1e-3)
    assert cat != pytest.approx(dog, rel=1e-3)


def test_the_types_of_models(served: Gateway, api: openai.OpenAI) -> None:
    types = {model.id: (model.model_extra or {})["type"] for model in api.models.list()}
    known = {"draws": "image", "ranks": "rerank", "embeds": "embedding"}
    # Its projector hears as well.
    assert types == {**known, "looks": "vision-embedding"}
    seen: Any = [{"prompt_string": "<__media__>", "multimodal_data": ["aGk="]}]
    with pytest.raises(openai.BadRequestError, match="vision"):
        api.embeddings.create(model="embeds", input=seen)
    assert served.process.poll() is None
