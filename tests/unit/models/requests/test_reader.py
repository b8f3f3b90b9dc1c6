"""models/requests/reader.py: body bytes in, facts out; nothing but BadRequest comes of bad ones."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from builders import chat, completion, message, model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from json_values import ANY_JSON, from_bytes

from models.catalog import Catalog
from models.requests import endpoints
from models.requests.reader import parse, read, shape, take_keep_alive
from utils.errors import BadRequest, ModelNotFound

if TYPE_CHECKING:
    from json_values import Parts

    from models.requests.endpoints import Endpoint


MARK = "tOp-sEcReT"
USER = message("hi")
# A transcription is a form, and never JSON: tests/unit/models/requests/test_transcription.py.
KINDS = [kind for kind in endpoints.ENDPOINTS if not kind.form]
TALKS = {endpoints.CHAT, endpoints.MESSAGES}


def a_part(parts: Parts) -> dict[str, Any]:
    if parts.below(2):
        inner = {"url": parts.text(12)} if parts.below(2) else {}
        return {"type": "image_url", "image_url": inner}
    return {"type": "text", "text": parts.text(12)}


def a_message(parts: Parts) -> dict[str, Any]:
    said: dict[str, Any] = {"role": parts.one_of(("system", "user", "assistant", "tool"))}
    content = parts.below(3)
    if content == 0:
        said["content"] = None
    elif content == 1:
        said["content"] = parts.text(12)
    else:
        said["content"] = parts.several(3, lambda: a_part(parts))
    if parts.below(2):
        said["name"] = parts.text(12)
    if parts.below(2):
        said["tool_calls"] = parts.several(2, lambda: {parts.text(12): parts.text(12)})
    return said


def a_conversation(parts: Parts) -> list[Any]:
    return [a_message(parts), *parts.several(4, lambda: a_message(parts))]


def a_body(parts: Parts) -> dict[str, Any]:
    """Return fields that mean something, with values that may be right or wrong."""
    if parts.below(4) == 0:
        return dict(parts.several(3, lambda: (parts.text(6), parts.value())))
    body = {name: parts.value() for name in FIELDS if parts.below(2)}
    if parts.below(2):
        body["stream"] = bool(parts.below(2))
    if parts.below(2):
        body["max_tokens"] = parts.number()
    if parts.below(2):
        body["messages"] = a_conversation(parts)
    return body


FIELDS = (
    "model",
    "stream",
    "messages",
    "prompt",
    "suffix",
    "max_tokens",
    "max_completion_tokens",
    "n_predict",
    "tools",
    "response_format",
)
messages = from_bytes(a_message, 32)
conversations = from_bytes(a_conversation, 100)
bodies = from_bytes(a_body, 160)
tools_ = from_bytes(lambda parts: parts.several(2, lambda: {parts.text(12): parts.text(12)}), 32)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def refusal(kind: Endpoint, body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(kind, body)
    return caught.value


def deep(levels: int, inside: str = "1") -> str:
    return "[" * levels + inside + "]" * levels


# -- The body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model": "m"',
        b"{'model': 'm'}",
        b'{"model": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": 1e999}',
        b'{"seed": ' + b"9" * 400 + b"}",
        b'{"model": "\xff\xfe"}',
        b'{"model": "\xc3"}',
        b'{"model": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        encoded({"model": "m"}) + b"x",
        deep(10_000).encode(),
        b'{"messages": ' + deep(10_000).encode() + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    for kind in KINDS:
        error = refusal(kind, body)
        assert error.message.startswith("The body is not valid JSON: "), kind
        assert error.param is None
        assert len(error.message) < 200


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"12", b"true", b"[{}]"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    for kind in KINDS:
        assert refusal(kind, body).message == "The body must be a JSON object.", kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_is_kept_as_it_came(kind: Endpoint) -> None:
    body = b'{ "messages" : [ {"role":"user", "content":"\\u00e9"} ], "prompt":"x", "x":1.0,'
    body += b' "input":"x", "query":"q", "documents":["d"] }\n'
    facts = parse(kind, body)
    assert facts.body is body
    assert facts.endpoint is kind


# -- model, stream, output


@pytest.mark.parametrize(
    ("fields", "model"),
    [({}, None), ({"model": None}, None), ({"model": ""}, None), ({"model": "q"}, "q")],
)
def test_the_model(fields: dict[str, Any], model: str | None) -> None:
    assert chat(USER, **fields).model == model
    assert completion("x", **fields).model == model


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1, "a number"),
        (1.5, "a number"),
        (True, "a boolean"),
        (["q"], "an array"),
        ([], "an empty array"),
        ({}, "an object"),
    ],
)
def test_a_model_that_is_no_string(value: Any, word: str) -> None:
    error = refusal(endpoints.CHAT, encoded({"messages": [USER], "model": value}))
    assert error.message == f"'model' must be a string, not {word}."
    assert error.param == "model"


@pytest.mark.parametrize(
    ("fields", "stream"),
    [({}, False), ({"stream": None}, False), ({"stream": False}, False), ({"stream": True}, True)],
)
def test_the_stream(fields: dict[str, Any], stream: bool) -> None:
    assert chat(USER, **fields).stream is stream


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_a_stream_that_is_no_boolean(value: Any) -> None:
    error = refusal(endpoints.CHAT, encoded({"messages": [USER], "stream": value}))
    assert error.message.startswith("'stream' must be true or false, not a")
    assert error.param == "stream"


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 100.0}, 100),
        ({"max_tokens": -1}, None),
        ({"n_predict": -2, "max_tokens": 7}, 7),
        ({"max_completion_tokens": 100}, 100),
        ({"n_predict": 100}, 100),
        ({"max_tokens": 1, "max_completion_tokens": 3, "n_predict": 2}, 3),
        ({"max_tokens": 2**31 - 1}, 2**31 - 1),
    ],
)
def test_the_requested_output(fields: dict[str, Any], output: int | None) -> None:
    assert chat(USER, **fields).max_output == output


@pytest.mark.parametrize(
    "field", ["max_tokens", "max_completion_tokens", "n_predict", "n", "n_cmpl"]
)
@pytest.mark.parametrize("value", [1.5, True, "100", [100], {}])
def test_a_number_that_is_no_integer(field: str, value: Any) -> None:
    error = refusal(endpoints.CHAT, encoded({"messages": [USER], field: value}))
    assert error.message.startswith(f"'{field}' must be an integer, not a")
    assert error.param == field


@pytest.mark.parametrize("value", [2**31, 2**63, 1e30])
def test_an_output_that_no_engine_can_give(value: float) -> None:
    error = refusal(endpoints.CHAT, encoded({"messages": [USER], "n_predict": value}))
    assert (error.message, error.param) == ("'n_predict' must not exceed 2147483647.", "n_predict")


# -- messages


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({}, "'messages' must be an array, not null.", "messages"),
        ({"messages": None}, "'messages' must be an array, not null.", "messages"),
        ({"messages": "hi"}, "'messages' must be an array, not a string.", "messages"),
        ({"messages": USER}, "'messages' must be an array, not an object.", "messages"),
        ({"messages": []}, "'messages' must hold at least one message.", "messages"),
        (
            {"messages": [USER, "hi"]},
            "'messages[1]' must be an object, not a string.",
            "messages[1]",
        ),
        (
            {"messages": [message(5)]},
            "'messages[0].content' must be a string or an array of parts, not a number.",
            "messages[0].content",
        ),
        (
            {"messages": [message([{"type": "text", "text": "a"}, "b"])]},
            "'messages[0].content[1]' must be an object, not a string.",
            "messages[0].content[1]",
        ),
    ],
)
def test_messages_that_cannot_be_sized(fields: dict[str, Any], told: str, param: str) -> None:
    error = refusal(endpoints.CHAT, encoded(fields))
    assert (error.message, error.param) == (told, param)


def test_a_conversation_is_a_preamble_and_a_segment_a_message() -> None:
    facts = chat(message("Be brief.", "system"), "Grüße")
    assert [(s.text, s.size, s.media, s.verbatim) for s in facts.segments] == [
        ("", 0, 0, True),
        ("Be brief.", 9, 0, True),
        ("Grüße", 7, 0, True),
    ]
    assert facts.prompts == ()
    assert facts.prompt_ids == 0


def test_an_answer_at_the_end_is_one_to_be_continued() -> None:
    answer = message("Once", "assistant")
    assert chat("a", answer).prefilled
    assert not chat("a", answer, "b").prefilled
    assert not completion("Once").prefilled


@pytest.mark.parametrize(
    ("content", "text", "media"),
    [
        (None, "", 0),
        ("", "", 0),
        ([], "", 0),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb", 0),
        ([{"type": "image_url", "image_url": {"url": "data:AAAA"}}], "", 1),
        ([{"type": "input_audio"}, {"type": "text", "text": "a"}, {"type": "video_url"}], "a", 2),
        ([{"type": "text", "text": 5}], '{"type": "text", "text": 5}', 0),
        ([{"type": ["image_url"]}], '{"type": ["image_url"]}', 0),
    ],
)
def test_the_text_and_media_of_a_content(content: Any, text: str, media: int) -> None:
    segment = chat(message(content)).segments[1]
    assert (segment.text, segment.media) == (text, media)
    assert segment.size == len(text.encode())


def test_what_else_a_message_holds_may_be_printed_by_a_template() -> None:
    call = {"id": "c1", "function": {"name": "look", "arguments": '{"at": "é"}'}}
    segment = chat(message(None, "assistant", tool_calls=[call])).segments[1]
    assert json.loads(segment.text) == {"tool_calls": [call]}
    assert not segment.verbatim
    assert segment.size == len(segment.text.encode())


def test_an_empty_extra_is_nothing() -> None:
    segment = chat(message("hi", name="", tool_calls=None)).segments[1]
    assert (segment.text, segment.verbatim) == ("hi", True)


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool", "function"])
def test_the_usual_roles_are_in_the_allowance_for_a_message(role: str) -> None:
    assert chat(message("hi", role)).segments[1].text == "hi"


@pytest.mark.parametrize("role", [None, 1, ["user"], {"a": "x"}])
def test_a_role_that_is_no_text_is_refused(role: Any) -> None:
    error = refusal(endpoints.CHAT, encoded({"messages": [USER, {"role": role, "content": "hi"}]}))
    assert error.message.startswith("'messages[1].role' must be a string, not ")
    assert error.param == "messages[1].role"


def test_a_role_that_is_none_is_text_that_a_template_prints() -> None:
    segment = chat({"role": "x" * 10_000, "content": "hi"}).segments[1]
    assert segment.size > 5000
    assert not segment.verbatim


@pytest.mark.parametrize(
    "field", ["tools", "functions", "response_format", "chat_template_kwargs", "json_schema"]
)
def test_what_templates_print_before_the_messages_is_the_preamble(field: str) -> None:
    value = [{"type": "function", "function": {"name": "look", "description": "é"}}]
    preamble = chat(USER, **{field: value}).segments[0]
    assert json.loads(preamble.text) == {field: value}
    assert not preamble.verbatim
    assert preamble.size >= len(encoded(value))


@pytest.mark.parametrize("value", [{}, "", 1])
def test_tools_that_are_no_array_are_refused(value: Any) -> None:
    error = refusal(endpoints.CHAT, encoded({"messages": [USER], "tools": value}))
    assert error.message.startswith("'tools' must be an array, not ")
    assert error.param == "tools"


@pytest.mark.parametrize("value", [None, []])
def test_an_empty_preamble_is_none(value: Any) -> None:
    assert chat(USER, tools=value).segments == chat(USER).segments


PLACES = [
    (endpoints.CHAT, '{"messages": [{"role": "user", "content": "hi", "x": %s}]}', 3),
    (endpoints.CHAT, '{"messages": [{"role": "user", "content": [{"type": "x", "y": %s}]}]}', 5),
    (
        endpoints.CHAT,
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "y": %s}]}]}',
        5,
    ),
    (endpoints.CHAT, '{"messages": [{"role": "user", "content": "hi"}], "tools": %s}', 1),
    (endpoints.CHAT, '{"messages": [{"role": "user", "content": "hi"}], "tool_choice": %s}', 1),
    (endpoints.COMPLETION, '{"prompt": %s}', 1),
    (endpoints.COMPLETION, '{"prompt": ["a", %s]}', 2),
    (endpoints.COMPLETION, '{"prompt": "a", "suffix": %s}', 1),
]


@pytest.mark.parametrize(("kind", "body", "around"), PLACES)
def test_a_hundred_levels_are_taken(kind: Endpoint, body: str, around: int) -> None:
    parse(kind, (body % deep(100 - around)).encode())


@pytest.mark.parametrize("levels", [101, 255, 990, 1020])
@pytest.mark.parametrize(("kind", "body", "around"), PLACES)
def test_deeper_nesting_is_refused(kind: Endpoint, body: str, around: int, levels: int) -> None:
    error = refusal(kind, (body % deep(levels - around)).encode())
    assert error.message == "The body is nested more than 100 levels deep."


def test_many_levels_of_many_values_take_no_memory_to_speak_of() -> None:
    many = ", ".join(["1"] * 400_000)
    body = f'{{"messages": [{{"role": "user", "content": "hi"}}], "tools": {deep(90, many)}}}'
    preamble = parse(endpoints.CHAT, body.encode()).segments[0]
    assert len(many) < preamble.size < 2 * len(body)


# -- prompts


@pytest.mark.parametrize(
    ("prompt", "texts", "ids"),
    [
        ("", ("",), 0),
        ("Once", ("Once",), 0),
        ([1, 2, 3], (), 3),
        (["a", "b"], ("a", "b"), 0),
        ([[1, 2], [1, 2, 3], [1]], (), 3),
        (["a", [1, 2]], ("a",), 2),
        ([[]], (), 0),
        ([12, "text", 7], ("12text7",), 0),
        ([["text", 7]], ('["text", 7]',), 0),
        ([{"prompt_string": "x"}], ('{"prompt_string": "x"}',), 0),
    ],
)
def test_the_prompts_of_a_completion(prompt: Any, texts: tuple[str, ...], ids: int) -> None:
    facts = completion(prompt)
    assert facts.prompts == texts
    assert facts.prompt_ids == ids
    assert facts.segments == ()


@pytest.mark.parametrize(
    ("suffix", "text"), [(None, "ab"), ("", "ab"), ("cd", "abcd"), (7, "ab7"), ([], "ab")]
)
def test_what_comes_after_the_gap_is_part_of_the_prompt(suffix: Any, text: str) -> None:
    assert completion("ab", suffix=suffix).prompts == (text,)


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({}, "'prompt' must be a string or a non-empty array, not null.", "prompt"),
        ({"prompt": 5}, "'prompt' must be a string or a non-empty array, not a number.", "prompt"),
        (
            {"prompt": []},
            "'prompt' must be a string or a non-empty array, not an empty array.",
            "prompt",
        ),
        (
            {"prompt": {}},
            "'prompt' must be a string or a non-empty array, not an object.",
            "prompt",
        ),
        (
            {"prompt": ["a", 1.5]},
            "'prompt[1]' must be a string or an array of token ids.",
            "prompt[1]",
        ),
        ({"prompt": [True]}, "'prompt[0]' must be a string or an array of token ids.", "prompt[0]"),
        (
            {"prompt": ["a", None]},
            "'prompt[1]' must be a string or an array of token ids.",
            "prompt[1]",
        ),
    ],
)
def test_prompts_that_cannot_be_sized(fields: dict[str, Any], told: str, param: str) -> None:
    error = refusal(endpoints.COMPLETION, encoded(fields))
    assert (error.message, error.param) == (told, param)


# -- Whatever comes


def marked(value: Any) -> Any:
    """Return the value with a secret in place of, or inside, each text of the client."""
    if isinstance(value, dict):
        return {key: marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    return MARK + value if isinstance(value, str) else value


@settings(max_examples=3 * settings().max_examples)
@given(st.sampled_from(KINDS), bodies | ANY_JSON)
def test_nothing_but_bad_request_comes_of_any_json(kind: Endpoint, value: Any) -> None:
    try:
        facts = parse(kind, encoded(value))
    except BadRequest as error:
        assert error.message
        return
    assert facts.endpoint is kind
    assert facts.max_output is None or facts.max_output >= 0
    assert bool(facts.segments) is (kind in TALKS)
    assert all(s.size == len(s.text.encode()) and s.media >= 0 for s in facts.segments)


@settings(max_examples=100)
@given(st.sampled_from([k for k in KINDS if k.sized]), st.binary(max_size=60))
@example(next(k for k in KINDS if "/infill" in k.paths), b"{}")
def test_nothing_but_bad_request_comes_of_any_bytes(kind: Endpoint, body: bytes) -> None:
    try:
        read = parse(kind, body)
    except BadRequest as error:
        assert error.message
        return
    # An object without any field is a request to fill a gap, too.
    assert isinstance(json.loads(body), dict)
    assert read.endpoint is kind


@settings(max_examples=2 * settings().max_examples)
@given(st.sampled_from(KINDS), bodies)
def test_no_refusal_repeats_what_a_client_wrote(kind: Endpoint, value: Any) -> None:
    try:
        parse(kind, encoded(marked(value)))
    except BadRequest as error:
        assert MARK not in error.message
        assert MARK not in (error.param or "")
        assert MARK not in str(error.__cause__)


@settings(max_examples=100)
@given(conversations, st.data())
def test_no_broken_json_is_repeated_either(said: list[Any], data: st.DataObject) -> None:
    body = encoded(marked({"messages": said}))
    cut = data.draw(st.integers(0, len(body) - 1))
    for broken in (
        body[:cut],
        body[:cut] + b"\x01" + body[cut:],
        body[:cut] + b"\xff" + body[cut:],
    ):
        try:
            parse(endpoints.CHAT, broken)
        except BadRequest as error:
            assert MARK not in error.message


# -- Digests


@given(conversations, conversations, tools_)
def test_the_digests_of_a_conversation_begin_those_of_the_longer_one(
    said: list[Any], more: list[Any], tools: list[Any]
) -> None:
    shorter = [s.digest for s in chat(*said, tools=tools).segments]
    longer = [s.digest for s in chat(*said, *more, tools=tools).segments]
    assert longer[: len(shorter)] == shorter
    assert len(set(longer)) == len(longer)


@given(conversations, st.data())
def test_any_change_changes_every_digest_from_there_on(
    said: list[Any], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(said) - 1))
    changed = data.draw(messages.filter(lambda one: encoded(one) != encoded(said[index])))
    before = [s.digest for s in chat(*said).segments]
    after = [s.digest for s in chat(*said[:index], changed, *said[index + 1 :]).segments]
    same = [a == b for a, b in zip(before, after, strict=True)]
    assert same == [True] * (index + 1) + [False] * (len(said) - index)


@pytest.mark.parametrize("field", ["tools", "response_format"])
def test_a_change_of_the_preamble_changes_every_digest(field: str) -> None:
    one = [s.digest for s in chat("a", "b", **{field: [{"x": 1}]}).segments]
    other = [s.digest for s in chat("a", "b", **{field: [{"x": 2}]}).segments]
    bare = [s.digest for s in chat("a", "b").segments]
    assert len({*one, *other, *bare}) == 9


def test_what_only_looks_alike_is_told_apart() -> None:
    alike = [
        [message("ab"), message("c")],
        [message("a"), message("bc")],
        [message("abc")],
        [message("ab", "system"), message("c")],
        [message("ab", name="c")],
        [message("ab"), message([{"type": "text", "text": "c"}])],
        [message("ab"), message("c", name=None)],
    ]
    assert len({chat(*said).segments[-1].digest for said in alike}) == len(alike)


SPEC = model(
    set_params={"temperature": 0.5, "top_k": 1},
    strip_params=("seed", "top_k"),
    alias_params={"m:think": {"temperature": 1, "chat_template_kwargs": {"think": True}}},
)


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        ({}, None, {"temperature": 0.5, "top_k": 1}),
        ({"seed": 1, "x": 2}, "m", {"x": 2, "temperature": 0.5, "top_k": 1}),
        ({"temperature": 9, "top_k": 9}, "m", {"temperature": 0.5, "top_k": 1}),
        (
            {},
            "m:think",
            {"temperature": 1, "top_k": 1, "chat_template_kwargs": {"think": True}},
        ),
    ],
)
def test_a_request_is_shaped(before: dict[str, Any], asked: str | None, after: Any) -> None:
    assert shape(before, SPEC, asked)
    assert before == after


@pytest.mark.parametrize(
    ("value", "sent", "changed"),
    [(1, 1, False), (1, True, True), (1, 1.0, True), (True, 1, True), ([1], [1], False)],
)
def test_only_what_differs_is_a_change(value: Any, sent: Any, changed: bool) -> None:
    request = {"x": sent}
    assert shape(request, model(set_params={"x": value}), None) is changed
    assert type(request["x"]) is type(value)


def test_nothing_configured_is_no_change() -> None:
    request = {"model": "m", "seed": 1}
    assert not shape(request, model(), "m")
    assert request == {"model": "m", "seed": 1}


def test_the_engine_may_be_told_another_name() -> None:
    request = {"model": "m"}
    spec = model(upstream_model="org/M")
    assert shape(request, spec, "m")
    assert request == {"model": "org/M"}
    assert not shape(request, spec, "m")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (300, 300.0),
        (1.5, 1.5),
        (-1, math.inf),
        ("0", 0.0),
        ("0s", 0.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("300ms", 0.3),
        ("+10s", 10.0),
        ("-1m", math.inf),
        (".5s", 0.5),
    ],
)
def test_keep_alive_as_ollama_reads_it(value: Any, seconds: float | None) -> None:
    request = {"keep_alive": value, "x": 1}
    there, found = take_keep_alive(request)
    assert there
    assert found == (None if seconds is None else pytest.approx(seconds))
    assert request == {"x": 1}


@pytest.mark.parametrize("value", ["", "5", "m", "5 m", "5x", "sEcReT", "9" * 10**6, True, [], {}])
def test_no_keep_alive(value: Any) -> None:
    with pytest.raises(BadRequest, match="'keep_alive' must be") as caught:
        take_keep_alive({"keep_alive": value})
    assert caught.value.param == "keep_alive"
    assert "sEcReT" not in caught.value.message


def test_no_keep_alive_at_all() -> None:
    assert take_keep_alive({}) == (False, None)


def test_the_body_is_written_anew_only_when_it_changes() -> None:
    body = b'{ "prompt" : "a", "temperature": 0.50 }'
    assert parse(endpoints.COMPLETION, body).body is body
    unchanged = Catalog([model(set_params={"temperature": 0.5})])
    assert read(endpoints.COMPLETION, body, unchanged)[1].body is body
    facts = parse(endpoints.COMPLETION, b'{ "prompt" : "a", "keep_alive": 5 }')
    assert (json.loads(facts.body), facts.keep_alive) == ({"prompt": "a"}, 5.0)


def test_what_is_sized_is_what_the_engine_gets() -> None:
    aliased = model(
        name="m",
        aliases=("m:x",),
        alias_params={"m:x": {"max_tokens": 7}},
        upstream_model="other",
    )
    body = b'{"prompt": "a", "model": "m:x", "max_tokens": 900}'
    found, facts = read(endpoints.COMPLETION, body, Catalog([aliased]))
    assert found is aliased
    assert facts.max_output == 7
    assert facts.model == "m:x"
    assert json.loads(facts.body)["model"] == "other"


def test_the_model_of_the_path_goes_before_the_body_s() -> None:
    one, other = model(name="one"), model(name="other", set_params={"seed": 1})
    body = b'{"prompt": "a", "model": "one"}'
    found, facts = read(endpoints.COMPLETION, body, Catalog([one, other]), "other")
    assert found is other
    assert json.loads(facts.body)["seed"] == 1
    with pytest.raises(ModelNotFound):
        read(endpoints.COMPLETION, body, Catalog([one, other]), "third")
