"""models/discovery/stores.py: where other programs keep their models."""

from __future__ import annotations

import json

import pytest

from models.discovery.stores import (
    FOLDER,
    HUB,
    JAN,
    LLAMACPP,
    LMSTUDIO,
    OLLAMA,
    Machine,
    Store,
    lmstudio_settings,
    stores,
)

HOME = "/home/ann"


def paths(kind: str, platform: str = "linux", home: str = HOME, **environ: str) -> list[str]:
    return [each.path for each in stores(Machine(environ, home, platform), [kind])]


@pytest.mark.parametrize(
    ("environ", "first"),
    [
        ({}, f"{HOME}/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HF_HOME": "~/hf", "XDG_CACHE_HOME": "/x"}, f"{HOME}/hf/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/hf"}, "/old"),
        ({"HF_HUB_CACHE": "/new", "HUGGINGFACE_HUB_CACHE": "/old"}, "/new"),
        ({"HF_HUB_CACHE": " "}, f"{HOME}/.cache/huggingface/hub"),
    ],
)
def test_the_hub_is_where_its_variables_say(environ: dict[str, str], first: str) -> None:
    assert paths(HUB, **environ) == [first, f"{HOME}/.unsloth/studio/cache/huggingface/hub"]


def test_llama_cpp() -> None:
    assert paths(LLAMACPP) == [f"{HOME}/.cache/llama.cpp"]
    assert paths(LLAMACPP, LLAMA_CACHE="/models") == ["/models"]
    assert paths(LLAMACPP, "darwin", "/Users/ann")[0] == "/Users/ann/Library/Caches/llama.cpp"
    there = paths(LLAMACPP, "win32", "C:\\Users\\ann", LOCALAPPDATA="C:\\Users\\ann\\Local")
    assert there[0] == "C:\\Users\\ann\\Local\\llama.cpp"


def test_lm_studio_says_where_in_its_settings() -> None:
    usual = [f"{HOME}/.lmstudio/models", f"{HOME}/.cache/lm-studio/models"]
    assert paths(LMSTUDIO) == usual
    for text, own in (
        (json.dumps({"downloadsFolder": "/big/models"}), ["/big/models"]),
        (json.dumps({"downloadsFolder": 5}), []),
        ("[]", []),
        ("{broken", []),
    ):
        machine = Machine({}, HOME, "linux", text)
        assert [each.path for each in stores(machine, [LMSTUDIO])] == own + usual
    assert lmstudio_settings(Machine({}, HOME, "linux")) == f"{HOME}/.lmstudio/settings.json"


def test_jan_and_ollama() -> None:
    assert paths(JAN) == [f"{HOME}/.local/share/Jan/data/llamacpp/models"]
    assert paths(JAN, XDG_DATA_HOME="/d") == ["/d/Jan/data/llamacpp/models"]
    assert paths(JAN, "win32", "C:\\Users\\ann") == [
        "C:\\Users\\ann\\AppData\\Roaming\\Jan\\data\\llamacpp\\models"
    ]
    assert paths(OLLAMA) == [f"{HOME}/.ollama/models", "/usr/share/ollama/.ollama/models"]
    assert paths(OLLAMA, "darwin", "/Users/ann") == ["/Users/ann/.ollama/models"]
    assert paths(OLLAMA, OLLAMA_MODELS="/o") == ["/o"]


def test_own_folders_come_first_and_each_path_once() -> None:
    machine = Machine({"LLAMA_CACHE": "/m"}, HOME, "linux")
    found = stores(machine, [LLAMACPP, HUB], ["/m", "~/models"])
    assert found[:2] == [Store(FOLDER, "/m"), Store(FOLDER, f"{HOME}/models")]
    assert [each.path for each in found].count("/m") == 1


def test_ollama_is_left_out_if_nobody_asks() -> None:
    assert OLLAMA not in {each.kind for each in stores(Machine({}, HOME, "linux"))}
