"""Models that keep what they have read in other ways, on real engines, through a real gateway.

What they answer after a stop is what an engine answers that never stopped, or has read all of
it itself.
"""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest
from real_engines import ADMIN, ENGINES, ONE, Gateway, gateway, lua_config, lua_model, until
from talk import Talk, unload
from tiny_models import EXACT, HYBRID, LONG_ROPE, RECURRENT, SLIDING, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = "A fox walks through the snow and meets a bear who is looking for honey. " * 4
TALE = SHORT + SHORT
WORDS = 12
TINY = {"sliding": SLIDING, "hybrid": HYBRID, "recurrent": RECURRENT, "long": LONG_ROPE}
KINDS = ("sliding", "hybrid", "recurrent")
# Little room is kept for the answer, so that it begins in the smallest variant.
RESERVE = "tokenization = { default_max_tokens = 64, extra_tokens_per_request = 32 },"
ALONE = "state_carry = false,"
Files = dict[str, "Path"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("models")
    return {name: write(tiny, folder / f"{name}.gguf") for name, tiny in TINY.items()}


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return ENGINES[request.param]


@pytest.fixture(scope="module")
def served(
    engine: str, files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Each model as one that is stopped, as one that grows, and as one that lives on."""
    folder = tmp_path_factory.mktemp("layouts")
    args = (*EXACT, "--swa-full")
    models = [lua_model("full", engine, (1024,), file=files["sliding"], args=args)]
    for name, file in files.items():
        contexts = (512, 1024) if name == "long" else (1024,)
        models += [
            lua_model(name, engine, contexts, file=file, args=EXACT),
            lua_model(f"growing {name}", engine, (256, 1024), RESERVE, file=file, args=EXACT),
            lua_model(f"whole {name}", engine, (1024,), ALONE, file=file, args=EXACT),
        ]
    with gateway(folder, config(folder, *models)) as running:
        yield running


def config(folder: Path, *models: str) -> str:
    return lua_config(folder, ", ".join(models), "max_loaded_models = 12,")


def standing(served: Gateway, model: str) -> str:
    asked = urllib.request.Request(f"{served.url}/running", headers=ADMIN)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        engines = json.load(answer)["engines"]
    (said,) = [each["state_carry"] for each in engines if each["model"] == model]
    return str(said)


def went(served: Gateway, model: str, what: str) -> int:
    """How often the model's slots were ``saved`` or ``restored``."""
    return sum(f"{model}@" in line and f"tokens {what}" in line for line in served.log)


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_goes_on_and_only_who_gains_nothing_is_left_alone(
    served: Gateway, kind: str
) -> None:
    talk, whole = Talk(served, kind), Talk(served, f"whole {kind}")
    for _ in range(2):
        talk.say(TALE, WORDS)
        unload(served, kind)
        whole.say(TALE, WORDS)
    talk.say("And then?", WORDS)
    whole.say("And then?", WORDS)
    assert talk.messages == whole.messages
    spared = [cached / (read + cached) for read, cached in talk.read[1:]]
    if kind == "sliding":
        # Newer engines save more of them than a window.
        assert standing(served, kind) == ("on" if any(spared) else "useless")
    else:
        assert standing(served, kind) == "on"
        # Not one token more than by an engine that never stopped.
        assert talk.read == whole.read


@pytest.mark.parametrize("kind", KINDS)
def test_a_grown_answer_is_that_of_the_large_variant(served: Gateway, kind: str) -> None:
    talk, whole = Talk(served, f"growing {kind}"), Talk(served, f"whole {kind}")
    asked = "Write a long story about a fox."
    assert talk.say(asked, 400) == whole.say(asked, 400)
    until(lambda: f"growing {kind}@1024 ready" in "".join(served.log))


def test_a_state_stays_among_contexts_that_turn_its_keys_alike(served: Gateway) -> None:
    talk, whole = Talk(served, "long"), Talk(served, "whole long")
    talk.say(SHORT, WORDS)
    unload(served, "long")
    talk.say("And then?", WORDS)
    assert talk.read[-1][1] > 0
    for text, known in ((TALE * 3, False), ("What else?", True)):
        talk.say(text, WORDS)
        assert (talk.read[-1][1] > 0) is known
        # What the smaller variant said is another's words to the larger.
        whole.messages = talk.messages[:-2]
        assert whole.say(text, WORDS) == talk.messages[-1]["content"]
        unload(served, "long")
    until(lambda: "long@512 ready" in "".join(served.log))
    until(lambda: "long@1024 ready" in "".join(served.log))


@pytest.mark.parametrize("model", [*KINDS, "full"])
def test_where_a_conversation_parts_from_its_state_nothing_is_taken_for_read(
    served: Gateway, model: str
) -> None:
    """A client shortens the answer that it sends back, by less than a window."""
    talk = Talk(served, model)
    whole = Talk(served, f"whole {'sliding' if model == 'full' else model}")
    assert talk.say(f"Once. {TALE}", 3 * WORDS) == whole.say(f"Once. {TALE}", 3 * WORDS)
    unload(served, model)
    for each in (talk, whole):
        words = each.messages[-1]["content"].split(" ")
        each.messages[-1]["content"] = " ".join(words[:WORDS])
    assert talk.say("And then?", WORDS) == whole.say("And then?", WORDS)
    if model == "full":
        assert standing(served, model) == "off"
        assert talk.read[-1][1] == 0


@pytest.mark.parametrize("engine", ONE, indirect=True)
def test_who_gains_nothing_is_left_alone_for_longer_than_the_gateway_lives(
    tmp_path: Path, engine: str, files: Files
) -> None:
    bare = (*EXACT, "--ctx-checkpoints", "0")
    text = config(
        tmp_path,
        lua_model("bare", engine, (1024,), file=files["sliding"], args=bare),
        lua_model("whole", engine, (1024,), ALONE, file=files["sliding"], args=bare),
    )
    with gateway(tmp_path, text) as served:
        talk, whole = Talk(served, "bare"), Talk(served, "whole")
        for before in ("on", "on", "useless"):
            talk.say(TALE, WORDS)
            whole.say(TALE, WORDS)
            assert standing(served, "bare") == before
            unload(served, "bare")
        assert talk.messages == whole.messages
        assert [cached for _, cached in talk.read] == [0, 0, 0]
        assert not list((tmp_path / "state" / "slots").iterdir())
    assert went(served, "bare", "restored") == went(served, "bare", "saved") == 2
    assert "bare@1024 cannot use saved states" in "".join(served.log)
    with gateway(tmp_path, text) as served:
        talk.served = served
        talk.say("And then?", WORDS)
        assert standing(served, "bare") == "useless"
