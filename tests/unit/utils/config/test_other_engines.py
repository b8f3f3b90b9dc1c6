"""Models of the engine types generic and remote: their keys and their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lua_config import VERSIONS, run

from utils.config.lua_data import Presets

if TYPE_CHECKING:
    from pathlib import Path

PRESETS = Presets(("llamacpp", "generic", "remote"), "/bin/sh", "")
COMMAND = 'command = { "/bin/sh", "-c", "listen ${PORT}" }'


def generic(extra: str = "", variant: str = COMMAND) -> str:
    return (
        'models = { { name = "a", engine = presets.engines.generic,'
        f" {extra} variants = {{ {{ {variant} }} }} }} }}"
    )


def remote(extra: str) -> str:
    return f'models = {{ {{ name = "a", engine = presets.engines.remote, {extra} }} }}'


@pytest.mark.parametrize("version", VERSIONS)
def test_a_generic_model(version: str, tmp_path: Path) -> None:
    source = generic(
        'health_path = "/info", ready_status = 204, stop_signal = "SIGINT", api_key = "k",'
        ' endpoints = { "/v1/embeddings", "/voices/" },'
    )
    result = run(version, tmp_path, source, PRESETS)
    assert result.faults == []
    [model] = result.models
    assert model["variants"] == [{"command": ["/bin/sh", "-c", "listen ${PORT}"]}]
    assert (model["health_path"], model["ready_status"]) == ("/info", 204)
    assert (model["stop_signal"], model["api_key"]) == ("SIGINT", "k")
    assert model["endpoints"] == ["/v1/embeddings", "/voices/"]


@pytest.mark.parametrize(
    ("extra", "url", "variants"),
    [
        ('url = "https://api.example.com/v1/"', "https://api.example.com/v1", [{"parallel": 16}]),
        (
            'url = "http://10.0.0.7:8080", variants = { { parallel = 2, context = 4096 } }',
            "http://10.0.0.7:8080",
            [{"parallel": 2, "context": 4096}],
        ),
        (
            'url = "http://far", variants = { { context = 4096 } }',
            "http://far",
            [{"parallel": 16, "context": 4096}],
        ),
    ],
)
def test_a_remote_model(extra: str, url: str, variants: list[object], tmp_path: Path) -> None:
    result = run("lua54", tmp_path, remote(extra), PRESETS)
    assert result.faults == []
    assert (result.models[0]["url"], result.models[0]["variants"]) == (url, variants)


NO_PORT = "does not say on which port it listens: hand it ${PORT}, or set the model's connect"


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        (generic(variant='command = { "/bin/sh" }'), [f".variants[1].command: {NO_PORT}"]),
        (generic('connect = "http://127.0.0.1:9000",', 'command = { "/bin/sh" }'), []),
        (generic(variant='command = { "/bin/sh" }, env = { PORT = "${PORT}" }'), []),
        (
            generic(variant="command = {}"),
            [
                (
                    '.variants[1].command: expected a list such as { "/opt/server", "--port",'
                    ' "${PORT}" }, got a table'
                )
            ],
        ),
        (
            generic(variant=f"{COMMAND} }}, {{ {COMMAND}"),
            [".variants[2].name: missing; of several variants without a context each needs a name"],
        ),
        (
            generic(variant=f'name = "x", {COMMAND} }}, {{ name = "x", {COMMAND}'),
            ['.variants[2].name: "x" is already a name of variants[1]'],
        ),
        (generic(variant=f'name = "x", {COMMAND} }}, {{ name = "y", {COMMAND}'), []),
        (
            generic(variant=f'name = "a@b", {COMMAND}'),
            ['.variants[1].name: expected a name without @, got "a@b"'],
        ),
        (
            generic('stop_signal = "SIGTREM",'),
            [
                (
                    '.stop_signal: expected "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL",'
                    ' got "SIGTREM"; did you mean SIGTERM?'
                )
            ],
        ),
        (
            generic('health_path = "health",'),
            ['.health_path: expected a path such as "/health", got "health"'],
        ),
        (
            generic("ready_status = 2000,"),
            [".ready_status: expected a status such as 200, got 2000"],
        ),
        (
            generic('endpoints = { "/v1/ embeddings" },'),
            ['.endpoints[1]: expected a path such as "/health", got "/v1/ embeddings"'],
        ),
        (generic('url = "http://far",'), [".url: no key of an engine of type generic"]),
        (
            generic(f"{COMMAND}, env = {{}},"),
            [
                f".{key}: belongs to the variants of an engine of type generic"
                for key in ("env", "command")
            ],
        ),
        (remote(""), [".url: missing"]),
        (
            remote('url = "api.example.com"'),
            ['.url: expected a URL such as "https://api.example.com", got "api.example.com"'],
        ),
        (
            remote('url = "http://far", connect = "http://127.0.0.1:1"'),
            [".connect: no key of an engine of type remote"],
        ),
        (
            remote('url = "http://far", variants = { {}, { context = 1 } }'),
            [".variants: expected one variant at most, as the engine runs elsewhere"],
        ),
        (
            remote(f'url = "http://far", variants = {{ {{ {COMMAND} }} }}'),
            [".variants[1].command: no key of an engine of type remote"],
        ),
    ],
)
def test_faults(source: str, faults: list[str], tmp_path: Path) -> None:
    result = run("lua54", tmp_path, source, PRESETS)
    assert result.faults == [f'models[1]{fault} (model "a")' for fault in faults]


def test_remote_models_take_no_room_beside_pinned_ones(tmp_path: Path) -> None:
    source = (
        'models = { { name = "p", pinned = true, variants = { { context = 1 } } },'
        ' { name = "r", engine = presets.engines.remote, url = "http://far" } }'
    )
    assert run("lua54", tmp_path, source, PRESETS).faults == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("server", "command", "more"),
    [
        (
            'vllm({ name = "a", model = "org/m", context = 4096, args = { "--dtype", "half" } })',
            (
                "vllm serve org/m --host 127.0.0.1 --port ${PORT} --max-model-len 4096"
                " --served-model-name a --dtype half"
            ),
            {"health_path": "/health", "count": "vllm"},
        ),
        (
            'mlx_lm({ name = "a", model = "org/m" })',
            "mlx_lm.server --model org/m --host 127.0.0.1 --port ${PORT}",
            {"upstream_model": "default_model"},
        ),
        (
            'tabbyapi({ name = "a", model = "m", command = { "/py", "main.py" }, context = 8 })',
            "/py main.py --model-name m --host 127.0.0.1 --port ${PORT} --max-seq-len 8",
            {"health_path": "/v1/model", "count": "tabbyapi"},
        ),
        (
            'koboldcpp({ name = "a", model = "/m.gguf", context = 8, group = "g" })',
            "koboldcpp --model /m.gguf --host 127.0.0.1 --port ${PORT} --contextsize 8",
            {"health_path": "/v1/models", "count": "koboldcpp", "group": "g"},
        ),
        (
            'sd_server({ name = "a", model = "/m.gguf" })',
            "sd-server -m /m.gguf --listen-ip 127.0.0.1 --listen-port ${PORT}",
            {"endpoints": ["/v1/images/generations", "/v1/images/edits"]},
        ),
        (
            'kokoro({ name = "a", endpoints = { "/v1/audio/speech", "/voices" } })',
            "fastkokoro",
            {"endpoints": ["/v1/audio/speech", "/voices"]},
        ),
    ],
)
def test_ready_models_of_other_servers(
    version: str, server: str, command: str, more: dict[str, object], tmp_path: Path
) -> None:
    result = run(version, tmp_path, f"models = {{ presets.servers.{server} }}", PRESETS)
    assert result.faults == []
    [model] = result.models
    [variant] = model["variants"]
    assert " ".join(variant["command"]) == command
    assert {name: model[name] for name in more} == more
    assert model["engine"] == "generic"


@pytest.mark.parametrize(
    ("server", "fault"),
    [
        ("vllm({ name = 'a' })", "presets.servers.vllm: model is required"),
        ("vllm('a')", "presets.servers.vllm: expected a table of options"),
        ("tabbyapi({ model = 'a' })", "presets.servers.tabbyapi: command is required"),
        ("ollama({})", "presets.servers has no 'ollama'"),
    ],
)
def test_ready_models_at_fault(server: str, fault: str, tmp_path: Path) -> None:
    result = run("lua54", tmp_path, f"\nmodels = {{ presets.servers.{server} }}", PRESETS)
    assert f":2: {fault}" in result.faults[0]
