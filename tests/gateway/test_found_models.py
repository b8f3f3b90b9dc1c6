"""Without a configuration, the gateway serves the models of the machine."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gateway_child import outcome
from gguf_files import gguf, llama, weights
from model_stores import hub, ollama, put

from engine.llamacpp import discovery
from engine.llamacpp.arguments import Arguments, Flag
from engine.llamacpp.discovery import EVERYTHING, Discovery
from engine.llamacpp.shipped import bundled_model, bundled_server
from models import head_cache
from models.discovery.state import load_entries
from models.gguf import Head, head_of
from utils.config.settings import ServerSettings
from utils.config.tables import Tables
from utils.errors import ConfigError, ModelUnread

if TYPE_CHECKING:
    from models.catalog import Catalog

THREADS = Flag(("-t",))


def projector() -> bytes:
    return gguf({"general.architecture": "clip", "clip.has_vision_encoder": True})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a machine whose user has no models, and no llama-server of its own."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    return tmp_path


def found(home: Path) -> Catalog:
    return Discovery(home / "state").catalog(EVERYTHING, ServerSettings())[1]


def test_a_look_without_news_makes_nothing_anew_and_one_with_news_only_what_is_new(
    home: Path,
) -> None:
    store = home / ".lmstudio/models/pub"
    put(store / "a/a-Q8_0.gguf", llama(2))
    discovery = Discovery(home / "state")
    settings, first = discovery.catalog(EVERYTHING, ServerSettings())
    assert discovery.catalog(EVERYTHING, ServerSettings()) == (settings, first)
    put(store / "b/b-Q8_0.gguf", llama(3))
    second = discovery.catalog(EVERYTHING, ServerSettings())[1]
    assert second.find("pub/a") is first.find("pub/a")
    assert second.find("pub/b").size > first.find("pub/a").size
    put(store / "a/a-Q8_0.gguf", llama(4))
    third = discovery.catalog(EVERYTHING, ServerSettings())[1]
    assert third.find("pub/a").size > second.find("pub/b").size
    assert third.find("pub/b") is second.find("pub/b")
    other = discovery.catalog(EVERYTHING, ServerSettings(engine_idle_timeout=7.0))[1]
    assert {v.timeouts.idle for m in other.models for v in m.variants} == {7.0}


def test_a_model_whose_head_is_not_read_in_time_is_served_after_the_next_look(home: Path) -> None:
    put(home / ".lmstudio/models/pub/a/a-Q8_0.gguf", llama(2))
    discovery = Discovery(home / "state")
    catalog = discovery.catalog(EVERYTHING, ServerSettings(), within=0.0)[1]
    assert not catalog.models
    for name in ("pub/a:Q8_0", "a-Q8_0"):
        with pytest.raises(ModelUnread, match=f"'{name}'"):
            catalog.find(name)
    again = discovery.catalog(EVERYTHING, ServerSettings(), within=0.0)[1]
    assert again.missing == catalog.missing
    assert discovery.catalog(EVERYTHING, ServerSettings())[1].has_model("pub/a")
    fresh = Discovery(home / "state").catalog(EVERYTHING, ServerSettings(), within=0.0)[1]
    assert fresh.has_model("pub/a"), "it was kept"


def test_a_file_that_could_not_be_read_is_tried_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(home / ".lmstudio/models/pub/a/a-Q8_0.gguf", llama(2))
    put(home / ".lmstudio/models/pub/b/b-Q8_0.gguf", llama(3))
    discovery = Discovery(home / "state")

    def broken(where: Path) -> Head:
        if where == path:
            raise OSError(errno.EIO, "Input/output error")
        return head_of(where)

    with monkeypatch.context() as patch:
        patch.setattr(head_cache, "head_of", broken)
        for _ in range(2):
            catalog = discovery.catalog(EVERYTHING, ServerSettings())[1]
            assert [model.name for model in catalog.models] == ["pub/b:Q8_0"]
    assert len(discovery.catalog(EVERYTHING, ServerSettings())[1].models) == 2


def test_every_model_of_the_machine_is_served_with_its_aliases(home: Path) -> None:
    hub(home / ".cache/huggingface/hub", "org/a", "a-Q4_0.gguf", content=llama(2))
    put(home / ".lmstudio/models/pub/b/b-Q8_0.gguf", llama(3))
    catalog = found(home)
    assert [model.name for model in catalog.models] == ["org/a:Q4_0", "pub/b:Q8_0"]
    for name in ("org/a", "a-Q4_0", "a-Q4_0.gguf"):
        assert catalog.find(name).name == "org/a:Q4_0"
    (variant,) = catalog.find("pub/b").variants
    assert (variant.context, variant.binary) == (4096, bundled_server())
    assert [entry.name for entry in load_entries(home / "state")] == ["org/a:Q4_0", "pub/b:Q8_0"]


def test_a_llama_server_of_the_machine_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = put(home / "bin" / "llama-server", b"#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(own.parent))
    put(home / ".lmstudio/models/pub/b/b-Q8_0.gguf")
    (model,) = found(home).models
    assert model.variants[0].binary == str(own) == shutil.which("llama-server")


def test_a_machine_without_models_serves_the_bundled_one(home: Path) -> None:
    catalog = found(home)
    assert [model.name for model in catalog.models] == ["smollm2"]
    # It is the default, so requests need not name it.
    assert catalog.find(None).variants[0].args[:2] == ("-m", bundled_model())


def test_what_cannot_be_served_is_left_out_with_a_reason(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(home / ".lmstudio/models/pub/a/a-Q4_0.gguf")
    put(home / ".lmstudio/models/pub/b/big-00001-of-00002.gguf")
    put(home / ".lmstudio/models/pub/c/page.gguf", b"<html>" + bytes(100))
    # Weights that no machine holds.
    keys = {"llama__context_length": 1 << 30, "llama__attention__key_length": 1 << 20}
    put(home / ".lmstudio/models/pub/d/huge.gguf", llama(2, **keys))
    assert [model.name for model in found(home).models] == ["pub/a:Q4_0"]
    for why in (
        "pub/b:big is not served: 1 of 2 parts are there",
        "it is not a GGUF file but a web page",
        "pub/d:huge is not served: it does not fit the memory",
    ):
        assert why in caplog.text


def test_a_conversion_of_ollama_s_own_is_served_only_by_its_file(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = home / ".ollama/models"
    ollama(root, "registry.ollama.ai/library/fine/latest", llama(2))
    tensors = {**weights(3), "v.blk.0.attn_q.weight": ((64, 64), 1)}
    keys = {"general.architecture": "llama", "llama.context_length": 4096, "llama.block_count": 3}
    own = ollama(root, "registry.ollama.ai/library/own/latest", gguf(keys, tensors))
    assert [model.name for model in found(home).models] == ["fine:latest"]
    assert "own:latest is not served: made for Ollama" in caplog.text
    (model,) = with_tables(home, server={}, models=[{"name": "own", "path": str(own)}]).models
    assert model.name == "own"


def test_a_reason_is_logged_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = put(home / ".lmstudio/models/pub/b/big-00001-of-00003.gguf")
    found_here = Discovery(home / "state")
    for _ in range(3):
        found_here.catalog(EVERYTHING, ServerSettings())
    assert caplog.text.count("is not served") == 1
    # Another reason is news.
    put(part.with_name("big-00002-of-00003.gguf"))
    found_here.catalog(EVERYTHING, ServerSettings())
    assert "2 of 3 parts are there" in caplog.text
    assert caplog.text.count("is not served") == 2


def test_without_any_model_the_gateway_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "bundled_model", lambda: "")
    with pytest.raises(ConfigError, match="No models were found on this machine"):
        found(home)


async def test_a_check_needs_a_configuration(home: Path) -> None:
    status, said = await outcome("--check", folder=home)
    assert status == 2
    assert "--check needs a configuration: -c FILE" in said


def with_tables(home: Path, **tables: Any) -> Catalog:
    return Discovery(home / "state").catalog(Tables(**tables), ServerSettings())[1]


def test_a_model_of_the_configuration_is_planned_from_its_file(home: Path) -> None:
    path = put(home / "models" / "m-Q8_0.gguf", llama(2))
    put(home / "models" / "mmproj-m.gguf", projector())
    options = {"context_size": 512, "threads": 3}
    table = {"name": "m", "path": str(path), "aliases": ["n"], "pinned": True, "threads": 2}
    (model,) = with_tables(home, server={}, models=[table], defaults=options).models
    assert (model.name, model.aliases, model.pinned) == ("m", ("n", "m-Q8_0", "m-Q8_0.gguf"), True)
    (variant,) = model.variants
    said = Arguments.of(variant)
    assert said.files() == [str(path), str(path.with_name("mmproj-m.gguf"))]
    assert (variant.context, said.value(THREADS)) == (512, "2")
    assert variant.estimated["ram"] > 0
    (model,) = with_tables(home, server={}, models=[table | {"mmproj": False}]).models
    assert Arguments.of(model.variants[0]).files() == [str(path)]


def test_a_model_of_a_hub_is_taken_from_the_cache(home: Path) -> None:
    cache = home / ".cache/huggingface/hub"
    small, large = hub(cache, "org/a", "a-Q4_K_M.gguf", "a-Q8_0.gguf", content=llama(2))
    for asked, file in (("org/a", small), ("org/a:Q8_0", large)):
        (model,) = with_tables(home, server={}, models=[{"name": asked, "hf": asked}]).models
        assert Arguments.of(model.variants[0]).files() == [str(file)]
    with pytest.raises(ConfigError, match="No models"):
        with_tables(home, server={}, models=[{"name": "x", "hf": "org/a:Q2_K"}])


def test_what_the_configuration_names_goes_over_what_is_found(home: Path) -> None:
    path = put(home / "models" / "a.gguf", llama(2))
    put(home / "models" / "sub" / "b.gguf", llama(3))
    put(home / "models" / "sub" / "embed.gguf", llama(4))
    found = with_tables(
        home,
        server={},
        models=[{"name": "mine", "path": str(path)}],
        discover={"on": True, "exclude": ["*EMBED*"]},
        model_dirs=[{"path": str(home / "models")}],
        defaults={"contexts": [256]},
    )
    assert [(m.name, m.largest.context) for m in found.models] == [("mine", 256), ("b", 256)]
    assert found.find("a").name == "mine"


def test_a_kept_folder_may_be_away(home: Path) -> None:
    path = put(home / "nas" / "a.gguf", llama(2))
    put(home / "models" / "b.gguf", llama(3))
    folders = [{"path": str(home / "nas"), "keep": True}, {"path": str(home / "models")}]
    assert len(with_tables(home, server={}, models=[], model_dirs=folders).models) == 2
    path.unlink()
    (home / "models" / "b.gguf").rename(home / "models" / "c.gguf")
    assert [m.name for m in with_tables(home, server={}, models=[], model_dirs=folders).models] == [
        "c"
    ]
    # It is remembered with its name, and what was found elsewhere is not.
    assert [entry.name for entry in load_entries(home / "state")] == ["a", "c"]


def test_a_default_model_that_is_gone_is_none(home: Path) -> None:
    settings = ServerSettings(default_model="gone")
    settings, catalog = Discovery(home / "state").catalog(EVERYTHING, settings)
    assert settings.default_model is None
    assert catalog.default == "smollm2"
    assert settings.resources["ram"] > 0
