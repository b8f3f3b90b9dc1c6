"""server/codecs/ollama/requests.py: what a request asks of an engine."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import Parts

from models.requests import endpoints
from models.requests.reader import parse
from server.codecs.ollama.requests import (
    Asked,
    Purpose,
    chat,
    embed,
    embeddings,
    generate,
    top_logprobs,
)
from utils.errors import BadRequest

HELLO: Any = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def chatted(**fields: Any) -> Asked:
    return chat({"model": "m", "messages": HELLO, **fields})


def generated(**fields: Any) -> Asked:
    return generate({"model": "m", "prompt": "hello", **fields})


def test_a_chat() -> None:
    asked = chatted(options={"num_ctx": 4096, "seed": 1, "num_gpu": 1}, keep_alive="5m")
    assert asked.endpoint is endpoints.CHAT
    assert asked.body == {
        "model": "m",
        "messages": HELLO,
        "seed": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
        "keep_alive": "5m",
    }
    assert (asked.stream, asked.context, asked.unused) == (True, 4096, ("num_gpu",))
    assert (asked.purpose, asked.thinks) == (Purpose.ANSWER, None)


def test_a_whole_answer() -> None:
    asked = chatted(stream=False, keep_alive=None, options=None, tools=None, format=None)
    assert asked.body == {"model": "m", "messages": HELLO, "stream": False}
    assert not asked.stream


def test_tools_are_passed_on() -> None:
    assert chatted(tools=[TOOL]).body["tools"] == [TOOL]
    assert chatted(tools=[{"function": {"name": "f"}}]).body["tools"] == [
        {"type": "function", "function": {"name": "f"}}
    ]
    with pytest.raises(BadRequest, match="'tools' must be an array"):
        chatted(tools={"f": 1})


def test_a_prompt_is_a_chat_of_one_message() -> None:
    asked = generated(system="Be brief.", context=[], template="", suffix="")
    assert asked.endpoint is endpoints.CHAT
    assert asked.body["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO]
    image = "iVBORw0KGgo="
    [message] = generated(images=[image]).body["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]


def test_a_raw_prompt_is_a_text_completion() -> None:
    asked = generated(raw=True, stream=False, format=SCHEMA, think=True, options={"top_k": 1})
    assert asked.endpoint is endpoints.COMPLETION
    assert asked.body == {
        "model": "m",
        "prompt": "hello",
        "top_k": 1,
        "stream": False,
        "json_schema": SCHEMA,
    }
    assert asked.thinks is None


def test_a_suffix_asks_for_the_text_between() -> None:
    asked = generated(suffix="end", format="json")
    assert asked.endpoint is endpoints.INFILL
    assert asked.body == {
        "model": "m",
        "input_prefix": "hello",
        "input_suffix": "end",
        "prompt": "",
        "stream": True,
        "json_schema": {"type": "object"},
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1, 2]}, "context"),
        ({"raw": True, "system": "x"}, "system"),
        ({"raw": True, "images": ["AAAA"]}, "images"),
        ({"raw": True, "suffix": "x"}, "suffix"),
        ({"suffix": "x", "system": "x"}, "system"),
        ({"suffix": "x", "logprobs": True}, "logprobs"),
        ({"raw": 1}, "raw"),
        ({"prompt": ["x"]}, "prompt"),
        ({"stream": "no"}, "stream"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as fault:
        generated(**fields)
    assert fault.value.param == param


def test_formats() -> None:
    assert chatted(format="json").body["response_format"] == {"type": "json_object"}
    assert chatted(format=SCHEMA).body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "format", "schema": SCHEMA},
    }
    assert "response_format" not in chatted(format="").body
    for wrong in ("yaml", 1, ["json"]):
        with pytest.raises(BadRequest, match="'format' must be"):
            chatted(format=wrong)


@pytest.mark.parametrize(
    ("think", "arguments"),
    [
        (True, {"enable_thinking": True}),
        (False, {"enable_thinking": False}),
        ("high", {"enable_thinking": True, "reasoning_effort": "high"}),
    ],
)
def test_thinking(think: bool | str, arguments: dict[str, Any]) -> None:
    for asked in (chatted(think=think), generated(think=think)):
        assert asked.body["chat_template_kwargs"] == arguments
        assert asked.thinks is bool(think)


@pytest.mark.parametrize("think", ["much", 1, []])
def test_an_unknown_level_of_thinking(think: Any) -> None:
    with pytest.raises(BadRequest, match="'think' must be true, false or one of") as fault:
        chatted(think=think)
    assert fault.value.param == "think"


def test_logprobs() -> None:
    assert chatted(logprobs=True).body.items() >= {"logprobs": True, "top_logprobs": 1}.items()
    assert chatted(logprobs=True, top_logprobs=3).body["top_logprobs"] == 3
    assert generated(raw=True, logprobs=True, top_logprobs=3).body["logprobs"] == 3
    assert "logprobs" not in chatted(top_logprobs=3).body
    assert top_logprobs({}) == 0
    for wrong in (-1, 21, "2", True):
        with pytest.raises(BadRequest, match="'top_logprobs' must be an integer"):
            chatted(top_logprobs=wrong)


@pytest.mark.parametrize("empty", [{}, {"messages": []}, {"messages": None}])
def test_without_messages_the_model_is_loaded(empty: dict[str, Any]) -> None:
    asked = chat({"model": "m", **empty, "options": {"num_ctx": 9}})
    assert (asked.purpose, asked.keep_alive, asked.context) == (Purpose.LOAD, None, 9)
    assert asked.body == {"model": "m"}
    assert chat({**empty, "keep_alive": "10m"}).keep_alive == 600
    assert chat({**empty, "keep_alive": -1}).keep_alive == math.inf
    assert chat({**empty, "keep_alive": 0}).purpose is Purpose.UNLOAD


def test_without_a_prompt_the_model_is_loaded() -> None:
    for empty in ({}, {"prompt": ""}, {"prompt": None, "raw": True}):
        assert generate({"model": "m", **empty}).purpose is Purpose.LOAD
        assert generate({"model": "m", **empty, "keep_alive": "0s"}).purpose is Purpose.UNLOAD
    assert generated(keep_alive=0).purpose is Purpose.ANSWER
    with pytest.raises(BadRequest, match="'keep_alive' must be"):
        generate({"keep_alive": "soon"})


def test_embeddings() -> None:
    asked = embed({"model": "m", "input": "one", "options": {"num_ctx": 8, "seed": 1}})
    assert asked.endpoint is endpoints.EMBEDDINGS
    assert asked.body == {"model": "m", "input": ["one"], "encoding_format": "float"}
    assert (asked.context, asked.unused, asked.stream) == (8, ("seed",), False)
    assert embed({"input": ["a", "b"], "keep_alive": 1}).body["input"] == ["a", "b"]
    assert embeddings({"prompt": "one"}).body["input"] == ["one"]
    for asked in (embed({}), embed({"input": ""}), embed({"input": []}), embeddings({})):
        assert asked.purpose is Purpose.LOAD
    for wrong in (1, [1], {"a": 1}):
        with pytest.raises(BadRequest, match="'input' must be a string or an array of strings"):
            embed({"input": wrong})
    for dimensions in ("2", -1, 1.5, True):
        with pytest.raises(BadRequest, match="'dimensions' must be a positive integer"):
            embed({"input": "x", "dimensions": dimensions})


FIELDS = """model messages prompt suffix system raw images options format tools think logprobs
top_logprobs keep_alive stream input dimensions template context""".split()
NAMES = "role content images tool_calls function seed stop".split()


class Known(Parts):
    """No number that the reader of a request's body would not take."""

    def number(self) -> float:
        number = super().number()
        return number if -(2**63) <= number < 2**64 else 7

    def request(self) -> dict[str, Any]:
        return dict(self.several(6, lambda: (self.one_of(FIELDS), self.value(3, NAMES))))


@given(
    st.binary(min_size=60, max_size=120).map(lambda raw: Known(raw).request()),
    st.sampled_from([chat, generate, embed, embeddings]),
)
def test_whatever_is_sent_is_understood_or_refused(request: Any, read: Any) -> None:
    with suppress(BadRequest):
        asked = read(request)
        body = orjson.dumps(asked.body)
        if asked.purpose is Purpose.ANSWER:
            parse(asked.endpoint, body)


def test_engines_requests_can_be_read() -> None:
    """The gateway sizes what comes of the translation."""
    for asked in (
        chatted(keep_alive="1m", format=SCHEMA),
        generated(raw=True),
        generated(suffix="end"),
        embed({"input": ["a", "b"]}),
    ):
        facts = parse(asked.endpoint, orjson.dumps(asked.body))
        assert facts.stream == asked.stream
        assert facts.segments or facts.prompts
