"""Models by their files in the Lua file: what the loader makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lua_config import PRESETS, VARIANT, VERSIONS, models, run

from utils.config.loader import ConfigLoader
from utils.config.local_models import DiscoverTable, LaunchOptions
from utils.config.schema import read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ('path = "~/m/x.gguf"', "x"),
        ('path = "C:\\\\m\\\\x-Q8_0.GGUF"', "x-Q8_0"),
        ('path = "big-Q4_0-00001-of-00003.gguf"', "big-Q4_0"),
        ('path = "x.gguf", name = "y"', "y"),
        ('hf = "org/repo"', "org/repo"),
        ('hf = "org/repo:Q4_K_M"', "org/repo:Q4_K_M"),
        ('hf = "org/repo", file = "sub/x.gguf"', "org/repo/sub/x.gguf"),
    ],
)
def test_a_model_is_called_by_its_file(version: str, tmp_path: Path, keys: str, name: str) -> None:
    found = run(version, tmp_path, f"models = {{ {{ {keys} }} }}")
    assert found.faults == []
    assert found.models[0]["name"] == name


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("", {"on": True}),
        ("discover = true", {"on": True}),
        ("discover = { ollama = true }", {"on": True, "ollama": True}),
        ('model_dirs = { "/m" }', None),
        (f"discover = false {models()}", None),
        (models(), None),
    ],
)
def test_models_are_looked_for_if_the_file_names_none(
    tmp_path: Path, source: str, where: object
) -> None:
    found = run("lua54", tmp_path, source)
    assert found.faults == []
    assert found.more.get("discover") == where


def test_paths_and_programs_are_found_and_options_read(tmp_path: Path) -> None:
    config = tmp_path / "my.cfg.lua"
    config.write_text(
        """
        defaults = { binary = "/bin/sh", gpu_layers = -1, contexts = { 4096, 512 } }
        model_dirs = { "models", { path = "/mnt", keep = true } }
        discover = { hf = false, include = { "*" }, limit = 5 }
        models = {
          { path = "x.gguf", mmproj = false, draft = "d.gguf", command = { "/bin/sh", "-c", 5 } },
          { name = "v", variants = { { context = 5 } } },
        }
        """
    )
    tables = ConfigLoader(config, PRESETS).load()
    model, other = tables.models
    assert (model["path"], model["mmproj"]) == (str(tmp_path / "x.gguf"), False)
    assert model["draft"] == str(tmp_path / "d.gguf")
    assert model["command"] == ["/bin/sh", "-c", "5"]
    # Variants have the default's engine.
    assert other["variants"] == [{"context": 5, "binary": "/bin/sh"}]
    options = read(LaunchOptions, tables.defaults)
    assert (options.contexts, options.gpu_layers, options.binary) == ((4096, 512), -1, "/bin/sh")
    assert [folder["path"] for folder in tables.model_dirs] == [str(tmp_path / "models"), "/mnt"]
    assert tables.discover is not None
    found = read(DiscoverTable, tables.discover)
    assert (found.hf, found.jan, found.include, found.limit) == (False, True, ("*",), 5)


def test_a_default_model_may_be_one_that_is_found(tmp_path: Path) -> None:
    source = 'server = { default_model = "found" } '
    assert run("lua54", tmp_path, source).faults == []
    assert run(
        "lua54", tmp_path, source + f"models = {{ {{ name = 'a', variants = {{ {VARIANT} }} }} }}"
    ).faults == ['server.default_model: no model or route has the name "found"']
