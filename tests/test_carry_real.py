"""Conversations that outlive their engine, on real engines, through a real gateway."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import openai
import pytest
from real_engines import ENGINES, Gateway, gateway, lua_config, lua_model, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TALE = "A fox walks through the snow and meets a bear who is looking for honey. " * 4


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return ENGINES[request.param]


class Talk:
    """A conversation at temperature 0; each turn's prompt tokens, read and carried."""

    def __init__(self, served: Gateway, model: str = "smol") -> None:
        self.model = model
        self.messages: list[Any] = []
        self.read: list[tuple[int, int]] = []
        self.served = served

    def say(self, text: str, most: int = 8) -> str:
        self.messages.append({"role": "user", "content": text})
        url = f"{self.served.url}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as api:
            answer = api.chat.completions.create(
                model=self.model,
                messages=self.messages,
                temperature=0,
                max_tokens=most,
                extra_body={"ignore_eos": True},
            )
        said = answer.choices[0].message.content or ""
        self.messages.append({"role": "assistant", "content": said})
        timings = answer.model_extra["timings"]  # type: ignore[index]  # llama-server's own field
        self.read.append((timings["prompt_n"], timings["cache_n"]))
        return said


def config(folder: Path, engine: str, server: str = "") -> str:
    models = [
        lua_model("smol", engine, (512, 640, 1536)),
        lua_model("other", engine, (512,)),
        lua_model("large", engine, (1536,), "state_carry = false,"),
    ]
    return lua_config(folder, ", ".join(models), server)


def carried(talk: Talk) -> bool:
    """Whether the last turn read no more than what was new in it."""
    read, cached = talk.read[-1]
    return read <= talk.read[0][0] and cached > read


def test_a_conversation_crosses_its_variants_and_reads_nothing_twice(
    tmp_path: Path, engine: str
) -> None:
    with gateway(tmp_path, config(tmp_path, engine)) as served:
        talk, whole = Talk(served), Talk(served, "large")
        for _ in range(12):
            talk.say(TALE)
        for _ in range(12):
            whole.say(TALE)
        log = "".join(served.log)
    for variant in ("smol@512", "smol@640", "smol@1536"):
        assert f"{variant} ready" in log
    assert talk.messages == whole.messages
    # Not one token more than by an engine that was large from the beginning.
    assert talk.read == whole.read


def test_it_returns_after_another_model_ran(tmp_path: Path, engine: str) -> None:
    with gateway(tmp_path, config(tmp_path, engine)) as served:
        talk, other = Talk(served), Talk(served, "other")
        for _ in range(3):
            talk.say(TALE)
            other.say("Hello.")
        assert all(read <= talk.read[0][0] < cached for read, cached in talk.read[1:])


def test_it_returns_after_the_engine_was_idle(tmp_path: Path, engine: str) -> None:
    with gateway(tmp_path, config(tmp_path, engine, "engine_idle_timeout = 0.3,")) as served:
        talk = Talk(served)
        talk.say(TALE)
        until(lambda: "smol@512 stopped" in "".join(served.log))
        talk.say(TALE)
        assert carried(talk)


def test_it_returns_after_the_gateway_was_restarted(tmp_path: Path, engine: str) -> None:
    with gateway(tmp_path, config(tmp_path, engine)) as served:
        talk = Talk(served)
        talk.say(TALE)
        assert served.stop() == 0
    with gateway(tmp_path, config(tmp_path, engine)) as talk.served:
        talk.say(TALE)
        assert carried(talk)


def test_of_several_conversations_each_finds_its_own(tmp_path: Path, engine: str) -> None:
    with gateway(tmp_path, config(tmp_path, engine)) as served:
        talks = [Talk(served) for _ in range(3)]
        for number, talk in enumerate(talks):
            talk.say(f"{number}: {TALE}")
            Talk(served, "other").say("Hello.")
        for talk in reversed(talks):
            talk.say(TALE)
            assert carried(talk)


def test_what_is_switched_off_leaves_nothing(tmp_path: Path, engine: str) -> None:
    with gateway(tmp_path, config(tmp_path, engine, "state_carry = false,")) as served:
        Talk(served).say(TALE)
        assert served.stop() == 0
    assert list((tmp_path / "state" / "slots").iterdir()) == []


def truncate(state: Path, _other: Path) -> None:
    os.truncate(state, state.stat().st_size // 2)


def alter(state: Path, _other: Path) -> None:
    content = bytearray(state.read_bytes())
    content[: len(content) // 2] = os.urandom(len(content) // 2)
    state.write_bytes(content)


def swap(state: Path, other: Path) -> None:
    shutil.copy(other, state)


def lose(state: Path, _other: Path) -> None:
    state.unlink()


@pytest.mark.parametrize("harm", [truncate, alter, swap, lose])
def test_a_state_that_was_harmed_is_dropped_and_the_prompt_read_anew(
    tmp_path: Path, engine: str, harm: Callable[[Path, Path], None]
) -> None:
    with gateway(tmp_path, config(tmp_path, engine)) as served:
        talk, other = Talk(served), Talk(served, "other")
        talk.say(TALE)
        other.say(f"Hello. {TALE}")
        slots = tmp_path / "state" / "slots"
        (state,) = slots.glob("*.state")
        Talk(served, "large").say("Hello.")
        (foreign,) = set(slots.glob("*.state")) - {state}
        harm(state, foreign)
        talk.say(TALE)
        log = "".join(served.log)
    read, cached = talk.read[-1]
    assert cached == 0
    assert read > talk.read[0][0]
    assert "dropped" in log
    assert "smol@512 ended by itself" not in log
