"""Which variant answers: prompts are counted, and the engine's own count corrects the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gateway import PATIENT, fake_model, fake_tokenizer, fake_variant, running_gateway, until
from gateway_client import Answer, chat_body
from raw_client import PATIENCE, text_of

from engine.scheduling.lifecycle import State
from models.spec import ModelSpec, TokenizationSpec

if TYPE_CHECKING:
    from fake_engine import Journal

INPUT_TOKENS = "/v1/chat/completions/input_tokens"


def words(count: int, length: int = 1) -> str:
    return " ".join(["w" * length] * count)


# By its bytes this text could fill any of the variants; it has 30 words, a prompt of 34 tokens.
UNCLEAR = words(30, 40)


def sized(journal: Journal, *contexts: int, **fields: Any) -> ModelSpec:
    return fake_model(*(fake_variant(journal, context) for context in contexts), **fields)


def decided(answer: Answer) -> tuple[str, str]:
    """Return the variant, and the prompt's size with its source, from the headers."""
    assert answer.status == 200, answer.body
    headers = answer.headers
    return headers["X-Gateway-Variant"], headers["X-Gateway-Prompt-Tokens"]


# -- the smallest that suffices ---------------------------------------------------------------


async def test_the_smallest_variant_that_holds_prompt_and_answer(journal: Journal) -> None:
    async with running_gateway(journal, sized(journal, 256, 512, 1024)) as gw:
        variant, size = decided(await gw.chat("hello", max_tokens=4))
        assert variant == "m@256"
        assert size == "77; source=bound"  # 5 bytes, and 72 that templates may add
        assert decided(await gw.chat("hello", max_tokens=300))[0] == "m@512"
        # A larger one that runs serves what needs less; nothing is started for it.
        assert decided(await gw.chat("hello", max_tokens=4))[0] == "m@512"
        assert gw.starts() == [256, 512]
        # Clear by the bytes alone: nobody was asked to count.
        assert not gw.engine_requests(INPUT_TOKENS)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n_predict"])
async def test_requested_output_is_part_of_the_need(journal: Journal, field: str) -> None:
    async with running_gateway(journal, sized(journal, 256, 512)) as gw:
        body = {"messages": [{"role": "user", "content": "hello"}], field: 300}
        assert decided(await gw.post(body))[0] == "m@512"


async def test_default_max_tokens_without_a_limit(journal: Journal) -> None:
    tokenization = TokenizationSpec(default_max_tokens=400)
    model = sized(journal, 256, 512, tokenization=tokenization)
    async with running_gateway(journal, model) as gw:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        assert decided(await gw.post(body))[0] == "m@512"


async def test_the_largest_when_only_the_prompt_fits(journal: Journal) -> None:
    async with running_gateway(journal, sized(journal, 64, 128)) as gw:
        answer = await gw.chat("hello", max_tokens=1000)
        assert decided(answer)[0] == "m@128"
        assert answer.json["choices"][0]["finish_reason"] == "length"
        assert answer.json["usage"]["total_tokens"] == 128


# -- counting ---------------------------------------------------------------------------------


async def test_a_running_engine_counts_exactly(journal: Journal) -> None:
    async with running_gateway(journal, sized(journal, 256, 1024, 4096)) as gw:
        await gw.chat()
        assert decided(await gw.chat(UNCLEAR)) == ("m@256", "34; source=engine")
        assert len(gw.engine_requests(INPUT_TOKENS)) == 1
        assert gw.starts() == [256]
        # The same prompt again is known.
        assert decided(await gw.chat(UNCLEAR)) == ("m@256", "34; source=cache")
        assert len(gw.engine_requests(INPUT_TOKENS)) == 1


async def test_tools_are_counted_too(journal: Journal) -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": words(300)}}]
    async with running_gateway(journal, sized(journal, 256, 4096)) as gw:
        await gw.chat()
        answer = await gw.chat(UNCLEAR, tools=tools)
        used = answer.json["usage"]["prompt_tokens"]
        assert used > 300
        assert decided(answer) == ("m@4096", f"{used}; source=engine")


async def test_an_older_engine_counts_its_template(journal: Journal) -> None:
    model = fake_model(*(fake_variant(journal, context, old=1) for context in (256, 4096)))
    async with running_gateway(journal, model) as gw:
        await gw.chat()
        assert decided(await gw.chat(UNCLEAR)) == ("m@256", "34; source=engine")
        assert decided(await gw.chat(UNCLEAR + " w")) == ("m@256", "35; source=engine")
        assert len(gw.engine_requests(INPUT_TOKENS)) == 1, "asked once, then known to be missing"
        assert len(gw.engine_requests("/apply-template")) == 2
        assert len(gw.engine_requests("/tokenize")) == 2


async def test_the_tokenizer_counts_while_no_engine_runs(journal: Journal) -> None:
    model = sized(journal, 256, 4096, tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gw:
        # 30 words, 8 tokens for the message and 64 for the request.
        assert decided(await gw.chat(UNCLEAR)) == ("m@256", "102; source=tokenizer")
        [run] = journal.events("exit", who="llama-tokenize")
        assert len(UNCLEAR) <= run["bytes"] <= len(UNCLEAR) + 1
        assert gw.starts() == [256]


async def test_a_long_text_goes_through_standard_input(journal: Journal) -> None:
    """An argument of a command line can have 128 KiB at most."""
    model = sized(journal, 256, 4096, tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gw:
        text = words(100, 4000)
        assert decided(await gw.chat(text)) == ("m@256", "172; source=tokenizer")
        [run] = journal.events("start", who="llama-tokenize")
        assert not [word for word in run["argv"] if "www" in word]


async def test_the_tokenizer_counts_tool_definitions(journal: Journal) -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": words(300)}}]
    model = sized(journal, 256, 4096, tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gw:
        assert decided(await gw.chat(UNCLEAR, tools=tools))[0] == "m@4096"


@pytest.mark.parametrize(
    "knobs",
    [{"tokenize_exit": 1}, {"tokenize_output": "error: no vocab"}, {"tokenize_seconds": 30}],
)
async def test_the_bound_when_the_tokenizer_fails(
    journal: Journal, knobs: dict[str, object]
) -> None:
    model = sized(journal, 256, 4096, tokenization=fake_tokenizer(journal, **knobs))
    patience = 1.0 if "tokenize_seconds" in knobs else PATIENCE
    async with running_gateway(journal, model, tokenizer_timeout=patience) as gw:
        bound = len(UNCLEAR) + 72
        assert decided(await gw.chat(UNCLEAR)) == ("m@4096", f"{bound}; source=bound")
        assert len(journal.events("start", who="llama-tokenize")) == 1


async def test_the_tokenizer_when_the_engine_does_not_count_in_time(journal: Journal) -> None:
    timeouts = PATIENT.__class__(health_check=0.5, startup=15, idle=900, stop=15)
    model = fake_model(
        *(fake_variant(journal, c, count_seconds=30, timeouts=timeouts) for c in (256, 4096)),
        tokenization=fake_tokenizer(journal),
    )
    async with running_gateway(journal, model) as gw:
        await gw.chat()
        assert decided(await gw.chat(UNCLEAR)) == ("m@256", "102; source=tokenizer")


async def test_a_growing_conversation_pays_for_its_new_part_only(journal: Journal) -> None:
    # The engine never starts, so that every count is the tokenizer's.
    variants = (fake_variant(journal, context, exit_code=1) for context in (256, 4096))
    model = fake_model(*variants, tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gw:
        body = chat_body(UNCLEAR)
        (await gw.post(body)).error(503, "engine_start_failed")
        body["messages"] += [
            {"role": "assistant", "content": "old answer"},
            {"role": "user", "content": "new question"},
        ]
        (await gw.post(body)).error(503, "engine_start_failed")
        first, second = journal.events("exit", who="llama-tokenize")
        assert first["bytes"] >= len(UNCLEAR)
        assert second["bytes"] == len("old answer\nnew question")


async def test_what_an_engine_reported_is_the_next_turns_beginning(journal: Journal) -> None:
    model = sized(journal, 256, 4096, tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gw:
        body = chat_body(UNCLEAR)
        answer = await gw.post(body)
        body["messages"] += [
            answer.json["choices"][0]["message"],
            {"role": "user", "content": "and?"},
        ]
        # 34 tokens are known; what is new is small enough to be clear by its bytes.
        variant, size = decided(await gw.post(body))
        assert variant == "m@256"
        assert size.endswith("; source=bound")
        assert len(journal.events("start", who="llama-tokenize")) == 1
        assert not gw.engine_requests(INPUT_TOKENS)


# -- the engine's refusal ---------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_prompt_moves_to_a_larger_variant_unseen(
    journal: Journal, *, stream: bool
) -> None:
    lying = fake_variant(journal, 256, real_ctx=32)
    model = fake_model(lying, fake_variant(journal, 512), fake_variant(journal, 1024))
    async with running_gateway(journal, model) as gw:
        prompt = words(40)
        if stream:
            client = await (await gw.stream(prompt, max_tokens=3)).head()
            assert client.status == 200
            assert client.headers["x-gateway-variant"] == "m@512"
            *events, done = await client.rest()
            assert text_of(events) == "w.0 w.1 w.2"
            assert done == "[DONE]"
        else:
            answer = await gw.chat(prompt)
            assert decided(answer) == ("m@512", "44; source=engine")
            assert answer.text == "w.0 w.1 w.2 w.3"
        assert gw.starts() == [256, 512]
        refused, served = gw.engine_requests()
        assert refused["sha256"] == served["sha256"]


async def test_a_refused_prompt_skips_what_would_not_hold_it(journal: Journal) -> None:
    """Without a tokenizer, only the engine knows that the prompt needs a much larger variant."""
    model = fake_model(
        fake_variant(journal, 1000, real_ctx=32),
        fake_variant(journal, 1100, real_ctx=48),
        fake_variant(journal, 1200),
    )
    async with running_gateway(journal, model) as gw:
        assert decided(await gw.chat(words(60))) == ("m@1200", "64; source=engine")
        assert gw.starts() == [1000, 1100, 1200]


async def test_no_variant_holds_the_prompt_as_the_engine_says(journal: Journal) -> None:
    async with running_gateway(journal, sized(journal, 64, 128)) as gw:
        error = (await gw.chat(words(200))).error(400, "context_length_exceeded")
        assert error["param"] == "messages"
        assert (error["n_prompt_tokens"], error["n_ctx"]) == (204, 128)
        assert "204" in error["message"]
        assert "128" in error["message"]
        # A stream that has not begun gets the same, as a response.
        client = await (await gw.stream(words(200))).head()
        assert client.status == 400
        assert b'"context_length_exceeded"' in await client.body()
        assert (await gw.chat("hello")).status == 200


async def test_no_variant_holds_the_prompt_as_the_tokenizer_says(journal: Journal) -> None:
    model = sized(journal, 64, 128, tokenization=fake_tokenizer(journal))
    async with running_gateway(journal, model) as gw:
        error = (await gw.chat(words(200))).error(400, "context_length_exceeded")
        assert error["n_ctx"] == 128
        assert 128 <= error["n_prompt_tokens"] <= 204
        assert not gw.starts(), "it was clear without an engine"


async def test_the_largest_variant_lies(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, 256), fake_variant(journal, 512, real_ctx=32))
    async with running_gateway(journal, model) as gw:
        error = (await gw.chat(words(40), max_tokens=400)).error(400, "context_length_exceeded")
        assert (error["n_prompt_tokens"], error["n_ctx"]) == (44, 32)


# -- grow and shrink --------------------------------------------------------------------------


async def test_growing_starts_the_larger_after_the_smaller_has_exited(journal: Journal) -> None:
    async with running_gateway(journal, sized(journal, 256, 1024)) as gw:
        assert decided(await gw.chat("hello", max_tokens=4))[0] == "m@256"
        assert decided(await gw.chat("hello", max_tokens=500))[0] == "m@1024"
        [gone] = journal.events("exit")
        small, large = journal.events("start")
        assert gone["pid"] == small["pid"]
        assert gone["t"] <= large["t"]


async def test_growing_waits_for_the_answer_in_progress(journal: Journal) -> None:
    small = fake_variant(journal, 256, stall_at=1, times=1)
    async with running_gateway(journal, fake_model(small, fake_variant(journal, 1024))) as gw:
        first = await (await gw.stream("first")).head()
        await first.data()
        second = await gw.stream("second", max_tokens=500)
        await gw.until_waiting(1)
        assert gw.state(256) is State.READY
        assert not journal.events("sigterm")
        first.leave()
        await second.head()
        assert second.headers["x-gateway-variant"] == "m@1024"


async def test_shrinking_when_idle(journal: Journal) -> None:
    model = sized(journal, 256, 1024)
    async with running_gateway(journal, model, shrink_after=0.05, shrink_requests=2) as gw:
        await gw.chat("hello", max_tokens=500)
        assert decided(await gw.chat("hello"))[0] == "m@1024"
        # One small request is not enough; the second makes the last two small.
        assert decided(await gw.chat("hello"))[0] == "m@1024"
        await gw.until_state(State.READY, 256)
        assert gw.state(1024) is State.STOPPED
        assert gw.starts() == [1024, 256]
        assert decided(await gw.chat("hello"))[0] == "m@256"
        assert gw.starts() == [1024, 256]


async def test_no_shrinking_while_some_requests_need_it(journal: Journal) -> None:
    model = sized(journal, 256, 1024)
    async with running_gateway(journal, model, shrink_after=0.01, shrink_requests=3) as gw:
        for _ in range(3):
            await gw.chat("hello", max_tokens=500)
            await gw.chat("hello")
            await gw.chat("hello")
        assert gw.starts() == [1024]


@pytest.mark.parametrize("shrink_after", [0.0, 900.0])
async def test_no_shrinking_before_its_time(journal: Journal, shrink_after: float) -> None:
    model = sized(journal, 256, 1024)
    async with running_gateway(journal, model, shrink_after=shrink_after, shrink_requests=1) as gw:
        await gw.chat("hello", max_tokens=500)
        for _ in range(5):
            await gw.chat("hello")
        assert gw.starts() == [1024]


async def test_another_model_takes_the_engines_place(journal: Journal) -> None:
    other = fake_model(fake_variant(journal, 512, model="other"))
    async with running_gateway(journal, sized(journal, 256), other) as gw:
        assert (await gw.chat(model="m")).json["model"] == "m"
        assert (await gw.chat(model="other")).json["model"] == "other"
        await until(lambda: gw.state(256) is State.STOPPED)
        assert gw.starts() == [256, 512]
        assert journal.events("exit")[0]["t"] <= journal.events("start")[1]["t"]
