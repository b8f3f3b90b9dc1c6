"""A count that was made without the engine never falls below what the engine then reports."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ports import quiet_port
from real_engines import ENGINES, LLAMA_TOKENIZE

from engine.llamacpp.tokenizer import LlamaTokenize
from engine.llamacpp.vocabulary_counter import VocabularyCounter
from models.requests import endpoints
from models.requests.reader import parse
from models.sizing import Known, Sizer, byte_bound
from models.spec import ModelSpec, Timeouts, TokenizationSpec, VariantSpec
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Prints tools as the templates of tool-trained models do; SmolLM2's own leaves them out.
TOOL_TEMPLATE = """{%- if tools %}<|im_start|>system
# Tools

You may call one or more functions to assist with the user query. You are provided with function
signatures within <tools></tools> XML tags:
<tools>{% for tool in tools %}
{{ tool | tojson(indent=4) }}{% endfor %}
</tools>
For each function call, return a json object with function name and arguments within
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% if message.tool_calls %}{% for call in message.tool_calls %}<tool_call>
{{ call.function | tojson(indent=4) }}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

SNIPPETS = [
    "The quick brown fox jumps over the lazy dog.",
    "Der schnelle braune Fuchs springt über den faulen Hund. Straßenbahnhaltestellenschild.",
    "敏捷的棕色狐狸跳过了懒狗。",
    "素早い茶色の狐がのろまな犬を飛び越える。",
    "الثعلب البني السريع يقفز فوق الكلب الكسول.",
    "Быстрая коричневая лиса прыгает через ленивую собаку.",
    "다람쥐 헌 쳇바퀴에 타고파.",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "👩‍👩‍👧‍👦🎉🏳️‍🌈🇺🇳 ¯\\_(ツ)_/¯ ﷽ Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "def f(x: int) -> int:\n    return {k: v for k, v in zip(range(x), 'abc' * x)}[0]  # 🐍\n",
    '{"a": [1, 2.5e-7, null, true], "b\\u00e9": "\\n\\t"}',
    "<|im_start|>system\nignore<|im_end|>",
    "   \n\n\t  \r\n      ",
    "a" * 200,
    "0123456789" * 20,
    "x" + "\u200b\u00ad" * 10 + "\x00\x7f",
]
PHASES = (Phase.explicit, Phase.generate)
texts = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=40), max_size=6).map(" ".join)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": texts}
    ),
    min_size=1,
    max_size=6,
)
calls = st.builds(
    lambda name, value: {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps({"q": value})},
            }
        ],
    },
    st.sampled_from(["get_weather", "search_files"]),
    texts,
)
tools = st.lists(
    st.builds(
        lambda name, text: {
            "type": "function",
            "function": {
                "name": name,
                "description": text,
                "parameters": {
                    "type": "object",
                    "properties": {"q": {"type": "string", "description": text}},
                    "required": ["q"],
                },
            },
        },
        st.sampled_from(["get_weather", "search_files", "run_shell"]),
        texts,
    ),
    max_size=3,
)


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[str]:
    template: Path = tmp_path_factory.mktemp("template") / "tools.jinja"
    template.write_text(TOOL_TEMPLATE)
    port = quiet_port()
    process = subprocess.Popen(
        [
            *(ENGINES[request.param], "-m", str(tiny), "-c", "8192", "-np", "1"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--jinja", "--chat-template-file", str(template), "-t", "1", "--no-warmup"),
        ],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b"listening" in line:
            break
    # Unread output must not fill the pipe and stop the engine.
    drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)
    drain.wait(10)
    process.stderr.close()


def asked(engine: str, path: str, body: bytes) -> Any:
    request = urllib.request.Request(engine + path, body)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def reported(engine: str, body: bytes) -> int:
    """The prompt's tokens by the engine itself; the next test ties them to ``prompt_tokens``."""
    return int(asked(engine, "/v1/chat/completions/input_tokens", body)["input_tokens"])


def test_the_engine_reports_what_it_counts(engine: str) -> None:
    for text in SNIPPETS[:6]:
        said = [{"role": "user", "content": text}]
        body = json.dumps({"messages": said, "max_tokens": 1}).encode()
        answer = asked(engine, "/v1/chat/completions", body)
        assert answer["usage"]["prompt_tokens"] == reported(engine, body)


class NoEngine:
    """A counter for the time before any engine runs."""

    async def count(self, _model: ModelSpec, _facts: object) -> None:
        return None


def model_with(tokenizer: str | None, file: Path) -> ModelSpec:
    timeouts = Timeouts(health_check=5, startup=60, idle=60, stop=5)
    variant = VariantSpec("smol", 8192, "llama-server", timeouts)
    return ModelSpec(
        "smol",
        (variant,),
        tokenization=TokenizationSpec(tokenizer, extra_args=("-m", str(file))),
    )


# Without shrinking: a failing example is short enough, and each try asks a real engine.
@settings(deadline=None, max_examples=20, phases=PHASES)
@given(messages, st.lists(calls, max_size=1), tools)
def test_standalone_counts_never_fall_below_the_engines(
    engine: str, tiny: Path, said: list[Any], called: list[Any], offered: list[Any]
) -> None:
    body = json.dumps(
        {"messages": [*said, *called, {"role": "user", "content": "Go on."}]}
        | ({"tools": offered} if offered else {})
    ).encode()
    facts = parse(endpoints.CHAT, body)
    model = model_with(LLAMA_TOKENIZE, tiny)
    truth = reported(engine, body)
    assert byte_bound(facts, model.tokenization, Known()) >= truth
    sizer = Sizer(NoEngine(), LlamaTokenize())
    size = asyncio.run(sizer.count(model, facts, sizer.guess(model, facts)))
    assert size.tokens >= truth
    assert size.at_least <= truth


@settings(deadline=None, max_examples=10, phases=PHASES)
@given(messages, messages)
def test_a_grown_conversation_is_bounded_from_its_known_beginning(
    engine: str, tiny: Path, before: list[Any], after: list[Any]
) -> None:
    def body(said: list[Any]) -> bytes:
        # The engine refuses a conversation that ends in two answers.
        return json.dumps({"messages": [*said, {"role": "user", "content": "Go on."}]}).encode()

    model = model_with(None, tiny)
    sizer = Sizer(NoEngine(), LlamaTokenize())
    first, grown = (
        parse(endpoints.CHAT, body(said))
        for said in (before, [*before, {"role": "user", "content": "Go on."}, *after])
    )
    sizer.learn(model, first, reported(engine, first.body))
    size = asyncio.run(sizer.count(model, grown, sizer.guess(model, grown)))
    assert size.tokens >= reported(engine, grown.body)
    unknown = byte_bound(grown, replace(model.tokenization), Known())
    assert size.tokens < unknown, "the beginning was known"


def test_a_vocabulary_alone_counts_as_the_engine_does(
    engine: str, tiny: Path, tmp_path: Path
) -> None:
    template = tmp_path / "tools.jinja"
    template.write_text(TOOL_TEMPLATE)
    timeouts = Timeouts(health_check=5, startup=60, idle=60, stop=5)
    args = ("-m", str(tiny), "--jinja", "--chat-template-file", str(template))
    model = ModelSpec("smol", (VariantSpec("smol", 8192, "llama-server", timeouts, args),))
    other = replace(model, variants=(replace(model.variants[0], args=("-m", str(template))),))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    chats = [[{"role": "user", "content": text}] for text in SNIPPETS]
    bodies = [json.dumps({"messages": said, "tools": [tool]}).encode() for said in chats]

    tokens = asked(engine, "/tokenize", b'{"content": "Hello world"}')["tokens"]

    async def counted() -> list[int]:
        counter = VocabularyCounter()
        try:
            found = [await counter.count(model, parse(endpoints.CHAT, body)) for body in bodies]
            assert await counter.count_text(model, "Hello world") == len(tokens)
            # A file without a vocabulary: each time the same reason.
            for _ in range(2):
                with pytest.raises(CountUnavailable, match="not a GGUF file"):
                    await counter.count_text(other, "Hello")
        finally:
            await counter.close()
        return found

    assert asyncio.run(counted()) == [reported(engine, body) for body in bodies]
