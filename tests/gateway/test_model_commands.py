"""``main.py models …``: the models of a machine, without a gateway."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from gguf_files import llama
from main_process import told
from model_stores import hub, ollama, put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the commands a home of their own, where each program has its folder."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    hub(tmp_path / ".cache/huggingface/hub", "org/a", "a-Q4_0.gguf", content=llama(2))
    put(tmp_path / ".lmstudio/models/pub/b/b-Q8_0.gguf", llama(3))
    ollama(tmp_path / ".ollama/models", "registry.ollama.ai/library/d/latest", llama(4))
    return tmp_path


async def said(*args: str) -> tuple[int, str, str]:
    """Run ``main.py models`` with these arguments; return its exit status, stdout and stderr."""
    return await told("models", *args)


async def answered(*args: str) -> Any:
    status, out, err = await said(*args, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def names(told: Any) -> list[str]:
    return [entry["name"] for entry in told["models"]]


async def test_all_models_are_listed_as_a_table_and_as_json(home: Path) -> None:
    status, out, err = await said("list")
    assert (status, err) == (0, "")
    every = ["d:latest", "org/a:Q4_0", "pub/b:Q8_0"]
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", *every]
    assert names(await answered("list")) == every
    put(home / "own" / "c.gguf", llama(5))
    assert "c" in names(await answered("list", "--dir", str(home / "own")))


async def test_what_a_configuration_names_is_left_out(home: Path) -> None:
    file = home / "gateway.cfg.lua"
    (model,) = (home / ".cache").rglob("snapshots/*/a-Q4_0.gguf")
    args = f'args = {{ "-m", "{model}", "-c", 512 }}'
    file.write_text(
        f'models = {{ {{ name = "mine", variants = {{ {{ binary = "true", context = 512, {args} }}'
        f' }} }} }}\nserver = {{ state_dir = "{home}/state" }}\n'
    )
    assert names(await answered("list", "-c", str(file))) == ["pub/b:Q8_0"]
    assert (home / "state" / "heads.txt").exists()


async def test_a_scan_tells_what_came_and_went(home: Path) -> None:
    _, out, _ = await said("scan")
    assert out.endswith("\norg/a:Q4_0: new\npub/b:Q8_0: new\n")
    (home / ".lmstudio/models/pub/b/b-Q8_0.gguf").unlink()
    _, out, _ = await said("scan")
    assert out.endswith("\npub/b:Q8_0: gone\n")
    _, out, _ = await said("scan")
    assert out.endswith("\nnothing has changed\n")


async def test_imported_models_stay(home: Path) -> None:
    file = put(home / "usb" / "m.gguf", llama(5))
    assert names(await answered("import", str(file.parent))) == ["m"]
    file.unlink()
    told = {entry["name"]: entry for entry in (await answered("list"))["models"]}
    assert (told["m"]["state"], told["m"]["problem"]) == ("manual", "the file is missing")
    status, _, err = await said("import", str(home / "nowhere"))
    assert (status, err) == (1, f"llm-gateway: {home}/nowhere is not a folder\n")


async def test_a_plan_by_name_alias_and_file(home: Path) -> None:
    by_name = await answered("plan", "org/a:Q4_0", "--ram", "8GiB", "--gpu", "0")
    assert [each["context"] for each in by_name["variants"]] == [4096]
    assert (by_name["ram"], by_name["gpus"]) == (8 << 30, [])
    for other in ("org/a", "a-Q4_0", "a-Q4_0.gguf"):
        assert (await answered("plan", other, "--ram", "8GiB", "--gpu", "0")) == by_name
    (link,) = (home / ".cache").rglob("snapshots/*/a-Q4_0.gguf")
    by_file = await answered("plan", str(link), "--ram", "64G", "--gpu", "2G", "--gpu", "2G")
    assert by_file["gpus"] == [2 << 30, 2 << 30]
    (only,) = by_file["variants"]
    assert only["layers_in_ram"] == 0
    status, out, err = await said("plan", str(link))
    assert (status, err) == (0, "")
    assert "CONTEXT  MEMORY" in out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("nothing",), "no file and no model is called nothing; 'models list' shows all"),
        (("page.gguf",), "page: {home}/page.gguf: it is not a GGUF file but a web page"),
        (("notes.txt",), "notes.txt is no model: it is too short for a GGUF file"),
        (("part-00001-of-00002.gguf",), "part: 1 of 2 parts are there"),
        (("tiny.gguf", "--cache-type", "q8_0"), "needs heads of 32 numbers, not of 16"),
        (("same-Q4_0",), "same-Q4_0 could mean x/r:Q4_0 or y/r:Q4_0"),
    ],
)
async def test_a_plan_that_cannot_be_made_says_why(
    home: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(home)
    put(home / "page.gguf", b"<html>" + bytes(100))
    put(home / "notes.txt", b"notes")
    put(home / "part-00001-of-00002.gguf")
    put(home / "tiny.gguf")
    for number, repo in enumerate(("x/r", "y/r"), 6):
        content = llama(number)
        hub(home / ".cache/huggingface/hub", repo, "same-Q4_0.gguf", content=content)
    status, out, err = await said("plan", *args)
    assert (status, out) == (1, "")
    assert err.startswith("llm-gateway: ")
    assert why.format(home=home) in err


@pytest.mark.parametrize("size", ["much", "-5", "5PiB"])
async def test_a_wrong_size_is_refused(size: str) -> None:
    status, _, err = await said("plan", "org/a", f"--ram={size}")
    assert status == 2
    assert f"{size} is not a size such as 24GiB" in err


async def test_a_plan_is_that_of_the_configuration(home: Path) -> None:
    file = home / "gateway.cfg.lua"
    file.write_text(
        f'server = {{ state_dir = "{home}/state" }}\n'
        'defaults = { contexts = { 512, 1024 }, binary = "true" }\n'
        'models = { { name = "mine", hf = "org/a:Q4_0", contexts = { 768 }, gpu_layers = 0 },\n'
        '  { name = "own", variants = { { context = 512, binary = "true" } } } }\n'
    )
    status, _, err = await said("plan", "own", "-c", str(file))
    assert (status, err) == (1, "llm-gateway: own has variants of its own in the configuration.\n")
    told = await answered("plan", "mine", "-c", str(file), "--ram=8GiB", "--gpu=2GiB")
    assert [(each["context"], each["gpu"]) for each in told["variants"]] == [(768, 0)]
    file.write_text(file.read_text().partition("models = ")[0])
    told = await answered("plan", "org/a:Q4_0", "-c", str(file))
    assert [each["context"] for each in told["variants"]] == [512, 1024]
