"""Conversations that outlive their engine, on real engines, through a real gateway.

The model is tiny: what is read, saved and restored does not depend on what it says.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import real_engines
from real_engines import ENGINES, ONE, gateway, lua_config, until
from talk import Talk, unload
from tiny_models import EXACT

if TYPE_CHECKING:
    from pathlib import Path

    from real_engines import Gateway

LuaModel = Callable[..., str]

LINE = "A fox walks through the snow and meets a bear who is looking for honey. "
# Enough to be worth saving, and the size of a turn.
TALE = LINE * 3
# So many tokens that a turn is little beside it; each digit is one.
LONG = LINE + "3141592653" * 150


# Where the gateway decides alone, one engine is enough.
ONCE = pytest.mark.parametrize("engine", ONE, indirect=True)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return ENGINES[request.param]


@pytest.fixture
def lua_model(tiny: Path) -> LuaModel:
    """``lua_model`` of the tiny model."""

    def made(
        name: str,
        binary: str,
        contexts: tuple[int, ...],
        more: str = "",
        args: tuple[str, ...] = (),
    ) -> str:
        return real_engines.lua_model(name, binary, contexts, more, (*EXACT, *args), file=tiny)

    return made


def config(folder: Path, *models: str) -> str:
    return lua_config(folder, ", ".join(models))


def little(talk: Talk) -> bool:
    """Whether of the last turn's long prompt not more than a twentieth was read."""
    read, cached = talk.read[-1]
    return read <= (read + cached) / 20


def test_a_conversation_crosses_its_variants_and_reads_nothing_twice(
    tmp_path: Path, engine: str, lua_model: LuaModel
) -> None:
    text = config(
        tmp_path,
        lua_model("smol", engine, (256, 384, 768)),
        lua_model("large", engine, (768,), "state_carry = false,"),
    )
    with gateway(tmp_path, text) as served:
        talk, whole = Talk(served), Talk(served, "large")
        for _ in range(12):
            talk.say(LINE * 2)
        for _ in range(12):
            whole.say(LINE * 2)
        log = "".join(served.log)
    for variant in ("smol@256", "smol@384", "smol@768"):
        assert f"{variant} ready" in log
    assert talk.messages == whole.messages
    # Not one token more than by an engine that was large from the beginning.
    assert talk.read == whole.read


def test_a_long_prompt_is_read_once_whatever_happens(
    tmp_path: Path, engine: str, lua_model: LuaModel
) -> None:
    """Another model, an unload, a larger variant, a restart, a kill in the middle of a save.

    Before the first two another conversation took its slot.
    """
    text = config(
        tmp_path, lua_model("smol", engine, (2048, 2560)), lua_model("other", engine, (512,))
    )
    slots = tmp_path / "state" / "slots"
    with gateway(tmp_path, text) as served:
        talk = Talk(served)
        talk.say(LONG)
        assert sum(talk.read[0]) >= 1500
        answer = talk.say("What then?")
        Talk(served).say("Give this a title.")
        Talk(served, "other").say(TALE)
        talk.messages[-2:] = []
        assert talk.say("What then?") == answer
        assert little(talk)
        Talk(served).say("Give this a better title.")
        unload(served, "smol")
        talk.say("And then?")
        assert little(talk)
        # What it had grown by was little, and is not written before every other prompt.
        assert len(re.findall(r"1\d\d\d tokens saved", "".join(served.log))) == 1
        assert "smol@2560" not in "".join(served.log)
        # Room for a long answer is asked for, and the answer is one word.
        talk.say("Who met the fox?", 800, stop=[" "])
        assert "smol@2560 ready" in "".join(served.log)
        assert little(talk)
        known = "".join(path.read_text() for path in slots.glob("*.json"))
        assert not [word for word in ("fox", "snow", "honey", "user") if word in known]
        assert served.stop() == 0
    with gateway(tmp_path, text) as served:
        talk.served = served
        talk.say("Why?")
        assert little(talk)
        served.process.send_signal(signal.SIGTERM)
        until(lambda: bool(list(slots.glob("*.part"))) or served.process.poll() is not None)
        served.process.kill()
    with gateway(tmp_path, text) as served:
        assert not list(slots.glob("*.part"))
        talk.served = served
        # What was saved before is still of use.
        talk.say("Why?")
        assert little(talk)


@ONCE
def test_of_several_conversations_each_finds_its_own(
    tmp_path: Path, engine: str, lua_model: LuaModel
) -> None:
    with gateway(tmp_path, config(tmp_path, lua_model("smol", engine, (512,)))) as served:
        talks = [Talk(served) for _ in range(2)]
        for number, talk in enumerate(talks):
            talk.say(f"{number}: {TALE}")
            unload(served, "smol")
        # The second of them without a stop between: one state goes out as another comes in.
        for talk in reversed(talks):
            talk.say(TALE)
            read, cached = talk.read[-1]
            assert read <= talk.read[0][0] <= cached


def alternate(served: Gateway, model: str) -> tuple[Talk, Talk]:
    """Two conversations that take each other's place, three turns each; they grow by little."""
    talks = Talk(served, model), Talk(served, model)
    for text in (LINE * 7, "What then?", "Why?"):
        for number, talk in enumerate(talks):
            talk.say(f"{number}: {text}")
    return talks


@ONCE
def test_two_by_turns_read_no_more_than_without_carried_state(
    tmp_path: Path, engine: str, lua_model: LuaModel
) -> None:
    """Nothing is restored that the engine has nearer, and no slot is named that it has emptied."""
    sharing, bare = ("-np", "2", "-kvu"), ("--cache-ram", "0")
    text = config(
        tmp_path,
        lua_model("plain", engine, (1024,), "state_carry = false,"),
        lua_model("smol", engine, (1024,)),
        lua_model("sharing", engine, (1024,), args=sharing),
        lua_model("bare", engine, (1024,), args=bare),
    )
    with gateway(tmp_path, text) as served:
        plain = alternate(served, "plain")
        for name in ("smol", "sharing"):
            for talk, other in zip(alternate(served, name), plain, strict=True):
                for (read, _), (unaided, _) in zip(talk.read, other.read, strict=True):
                    assert read <= unaided
                assert talk.messages == other.messages
        # An engine that keeps nothing by itself gets it from disk while it runs.
        for talk in alternate(served, "bare"):
            (first, _), *later = talk.read
            assert all(cached >= first > 3 * read for read, cached in later)
        assert "".join(served.log).count("ready after") == 4


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


HARMS: tuple[Callable[[Path, Path], None], ...] = (truncate, alter, swap, lose)


def full_disk(folder: Path, engine: str) -> str:
    """An engine that can write no file as large as a state."""
    script = folder / "engine-on-a-full-disk"
    # 512 bytes a block.
    script.write_text(f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 8\nexec "{engine}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_a_state_that_was_harmed_is_dropped_and_the_prompt_read_anew(
    tmp_path: Path, engine: str, lua_model: LuaModel
) -> None:
    models = lua_model("smol", engine, (768,)), lua_model("other", engine, (512,))
    slots = tmp_path / "state" / "slots"
    with gateway(tmp_path, config(tmp_path, *models)) as served:
        Talk(served, "other").say(TALE)
        unload(served, "other")
        (foreign,) = slots.glob("*.state")
        talk = Talk(served)
        talk.say(TALE)
        for number, harm in enumerate(HARMS, start=1):
            unload(served, "smol")
            (state,) = set(slots.glob("*.state")) - {foreign}
            harm(state, foreign)
            talk.say("What then?")
            assert talk.read[-1][1] == 0
            log = "".join(served.log)
            lost = log.count("a saved state was removed meanwhile")
            assert lost == (harm is lose)
            assert log.count("is dropped: its file is damaged") + lost == number
        assert "ended by itself" not in "".join(served.log)


@ONCE
def test_on_a_full_disk_prompts_are_read_anew(
    tmp_path: Path, engine: str, lua_model: LuaModel
) -> None:
    small = full_disk(tmp_path, engine)
    with gateway(tmp_path, config(tmp_path, lua_model("smol", small, (512,)))) as served:
        talk = Talk(served)
        talk.say(TALE)
        unload(served, "smol")
        assert "a slot was not saved" in "".join(served.log)
        assert list((tmp_path / "state" / "slots").iterdir()) == []
        talk.say("What then?")
        assert talk.read[-1][1] == 0
