"""What a person and a script read of the models of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf_files import gguf, llama, weights
from model_stores import PROJECTOR, hub, ollama, put, scan

from models.discovery.inventory import Inventory
from models.discovery.stores import FOLDER, HUB, OLLAMA, Store
from models.planning import GIB, MachineMemory, plan
from server.admin.show_models import models_json, models_text, news_text, plan_json, plan_text

if TYPE_CHECKING:
    from pathlib import Path

    from models.discovery.inventory import Entry


def found(folder: Path) -> Inventory:
    hub(folder / "hub", "org/a", "a-Q4_0.gguf")
    hub(folder / "hub", "org/a", "mmproj-F16.gguf", content=PROJECTOR)
    hub(folder / "hub", "org/b", "a-Q4_0.gguf")
    put(folder / "own" / "big-00001-of-00002.gguf")
    own = gguf({"general.architecture": "gemma4"}, {"v.patch.weight": ((8, 8), 1)})
    ollama(folder / "ollama", "registry.ollama.ai/library/gemma4/latest", own)
    stores = (FOLDER, "own"), (HUB, "hub"), (OLLAMA, "ollama"), (FOLDER, "absent")
    return scan(*(Store(kind, str(folder / name)) for kind, name in stores), heads=True)


def test_models_are_a_table_with_what_is_wrong_below(tmp_path: Path) -> None:
    lines = models_text(found(tmp_path)).splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "QUANTISATION", "CONTEXT", "STORE", "NOTE"]
    rows = {line.split()[0]: line for line in lines[1:5]}
    assert rows["big"].endswith("1 of 2 parts are there")
    assert rows["gemma4:latest"].endswith("may not load: made for Ollama")
    assert rows["org/a:Q4_0"].split()[3:] == ["Q4_0", "4096", "hub"]
    assert f"{tmp_path}/absent: no such file or directory" in lines
    assert "the alias a-Q4_0 could mean org/a:Q4_0 or org/b:Q4_0, so it means none" in lines


def test_a_machine_without_models_is_told() -> None:
    assert models_text(Inventory()) == "no models were found\n"


def test_the_same_as_json(tmp_path: Path) -> None:
    said = models_json(found(tmp_path))
    by_name = {entry["name"]: entry for entry in said["models"]}
    told = by_name["org/a:Q4_0"]
    assert (told["ready"], told["repository"], told["context_length"]) == (True, "org/a", 4096)
    assert told["projector"].endswith("mmproj-F16.gguf")
    assert by_name["big"]["problem"] == "1 of 2 parts are there"
    assert said["ambiguous"]["a-Q4_0"] == ["org/a:Q4_0", "org/b:Q4_0"]
    assert [*said["problems"]] == [f"{tmp_path}/absent"]


def test_news_are_what_came_and_what_went(tmp_path: Path) -> None:
    entries = found(tmp_path).entries
    assert news_text(entries[1:], entries[:-1]) == "big: new\norg/b:Q4_0: gone\n"
    assert news_text(entries, entries) == "nothing has changed\n"


def entry(folder: Path, content: bytes) -> Entry:
    put(folder / "m-Q4_0.gguf", content)
    put(folder / "mmproj-m.gguf", PROJECTOR)
    (only,) = scan(Store(FOLDER, str(folder)), heads=True).entries
    return only


def test_a_plan_is_a_table_with_reasons(tmp_path: Path) -> None:
    made_of = entry(tmp_path, llama(4, llama__context_length=131072, general__size_label="8B"))
    assert made_of.facts is not None
    machine = MachineMemory(GIB, ())
    made = plan(made_of.facts, machine)
    lines = plan_text(made_of, made, machine).splitlines()
    assert lines[0].startswith("m-Q4_0: llama, 8B, Q4_0, ")
    assert lines[0].endswith("up to 131072 tokens")
    assert lines[1] == "memory: 1 GiB"
    assert lines[3].split() == ["CONTEXT", "MEMORY", "CACHE", "WHY"]
    assert [line.split()[0] for line in lines[4:]] == ["131072"]
    said = plan_json(made_of, made, machine)
    assert said["fits"] is True
    (only,) = said["variants"]
    assert only["memory"] == only["weights"] + only["cache"] + only["compute"]


def test_what_does_not_fit_is_in_the_plan_too(tmp_path: Path) -> None:
    made_of = entry(tmp_path, llama(4, llama__context_length=131072))
    assert made_of.facts is not None
    machine = MachineMemory(GIB // 32, (GIB * 2,))
    made = plan(made_of.facts, machine)
    text = plan_text(made_of, made, machine)
    assert "GPU 2 GiB" in text
    assert [line.split()[0] for line in text.splitlines()[4:]] == ["131072"]
    tiny = MachineMemory(GIB // 64, ())
    text = plan_text(made_of, plan(made_of.facts, tiny), tiny)
    assert text.count("left out: does not fit the memory") == 3


def test_weights_of_unknown_types_are_told(tmp_path: Path) -> None:
    content = gguf({"general.architecture": "llama", "llama.block_count": 1}, weights(1))
    # The type of the first tensor becomes one of the future.
    at = content.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 16
    made_of = entry(tmp_path, content[:at] + b"\xe7\x03\0\0" + content[at + 4 :])
    assert made_of.facts is not None
    machine = MachineMemory(GIB, ())
    assert "not known here" in plan_text(made_of, plan(made_of.facts, machine), machine)
