"""Faults of a llama-server's variant that only its files and its binary show."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from builders import variant
from fake_engine import LLAMA_SERVER
from gguf_files import gguf
from real_engines import ENGINES

from engine.base import Finding
from engine.llamacpp import checks
from engine.llamacpp.checks import findings

if TYPE_CHECKING:
    from pathlib import Path


def found(context: int = 512, **fields: Any) -> list[Finding]:
    return findings(variant(context, **{"binary": LLAMA_SERVER} | fields), os.environ)


def script(folder: Path, text: str) -> str:
    file = folder / "engine"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_files_that_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").touch()
    args = ("-m", f"{tmp_path}/m.gguf", "--mmproj", f"{tmp_path}/p.gguf", "-c", "512")
    env = {"LLAMA_ARG_MODEL_DRAFT": "/nowhere/d.gguf"}
    assert found(args=args) == [
        Finding("args", f'the file "{tmp_path}/p.gguf" does not exist', fatal=True)
    ]
    assert found(args=("-m", "m.gguf"), env=env)[0] == Finding(
        "args", 'the file "m.gguf" does not exist', fatal=True
    )


@pytest.mark.parametrize(
    ("pooling", "args", "flag"),
    [
        (1, (), "--embeddings"),
        (3, (), "--embeddings"),
        (4, (), "--reranking"),
        (1, ("--embedding",), ""),
        (4, ("--rerank",), ""),
        (0, (), ""),
    ],
)
def test_a_model_that_embeds_or_ranks_needs_a_flag(
    tmp_path: Path, pooling: int, args: tuple[str, ...], flag: str
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(gguf({"general.architecture": "bert", "bert.pooling_type": pooling}))
    told = [each.message for each in found(args=("-m", str(model), "-c", "512", *args))]
    assert [message.rpartition(" ")[2] for message in told] == ([flag] if flag else [])


@pytest.mark.parametrize("binary", sorted(ENGINES.values()))
def test_an_engine_is_one(binary: str) -> None:
    assert found(binary=binary) == []


def test_a_program_that_is_no_engine() -> None:
    assert found(binary="/bin/ls") == [
        Finding(
            "binary",
            '"/bin/ls" is no llama-server: its --help does not name --ctx-size',
            fatal=True,
        )
    ]


def test_a_binary_that_does_not_run(tmp_path: Path) -> None:
    binary = script(tmp_path, "echo 'no libcuda.so' >&2; exit 3")
    assert found(binary=binary) == [Finding("binary", f'"{binary} --help" failed: no libcuda.so')]
    (tmp_path / "engine").write_text("")
    [finding] = found(binary=binary)
    assert finding.fatal
    assert finding.message == f'"{binary}" cannot be run: exec format error'


def test_a_binary_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_PATIENCE", 0.05)
    binary = script(tmp_path, "exec sleep 60")
    assert found(binary=binary) == [Finding("binary", f'"{binary} --help" did not end within 0 s')]


@pytest.mark.parametrize(
    ("args", "env"),
    [
        ("", {}),
        ("-c 512", {}),
        ("--ctx-size 512 -np 1", {}),
        ("-c 1024 -np 2", {}),
        ("-c 0", {}),
        ("-c x", {}),
        ("-c 512 -np 2 -kvu", {}),
        ("-c 512 -np -1", {}),
        ("-np 2", {"LLAMA_ARG_CTX_SIZE": "1024"}),
        ("-c 1024", {"LLAMA_ARG_N_PARALLEL": "2"}),
        ("-c 9 -c 512", {}),
        # b11434 makes 512 tokens of each.
        ("-c 1000 -np 3", {}),
    ],
)
def test_a_context_that_is_that_of_a_slot(args: str, env: dict[str, str]) -> None:
    assert found(args=tuple(args.split()), env=env) == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ("-c 256", "a slot of the engine has 256 tokens: -c 256"),
        ("-c 512 -np 2", "a slot of the engine has 256 tokens: -c 512 divided by -np 2"),
        ("-c 1024 -np 2 -kvu", "a slot of the engine has 1024 tokens: -c 1024"),
    ],
)
def test_a_context_that_is_not(args: str, told: str) -> None:
    assert found(args=tuple(args.split())) == [Finding("context", f"512, but {told}")]


def test_more_requests_than_slots() -> None:
    assert found(parallel=4, args=("-c", "1024", "-np", "2")) == [
        Finding("parallel", "4 is more than the 2 slots of -np")
    ]
