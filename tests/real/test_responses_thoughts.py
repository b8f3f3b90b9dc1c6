"""Thoughts in the Responses API: a real engine, whose template lets the model think."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = Path(__file__).resolve().parents[1] / "support" / "thinking.jinja"
# A model of noise thinks nothing of use: the grammar says what.
SAID: Any = {"extra_body": {"grammar": 'root ::= "I see.\\n</think>\\n\\nHello there!"'}}
PLAIN: Any = {"extra_body": {"grammar": 'root ::= "Hello there!"'}}
ASKED: Any = {"model": "smol", "input": "Say hello."}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("thoughts")
    args = ["-m", str(tiny), "-c", "1024", "-np", "1", "-t", "1", "--no-warmup", "--jinja"]
    args += ["--chat-template-file", str(TEMPLATE), "--temp", "0"]
    variant = f'binary = "{ENGINES[request.param]}", context = 1024, args = '
    variant += "{ " + json.dumps(args)[1:-1] + " }"
    model = f'{{ name = "smol", variants = {{ {{ {variant} }} }} }}'
    with gateway(folder, lua_config(folder, model, "")) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_thoughts_are_an_item_of_their_own(api: openai.OpenAI) -> None:
    made = api.responses.create(**ASKED, **SAID)
    thoughts, message = made.output
    assert thoughts.type == "reasoning"
    assert thoughts.content is not None
    assert [part.text.strip() for part in thoughts.content] == ["I see."]
    assert thoughts.summary == []
    assert message.type == "message"
    assert made.output_text == "Hello there!"


def test_a_summary_is_told_where_one_is_wanted(api: openai.OpenAI) -> None:
    with api.responses.with_streaming_response.create(
        **ASKED, **SAID, reasoning={"effort": "low", "summary": "auto"}, stream=True
    ) as raw:
        lines = [line for line in raw.iter_lines() if line.startswith("data: ")]
    events = [EVENT.validate_json(line.removeprefix("data: ")) for line in lines]
    kinds = [event.type for event in events]
    assert "response.reasoning_summary_text.delta" in kinds
    assert kinds.index("response.reasoning_summary_part.done") < kinds.index(
        "response.output_text.delta"
    )
    thoughts = events[-1].response.output[0]
    assert [part.text.strip() for part in thoughts.summary] == ["I see."]


def test_a_model_may_be_told_not_to_think(api: openai.OpenAI) -> None:
    made = api.responses.create(**ASKED, **PLAIN, reasoning={"effort": "none"})
    [message] = made.output
    assert message.type == "message"
    assert made.output_text == "Hello there!"


@pytest.mark.parametrize("keeps", ["gateway", "client"])
def test_thoughts_are_part_of_what_was_said(api: openai.OpenAI, keeps: str) -> None:
    include: Any = {"include": ["reasoning.encrypted_content"], "store": False}
    first = api.responses.create(**ASKED, **SAID, **(include if keeps == "client" else {}))
    said: Any = {"model": "smol", "input": "And now?"}
    if keeps == "gateway":
        said["previous_response_id"] = first.id
    else:
        items: Any = [item.model_dump(exclude_none=True) for item in first.output]
        # Only what is sealed is left of the thoughts, as with services that hide them.
        items[0].pop("content")
        said["input"] = [{"role": "user", "content": "Say hello."}, *items]
        said["input"].append({"role": "user", "content": "And now?"})
    second = api.responses.create(**said, **SAID)
    assert first.usage is not None
    assert second.usage is not None
    cached = second.usage.input_tokens_details.cached_tokens
    assert cached >= first.usage.input_tokens
    assert second.output_text == "Hello there!"
