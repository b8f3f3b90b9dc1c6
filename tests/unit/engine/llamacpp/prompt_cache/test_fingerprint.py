"""fingerprint.py: what makes a saved state worthless, and what does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from builders import variant

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.prompt_cache import fingerprint as fingerprints
from engine.llamacpp.prompt_cache.fingerprint import deciding, fingerprint, with_shards
from engine.llamacpp.shipped import bundled_server

if TYPE_CHECKING:
    from pathlib import Path


def of(*args: str, context: int = 4096, **env: str) -> str:
    return fingerprint(variant(context, args=args), env)


def test_where_and_how_large_an_engine_runs_does_not_matter() -> None:
    small = of("-m", "x.gguf", "-c", "4096", "-ngl", "24", "-t", "4", "--port", "9000", "--mlock")
    large = of("-m", "x.gguf", "-c", "8192", "-ngl", "12", "--n-cpu-moe", "40", context=8192)
    assert small == large
    assert of("-m", "x.gguf", "-cram", "0", "--no-cache-idle-slots") == large


@pytest.mark.parametrize(
    "args",
    [
        ("-ctk", "q8_0"),
        ("--cache-type-v", "q4_0"),
        ("-fa", "on"),
        ("--rope-scaling", "yarn"),
        ("--swa-full",),
        ("--lora", "adapter.gguf"),
        ("--something-new", "1"),
    ],
)
def test_what_decides_the_layout_or_the_values_does(args: tuple[str, ...]) -> None:
    assert of("-m", "x.gguf", *args) != of("-m", "x.gguf")


def test_the_environment_of_the_variant_counts() -> None:
    assert of(LLAMA_ARG_CACHE_TYPE_K="q8_0") != of()


def test_what_an_engine_inherits_for_an_argument_counts_and_nothing_else_of_it() -> None:
    spec = variant(env={"GGML_ANY": "1"})
    before = fingerprint(spec, {"GGML_ANY": "1", "PATH": "/bin", "GGML_OTHER": "1"})
    assert fingerprint(spec, {"GGML_ANY": "1", "PATH": "/usr/bin"}) == before
    assert fingerprint(spec, {"GGML_ANY": "2"}) != before
    assert fingerprint(spec, {"GGML_ANY": "1", "LLAMA_ARG_ROPE_SCALE": "2"}) != before


def test_the_engine_behind_the_launcher_that_comes_along_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = variant(binary=bundled_server())
    before = fingerprint(spec, {})
    assert fingerprint(spec, {}) == before
    monkeypatch.setattr(fingerprints, "bundled_version", lambda: "next")
    assert fingerprint(spec, {}) != before


def test_another_model_file_counts_and_so_does_the_same_one_changed(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"one")
    before = of("-m", str(model))
    assert of("-m", str(model)) == before
    os.utime(model, ns=(1, 1))
    touched = of("-m", str(model))
    model.write_bytes(b"longer")
    os.utime(model, ns=(1, 1))
    grown = of("-m", str(model))
    assert len({before, touched, grown, of("-m", str(tmp_path / "other.gguf"))}) == 4


@pytest.mark.parametrize("name", ["LLAMA_ARG_MODEL", "LLAMA_ARG_MMPROJ"])
def test_a_file_named_by_the_environment_counts(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"x")
    env = {name: str(file)}
    before = fingerprint(variant(), env)
    file.write_bytes(b"yy")
    assert fingerprint(variant(), env) != before


@pytest.mark.parametrize("argument", ["--lora-scaled", "--control-vector-scaled"])
def test_a_scaled_adapter_counts(tmp_path: Path, argument: str) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"x")
    before = of(argument, f"other.gguf:1,{file}:0.5")
    file.write_bytes(b"yy")
    assert of(argument, f"other.gguf:1,{file}:0.5") != before


def test_a_name_that_is_no_utf_8_is_one_all_the_same() -> None:
    assert of(LLAMA_ARG_MODEL=os.fsdecode(b"\xff")) != of(LLAMA_ARG_MODEL=os.fsdecode(b"\xfe"))


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    shards = [tmp_path / f"model[q4]-0000{n}-of-00002.gguf" for n in (1, 2)]
    for shard in shards:
        shard.write_bytes(b"x")
    assert with_shards([str(shards[0])]) == list(map(str, shards))


def test_every_shard_counts(tmp_path: Path) -> None:
    shards = [tmp_path / f"model-0000{n}-of-00002.gguf" for n in (1, 2)]
    for shard in shards:
        shard.write_bytes(b"x")
    before = of("-m", str(shards[0]))
    shards[1].write_bytes(b"yy")
    assert of("-m", str(shards[0])) != before


def test_another_engine_counts(tmp_path: Path) -> None:
    binary = tmp_path / "llama-server"
    binary.write_bytes(b"v1")
    spec = variant(binary=str(binary))
    before = fingerprint(spec, {})
    binary.write_bytes(b"v1.1")
    assert fingerprint(spec, {}) != before


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("libllama.so", True),
        ("libggml-cpu-haswell.so", True),
        ("libggml-base.so.0.9.4", True),
        ("libmtmd.dylib", True),
        ("ggml-cuda.dll", True),
        ("llama-bench", False),
        ("libggml.a", False),
        ("notes.txt", False),
    ],
)
def test_the_libraries_beside_an_engine_count(tmp_path: Path, name: str, counts: bool) -> None:
    engine = tmp_path / "build" / "llama-server"
    engine.parent.mkdir()
    engine.touch()
    link = tmp_path / "llama-server"
    link.symlink_to(engine)
    spec = variant(binary=str(link))
    before = fingerprint(spec, {})
    (engine.parent / name).write_bytes(b"new")
    assert (fingerprint(spec, {}) != before) is counts


def test_an_engine_that_is_not_there_has_no_libraries(tmp_path: Path) -> None:
    spec = variant(binary=str(tmp_path / "none" / "llama-server"))
    assert fingerprint(spec, {}) == fingerprint(spec, {})


def test_arguments_are_read_in_order() -> None:
    assert deciding(["-c", "512", "-fa", "on", "--mlock", "-c"]) == ["-fa", "on"]
    assert Arguments(["-m", "a.gguf", "--lora", "b.gguf,c.gguf"], {}).files() == [
        "a.gguf",
        "b.gguf",
        "c.gguf",
    ]
