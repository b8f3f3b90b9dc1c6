"""Memory of real engines: what they hold, what they report, and how it runs out."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engines import running_engine
from gateway import PATIENT
from real_engines import ENGINES, MODEL, Gateway, gateway, lua_config, lua_model, until

from engine.scheduling import events as ev
from models.spec import VariantSpec

if TYPE_CHECKING:
    from fake_engine import Journal

MIB = 1024 * 1024
ARGS = ("-m", str(MODEL), "-c", "512", "-np", "1", "-t", "1", "--no-warmup")


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_engine_is_measured_and_its_projection_is_read(
    engine: str, journal: Journal
) -> None:
    variant = VariantSpec("smol", 512, ENGINES[engine], PATIENT, (*ARGS, "-lv", "4"))
    async with running_engine(journal, variant) as run:
        measured = await run.reported(ev.EngineMeasured)
        assert isinstance(measured, ev.EngineMeasured)
        projected = run.process._memory._reader.amounts()
        weights = Path(MODEL).stat().st_size
        # Weights, 11 MiB of keys and values, some for computing.
        assert weights < projected["ram"] < weights + 60 * MIB
        # And libraries, the vocabulary, the server; in the bundled one Python.
        assert 0.8 * weights < measured.amounts["ram"] < weights + 500 * MIB


def ask(served: Gateway, **fields: Any) -> tuple[int, Any, Any]:
    body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, **fields}
    url = f"{served.url}/v1/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_context_too_large_for_the_machine_gives_way_to_a_smaller_one(
    engine: str, tmp_path: Path
) -> None:
    # 26 GiB of keys and values, in an address space of 19 GiB: few cells of many layers.
    small = tmp_path / "small-machine"
    small.write_text(f'#!/bin/sh\nulimit -v 20000000 || exit 1\nexec "{ENGINES[engine]}" "$@"\n')
    small.chmod(0o755)
    reserve = "tokenization = { default_max_tokens = 4096 },"
    models = lua_model("smol", str(small), (512, 1_200_000), reserve)
    with gateway(tmp_path, lua_config(tmp_path, models)) as served:
        status, headers, answer = ask(served, grammar='root ::= "yes"')
        assert status == 200, answer
        assert answer["choices"][0]["message"]["content"] == "yes"
        assert headers["X-Gateway-Variant"] == "smol@512"
        assert headers["X-Gateway-Fallback"] == "smol@1200000; reason=out-of-memory"
        status, headers, answer = ask(served, max_tokens=1000)
        assert status == 503
        assert answer["error"]["code"] == "engine_out_of_memory"
        assert "smol@1200000 ran out of memory (ram)" in answer["error"]["message"]
        log = "".join(served.log)
        assert "smol@512 serves instead" in log
        until((tmp_path / "state" / "needs.json").exists)
    entries = json.loads((tmp_path / "state" / "needs.json").read_bytes())["variants"]
    assert any(entry["ram"] > 80 * MIB for entry in entries.values())
