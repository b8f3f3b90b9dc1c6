"""What clients are told of a load comes from the last one, also of a gateway that is gone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from real_engines import ENGINES, ONE, gateway, lua_config, lua_model, until

from engine.resources.learnt_store import LOADS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("engine", ONE)
def test_a_restarted_gateway_knows_how_long_real_engines_load(
    engine: str, tmp_path: Path, tiny: Path
) -> None:
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Write a long story about a fox."}],
        "extra_body": {"ignore_eos": True},
    }
    # The first answers for long, while the second is asked for.
    one = lua_model("one", ENGINES[engine], (2048,))
    models = f"{one}, {lua_model('two', ENGINES[engine], (2048,), file=tiny)}"
    config = lua_config(tmp_path, models, "state_carry = false, max_queue = 1,")
    kept = tmp_path / "state" / LOADS
    with (
        gateway(tmp_path, config) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as api,
    ):
        for model in ("one", "two"):
            api.chat.completions.create(model=model, max_tokens=1, **asked)
        shown = api.get("/models", cast_to=object)["data"]  # type: ignore[index] # JSON
    seen = sorted(each["load_seconds"]["2048"] for each in shown)
    told = json.loads(kept.read_bytes())
    times = sorted(entry[""][-1] / 1000 for entry in told["variants"].values())
    # What is kept leaves out the wait for the memory of the engine before.
    assert all(0 < time <= whole + 0.01 for time, whole in zip(times, seen, strict=True))
    # On a slower disk it would have been this.
    for entry in told["variants"].values():
        entry[""] = [30_000]
    kept.write_text(json.dumps(told))
    with (
        gateway(tmp_path, config) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as api,
        ThreadPoolExecutor(1) as pool,
        api.chat.completions.create(model="one", max_tokens=1900, stream=True, **asked) as stream,
    ):
        next(stream)
        waits = pool.submit(lambda: api.chat.completions.create(model="two", max_tokens=1, **asked))
        until(lambda: api.get("../health", cast_to=object)["waiting"] == 1)  # type: ignore[index] # JSON
        with pytest.raises(openai.RateLimitError) as refused:
            api.chat.completions.create(model="two", max_tokens=1, **asked)
        assert refused.value.response.headers["Retry-After"] == "31"
        stream.close()
        assert waits.result().choices
