"""utils/config/convert: configurations of other programs become valid ones of the gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from lua_config import PRESETS, run

from utils.config.convert.converter import converted
from utils.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from lua_config import Result

TYPES = replace(PRESETS, engines=("llamacpp", "generic", "remote"))
SWAP = """
healthCheckTimeout: 5
logLevel: warn
globalTTL: 300
startPort: 9000
includeAliasesInList: true
captureBuffer: 15
apiKeys: [sk-1]
macros:
  server: /opt/llama-server --port ${PORT}
  ctx: 4096
  args: "-c ${ctx} -np 2"
models:
  chat:
    macros: { ctx: 8192 }
    cmd: |
      ${server} --host 127.0.0.1
      # a comment
      -m ${env.HOME}/chat.gguf ${args} \\
      --temp 0.7 --chat-template-kwargs '{"a": "b c"}'
    env: ["CUDA_VISIBLE_DEVICES=0,1"]
    name: Chat
    aliases: [gpt]
    ttl: 0
    cmdStop: docker stop
    useModelName: other
    filters:
      stripParams: "top_p, top_k"
      setParams: { temperature: 0.7 }
      setParamsByID:
        "${MODEL_ID}:high": { reasoning_effort: high }
    capabilities: { in: [text, image], tools: true }
    unlisted: true
  hub:
    cmd: llama-server -hf org/repo:Q4_K_M --port ${PORT} -ngl 99
  file:
    cmd: llama-server --model /m/x.gguf
  other:
    cmd: python serve.py --port ${PORT}
    checkEndpoint: /ready
    concurrencyLimit: 3
  fixed:
    cmd: some-server
    proxy: http://127.0.0.1:9999
peers:
  far: { proxy: "https://far.example", apiKey: "${env.FAR_KEY}", models: [a, b/c] }
  near: { proxy: "http://near:8080", apiKey: secret, models: [d] }
selectors:
  any: { strategy: warm, targets: [chat, hub] }
  much: { strategy: spillover, targets: [chat, far/a], settings: { spillover: 4 } }
hooks: { on_startup: { preload: [chat, gone] } }
groups:
  together: { swap: false, persistent: true, members: [hub, other] }
  alone: { swap: true, members: [chat, file] }
"""


def result(tmp_path: Path, name: str, content: str) -> Result:
    """Return what post.lua makes of the converted file."""
    file = tmp_path / name
    file.write_text(content)
    made = run("lua54", tmp_path, converted(file), TYPES)
    assert made.faults == []
    return made


def by_name(found: Result) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in found.models}


def test_llama_swap_s_settings(tmp_path: Path) -> None:
    found = result(tmp_path, "config.yaml", SWAP)
    assert found.server == {
        "listen_v4": "0.0.0.0:8080",
        "engine_startup_timeout": 15,
        "engine_idle_timeout": 300,
        "list_aliases": True,
        "port_range_start": 9000,
        "log_level": "warning",
        "preload": ["chat"],
        "max_loaded_models": 3,
    }
    assert found.more["groups"] == [{"name": "together", "persistent": True}]


def test_llama_swap_s_llama_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    models = by_name(result(tmp_path, "config.yaml", SWAP))
    chat = models["chat"]
    (variant,) = chat["variants"]
    assert (variant["binary"], variant["context"], variant["parallel"]) == (
        "/opt/llama-server",
        4096,
        2,
    )
    assert variant["args"] == [
        *("-m", "/home/me/chat.gguf", "-c", "8192", "-np", "2", "--temp", "0.7"),
        *("--chat-template-kwargs", '{"a": "b c"}'),
    ]
    assert variant["env"] == [{"name": "CUDA_VISIBLE_DEVICES", "value": "0,1"}]
    assert chat["engine_idle_timeout"] == "never"
    assert chat["upstream_model"] == "other"
    assert chat["strip_params"] == ["top_p", "top_k"]
    assert chat["set_params"] == '{"temperature":0.69999999999999996}'
    assert chat["aliases"] == [
        "gpt",
        {"name": "chat:high", "params": '{"reasoning_effort":"high"}'},
    ]
    assert chat["capabilities"] == ["text", "vision", "tools"]
    assert chat["unlisted"] is True
    # The context is the model's own, so it is planned.
    assert (models["hub"]["hf"], models["hub"]["download"]) == ("org/repo:Q4_K_M", "request")
    assert models["hub"]["command"] == ["llama-server", "-ngl", "99"]
    assert (models["file"]["path"], models["file"]["mmproj"]) == ("/m/x.gguf", False)


def test_llama_swap_s_other_engines(tmp_path: Path) -> None:
    models = by_name(result(tmp_path, "config.yml", SWAP))
    (variant,) = models["other"]["variants"]
    assert variant["command"] == ["python", "serve.py", "--port", "${PORT}"]
    assert (variant["parallel"], models["other"]["health_path"]) == (3, "/ready")
    assert models["fixed"]["connect"] == "http://127.0.0.1:9999"
    far = models["far/b/c"]
    assert (far["url"], far["upstream_model"]) == ("https://far.example", "b/c")
    assert far["api_key_env"] == "FAR_KEY"
    assert models["near/d"]["api_key"] == "secret"
    assert models["hub"]["group"] == models["other"]["group"] == "together"


def test_what_is_not_converted_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(SWAP)
    said = converted(file)
    assert said.startswith("-- Converted from config.yaml.")
    for note in (
        "-- captureBuffer: is not converted",
        "-- apiKeys: make keys",
        "-- cmdStop: is not converted",
    ):
        assert note in said


PRESET = """
version = 1
[*]
ctx-size = 0
flash-attn = on
threads = 8
[org/repo:Q8_0]
n-gpu-layers = all
cache-type-k = q8_0
load-on-startup = true
jinja = false
[mine]
model = /m/mine.gguf
LLAMA_ARG_CTX_SIZE = 8192
mmproj = /m/mmproj.gguf
c = 4096
stop-timeout = 3
temp = 0.7
"""


def test_presets_of_llama_server(tmp_path: Path) -> None:
    found = result(tmp_path, "presets.ini", PRESET)
    assert found.more["defaults"] == {"threads": 8, "extra_args": ["--flash-attn", "on"]}
    models = by_name(found)
    hub, mine = models["org/repo:Q8_0"], models["mine"]
    assert (hub["hf"], hub["download"], hub["gpu_layers"]) == ("org/repo:Q8_0", "start", -1)
    assert "download" not in mine
    assert hub["extra_args"] == ["--cache-type-k", "q8_0", "--no-jinja"]
    assert (mine["path"], mine["mmproj"]) == ("/m/mine.gguf", "/m/mmproj.gguf")
    assert (mine["context_size"], mine["engine_stop_timeout"]) == (4096, 3)
    assert mine["extra_args"] == ["--temp", "0.7"]
    assert found.server["preload"] == ["org/repo:Q8_0"]


ROUTER = """{
  "version": "1.0",
  "router": {"host": "127.0.0.1", "port": 8082, "base_port": 50000, "read_timeout_s": 600,
             "admin_token": "t"},
  "default_spawn": {"command": ["llama-server", "--ctx-size", "4096"],
                    "proxy_endpoints": ["/v1/"], "health_endpoint": "/health"},
  "models": [
    {"name": "a.gguf", "path": "/m/a.gguf", "state": "auto", "group": ""},
    {"name": "b", "path": "/m/b.gguf", "state": "manual", "group": "g",
     "spawn": {"command": ["llama-server", "--mmproj", "/m/p.gguf"]}},
    {"name": "c", "path": "/m/c.gguf", "group": "g"}
  ]
}"""


def test_the_configuration_of_llama_router(tmp_path: Path) -> None:
    found = result(tmp_path, "router-config.json", ROUTER)
    assert found.server == {
        "listen_v4": "127.0.0.1:8082",
        "port_range_start": 50000,
        "admin_token": "t",
        "max_loaded_models": 2,
    }
    assert found.more["defaults"] == {
        "command": ["llama-server", "--ctx-size", "4096"],
        "endpoints": ["/v1/"],
        "health_path": "/health",
    }
    models = by_name(found)
    assert models["a.gguf"]["path"] == "/m/a.gguf"
    assert models["b"]["command"] == ["llama-server", "--mmproj", "/m/p.gguf"]
    assert models["b"]["mmproj"] is False
    assert models["b"]["group"] == models["c"]["group"] == "g"


WRAPPER = """
listen_addr: ":8000"
llama_server_path: /opt/llama-server
port_range_start: 8081
max_loaded_models: 3
health_check_sec: 30
models:
  - name: qwen
    model_path: /m/qwen.gguf
    gpu_layers: -1
    context_size: 8192
    extra_args: ["--mlock"]
"""


def test_the_configuration_of_the_wrapper(tmp_path: Path) -> None:
    found = result(tmp_path, "config.yaml", WRAPPER)
    assert found.server == {
        "listen_v4": "0.0.0.0:8000",
        "port_range_start": 8081,
        "max_loaded_models": 3,
        "health_check_interval": 30,
    }
    assert found.more["defaults"]["binary"] == "/opt/llama-server"
    assert found.more["defaults"]["context_size"] == 4096
    assert found.models == [
        {
            "name": "qwen",
            "path": "/m/qwen.gguf",
            "mmproj": False,
            "gpu_layers": -1,
            "context_size": 8192,
            "extra_args": ["--mlock"],
        }
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.yaml", "models: [", "cannot be understood"),
        ("a.yaml", "- 1", "it is not a llama-swap YAML"),
        ("a.yaml", "key: value", "it is not a llama-swap YAML"),
        ("a.yaml", 'models: { a: { cmd: "x \'y" } }', "cannot be understood: No closing quot"),
        ("a.ini", "key", "cannot be understood"),
        ("a.json", '{"router": {}, "models": [{}]}', "cannot be understood: 'name' is missing"),
        ("a.yaml", "\x00", "cannot be understood"),
    ],
)
def test_another_file_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: str, why: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigError, match=why):
        converted(file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        converted(tmp_path / "gone.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="it is no text"):
        converted(tmp_path / "bytes.yaml")
