"""ConfigLoader from the file to the tables, through the real python-lua-helper."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lua_config import PRESETS
from paths import ROOT

from utils.config.loader import ConfigLoader
from utils.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.config.tables import Tables

MODELS = 'models = { { name = "a", variants = { { context = 512, binary = "/bin/sh" } } } }\n'


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Tables]:
    def load(source: str) -> Tables:
        path = tmp_path / "my.cfg.lua"
        path.write_text(source, encoding="utf-8")
        return ConfigLoader(path, PRESETS).load()

    return load


def faults_of(load: Callable[[str], Tables], source: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(source)
    assert "raceback" not in caught.value.message
    return caught.value.faults


def test_every_type_survives(load: Callable[[str], Tables], tmp_path: Path) -> None:
    tables = load(
        """
        server = { health_check_timeout = 0.5, max_queue = 3, log_level = "debug",
                   state_dir = "state", capture_folder = "kept", engine_idle_timeout = 1e15 }
        models = { { name = "größer 🦙.x", aliases = { "x.y", "1" }, variants = {
          { context = 512, binary = "/bin/sh", args = { "-c", 512, "", " a\\nb ", "ü" },
            env = { ["a.b.1"] = "dotted", PLAIN = "ü", [".."] = "" } },
          { context = 1024, binary = "/bin/sh" } }, group = "g.1", pinned = false } }
        groups = { ["g.1"] = { persistent = true } }
        """
    )
    assert tables.server == {
        "health_check_timeout": 0.5,
        "max_queue": 3,
        "log_level": "debug",
        "state_dir": str(tmp_path / "state"),
        "capture_folder": str(tmp_path / "kept"),
        "engine_idle_timeout": 1e15,
    }
    assert isinstance(tables.server["max_queue"], int)
    assert tables.models == [
        {
            "name": "größer 🦙.x",
            "aliases": ["x.y", "1"],
            "variants": [
                {
                    "context": 512,
                    "binary": "/bin/sh",
                    "args": ["-c", "512", "", " a\nb ", "ü"],
                    "env": [
                        {"name": "..", "value": ""},
                        {"name": "PLAIN", "value": "ü"},
                        {"name": "a.b.1", "value": "dotted"},
                    ],
                },
                {"context": 1024, "binary": "/bin/sh"},
            ],
            "group": "g.1",
            "pinned": False,
        }
    ]


def test_a_server_table_is_not_needed(load: Callable[[str], Tables]) -> None:
    assert load(MODELS).server == {}


def test_files_of_tls_stand_beside_the_configuration(
    load: Callable[[str], Tables], tmp_path: Path
) -> None:
    source = f"""server = {{ tls = {{ cert = "a.crt", key = "/etc/a.key" }},
                            trusted_proxies = {{ "::1", "10.0.0.0/8" }} }} {MODELS}"""
    server = load(source).server
    assert server["tls"] == {"cert": str(tmp_path / "a.crt"), "key": "/etc/a.key"}
    assert server["trusted_proxies"] == ["::1", "10.0.0.0/8"]


def test_what_only_looks_like_a_network_is_a_fault(load: Callable[[str], Tables]) -> None:
    source = f'server = {{ trusted_proxies = {{ "10.0.0.0/33", "300.1.1.1" }} }} {MODELS}'
    first, second = faults_of(load, source)
    assert first.startswith("server.trusted_proxies[1]: expected an address or a network")
    assert second.startswith("server.trusted_proxies[2]: ")


def test_many_elements_keep_their_order(load: Callable[[str], Tables]) -> None:
    tables = load(
        "local args = {} for index = 1, 120 do args[index] = index end\n"
        'local variant = { context = 1, binary = "/bin/sh", args = args }\n'
        'models = { { name = "a", variants = { variant } } }'
    )
    assert tables.models[0]["variants"][0]["args"] == [str(number) for number in range(1, 121)]


def test_all_faults_stand_in_one_error_with_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = """
    server = { engine_idle_timout = 5 }
    models = { { name = "a", tokenization = { binary = "nowhere/llama-tokenize" },
      variants = { { context = "4k", binary = "/bin/sh" } } } }
    """
    (tmp_path / "my.cfg.lua").write_text(source)
    missing = f'"{tmp_path}/nowhere/llama-tokenize" does not exist (model "a") (line 3)'
    with pytest.raises(ConfigError) as caught:
        ConfigLoader("my.cfg.lua", PRESETS).load()
    assert caught.value.message.splitlines() == [
        "my.cfg.lua: 3 faults",
        "server.engine_idle_timout: unknown key; did you mean engine_idle_timeout? (line 2)",
        'models[1].variants[1].context: expected a positive integer, got "4k" (model "a") (line 4)',
        f"models[1].tokenization.binary: expected an executable, but {missing}",
    ]
    lines = caught.value.message.splitlines()[1:]
    assert [f.partition(" (line")[0] for f in lines] == list(caught.value.faults)


def test_a_syntax_error_has_file_and_line(load: Callable[[str], Tables]) -> None:
    (fault,) = faults_of(load, "server = {}\nmodels = {\n{ 1")
    assert re.match(r"my\.cfg\.lua:3: '}' expected near '?<eof>'?$", fault)


def test_a_runtime_error_has_file_and_line(load: Callable[[str], Tables]) -> None:
    assert faults_of(load, '\nerror("no GPU")') == ("my.cfg.lua:2: no GPU",)


def test_what_the_file_prints_is_on_stderr(
    load: Callable[[str], Tables], capsys: pytest.CaptureFixture[str]
) -> None:
    load(MODELS + 'print("to stdout", 5) io.stderr:write("to stderr\\n")')
    out, err = capsys.readouterr()
    assert out == ""
    assert "to stdout\t5\n" in err
    assert "to stderr\n" in err


def test_an_exit_within_the_file_is_an_error(
    load: Callable[[str], Tables], capsys: pytest.CaptureFixture[str]
) -> None:
    for status, reason in ((0, "os.exit ended it early"), (3, "error code 3")):
        (fault,) = faults_of(load, f'print("leaving") os.exit({status})')
        assert reason in fault
        assert "leaving" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.lua", ".", "missing/x.lua", "my.cfg.lua/x"])
def test_a_file_that_cannot_be_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.cfg.lua").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        ConfigLoader(name, PRESETS).load()
    assert re.fullmatch(
        rf"{re.escape(name)}: cannot be read: (no such file or|is a|not a) directory",
        caught.value.message,
    )


def test_an_awkward_file_name(tmp_path: Path) -> None:
    path = tmp_path / "größe & 'my' 50%" / "-c my.lua"
    path.parent.mkdir()
    path.write_text(MODELS)
    assert ConfigLoader(path, PRESETS).load().models[0]["name"] == "a"


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def binary_of(load: Callable[[str], Tables], text: str) -> str:
    source = 'models = { { name = "a", variants = { { context = 1, binary = "%s" } } } }'
    return str(load(source % text).models[0]["variants"][0]["binary"])


def test_where_binaries_are_looked_for(
    load: Callable[[str], Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = executable(tmp_path / "bin" / "llama-server")
    at_home = executable(tmp_path / "home" / "llama-server")
    on_path = executable(tmp_path / "path" / "llama-server")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    assert binary_of(load, str(beside)) == str(beside)
    assert binary_of(load, "bin/llama-server") == str(beside)
    assert binary_of(load, "~/llama-server") == str(at_home)
    assert binary_of(load, "llama-server") == str(on_path)


def test_binaries_that_cannot_be_run(
    load: Callable[[str], Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").touch()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    reasons = {
        "plain": '"plain" is not on PATH; write "./plain" for the one beside this file',
        "gone": '"gone" is not on PATH',
        "./plain": f'"{tmp_path}/plain" is not executable',
        "x/gone": f'"{tmp_path}/x/gone" does not exist',
        "/usr/bin": '"/usr/bin" is a folder, not an executable file',
    }
    models = ", ".join(
        f'{{ name = "{name}", variants = {{ {{ context = 1, binary = "{name}" }} }} }}'
        for name in reasons
    )
    assert faults_of(load, f"models = {{ {models} }}") == tuple(
        f"models[{number}].variants[1].binary: expected an executable, but {reason}"
        f' (model "{name}")'
        for number, (name, reason) in enumerate(reasons.items(), 1)
    )


def test_the_bundled_engine_is_the_default(load: Callable[[str], Tables]) -> None:
    tables = load(
        "local args = { presets.bundled.model }"
        'models = { { name = "a", variants = { { context = 1, args = args } } } }'
    )
    (variant,) = tables.models[0]["variants"]
    assert variant["binary"] == "/bin/sh"
    assert Path(variant["args"][0]).suffix == ".gguf"


def test_a_bundled_model_that_is_not_installed(tmp_path: Path) -> None:
    path = tmp_path / "my.cfg.lua"
    path.write_text("x = presets.bundled.model")
    with pytest.raises(ConfigError) as caught:
        ConfigLoader(path, replace(PRESETS, model="")).load()
    [fault] = caught.value.faults
    assert fault.startswith("my.cfg.lua:1: presets.bundled.model is not installed: name a model")


def test_the_environment_is_as_before(
    load: Callable[[str], Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(os.environ)
    load(MODELS)
    faults_of(load, "models = 5")
    assert dict(os.environ) == before
    monkeypatch.setenv("LLM_GATEWAY_PYTHON", "mine")
    load(MODELS)
    assert os.environ["LLM_GATEWAY_PYTHON"] == "mine"


def test_a_lua_of_the_system_is_preferred(
    load: Callable[[str], Tables],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The least likely name but one, to show that even it comes before the built-in Lua.
    lua = executable(tmp_path / "bin" / "lua5.1")
    shim = ROOT / "utils" / "config" / "lua" / "lua51"
    lua.write_text(f'#!/bin/sh\n[ "$1" = -v ] || echo "from the system"\nexec {shim} "$@"\n')
    monkeypatch.setenv("PATH", f"{lua.parent}:{folder_without_lua()}")
    load(MODELS)
    assert "from the system" in capsys.readouterr().err


def folder_without_lua() -> str:
    """PATH without the folders of any Lua."""
    names = ("lua", "lua5.4", "lua54", "lua5.3", "lua53", "lua5.2", "lua52", "lua5.1", "lua51")
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(
        folder for folder in folders if not any(shutil.which(n, path=folder) for n in names)
    )


def test_without_any_lua_there_is_the_built_in_one(
    load: Callable[[str], Tables],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "")
    load(MODELS + "print(_VERSION, rawget(_G, 'python'), arg[0] ~= nil)")
    assert "Lua 5.4\tnil\ttrue" in capsys.readouterr().err


def test_when_not_even_that_works(
    load: Callable[[str], Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert faults_of(load, MODELS) == ("Failed to detect compatible Lua interpreter",)


def uncommented(example: str) -> str:
    """Return the example with its second, commented model in use."""
    start = example.index("-- local llama")
    end = example.index("models = {", start)
    code = re.sub(r"^-- ?", "", example[start:end], flags=re.MULTILINE)
    return example[:start] + code + "models = { smollm2_model, qwen3_model }\n"


def test_the_example(load: Callable[[str], Tables]) -> None:
    (model,) = load((ROOT / "example.cfg.lua").read_text()).models
    assert model["name"] == "smollm2-135m-instruct"
    assert model["aliases"] == ["smollm2"]
    assert [variant["context"] for variant in model["variants"]] == [2048, 4096, 8192]


def test_the_commented_part_of_the_example(
    load: Callable[[str], Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("llama-server", "llama-tokenize"):
        executable(tmp_path / "llama.cpp/build/bin" / name)
    _, model = load(uncommented((ROOT / "example.cfg.lua").read_text())).models
    assert model["tokenization"]["extra_args"][1].startswith(f"{tmp_path}/models/")
    for variant in model["variants"]:
        place = variant["args"].index("-c")
        assert variant["args"][place + 1] == str(variant["context"])
