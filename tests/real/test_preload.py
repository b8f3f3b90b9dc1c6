"""Files are preloaded for real engines, by a real gateway, from a disk."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from disk import evict
from real_engines import (
    ADMIN,
    ENGINES,
    MODEL,
    ONE,
    Gateway,
    gateway,
    lua_config,
    lua_model,
    until,
)

from engine.resources.learnt_store import COLD, LOADS, WARM
from engine.resources.page_cache import cached_share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The engine whose answer is waited for must be busy for long, should the disk be slow.
CONTEXT, LONG = 4096, 4000
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Write a long story about a fox."}],
    "extra_body": {"ignore_eos": True},
}


class Machine:
    """Two models with room for one, of which the second has a file of its own."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self.file = folder / "second.gguf"
        shutil.copy(MODEL, self.file)
        first, second = (lua_model(name, engine, (CONTEXT,)) for name in ("first", "second"))
        self.models = f"{first}, {second.replace(MODEL, str(self.file))}"
        evict(self.file)
        # A file system in memory never forgets: then there is nothing to read ahead.
        self.forgets = cached_share([str(self.file)]) == 0.0

    def gateway(self) -> Any:
        """A gateway that knows what the last one has learnt."""
        return gateway(self.folder, lua_config(self.folder, self.models, "state_carry = false,"))

    def learnt(self) -> dict[str, list[int]]:
        """What is kept of the second model's loads, in milliseconds."""
        entries = json.loads((self.folder / "state" / LOADS).read_bytes())["variants"].values()
        return next((each for each in entries if COLD in each), {})

    def teach(self, **times: list[int]) -> None:
        """The next gateway finds these times of the second model's loads instead."""
        path = self.folder / "state" / LOADS
        told = json.loads(path.read_bytes())
        (key,) = (key for key, each in told["variants"].items() if COLD in each)
        told["variants"][key] |= times
        path.write_text(json.dumps(told))


@pytest.fixture(params=ONE)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, ENGINES[request.param])
    yield made
    made.file.unlink()


def client(served: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def ask(api: openai.OpenAI, model: str) -> None:
    api.chat.completions.create(model=model, max_tokens=1, **ASKED)


def lines(served: Gateway, pattern: str) -> list[int]:
    """Return the places of such lines in the log."""
    return [at for at, line in enumerate(served.log) if re.search(pattern, line)]


def loaded_from_the_disk(machine: Machine, api: openai.OpenAI) -> None:
    """Load the second model at once, while no request waits for another one."""
    # On a busy machine its engine may have read much before the gateway looks: then once more.
    for _ in range(5):
        evict(machine.file)
        ask(api, "second")
        api.post("../admin/reload", cast_to=object, options={"headers": ADMIN})
        if machine.learnt() or not machine.forgets:
            return
    raise AssertionError("no load from the disk was seen")


def waited_for(machine: Machine, served: Gateway, api: openai.OpenAI, *, reads: bool) -> None:
    """Ask for the second model while the first answers, and wait for its answer."""
    ask(api, "first")
    evict(machine.file)
    before = len(served.log)
    with (
        ThreadPoolExecutor(1) as pool,
        api.chat.completions.create(model="first", max_tokens=LONG, stream=True, **ASKED) as stream,
    ):
        next(stream)
        waits = pool.submit(ask, api, "second")
        until(lambda: api.get("../health", cast_to=object)["waiting"] == 1)  # type: ignore[index] # JSON
        if reads:
            until(lambda: bool(lines(served, "second@4096: .* MiB preloaded")))
            assert (cached_share([str(machine.file)]) or 0.0) > 0.9
        else:
            for _ in range(50):
                next(stream)
            share = cached_share([str(machine.file)])
            # The system may keep a little of what it was told to drop.
            assert (share or 0.0) < 0.2 if machine.forgets else share in {1.0, None}
        assert not [at for at in lines(served, "second@4096 started") if at >= before]
        assert not waits.done()
        stream.close()
        waits.result()
    # The first model's line may come late.
    assert bool(lines(served, "second@4096: .* preloaded")) == reads


@pytest.mark.timeout(300)
def test_a_file_is_in_memory_before_its_engine_starts_where_that_helps(machine: Machine) -> None:
    with machine.gateway() as served, client(served) as api:
        loaded_from_the_disk(machine, api)
        waited_for(machine, served, api, reads=machine.forgets)
        learnt = machine.learnt()
    if not machine.forgets:
        assert not learnt
        return
    assert len(learnt[COLD]) == len(learnt[WARM]) == 1
    assert min(*learnt[COLD], *learnt[WARM]) > 0
    assert learnt[""] == learnt[WARM]
    for warm, reads in ((4900, False), (1000, True)):
        machine.teach(**{COLD: [5000] * 3, WARM: [warm] * 3})
        with machine.gateway() as served, client(served) as api:
            waited_for(machine, served, api, reads=reads)
            learnt = machine.learnt()
        assert len(learnt[WARM]) == (4 if reads else 3)
