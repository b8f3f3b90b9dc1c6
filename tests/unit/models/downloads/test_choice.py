"""models/downloads/choice.py: the files of a model."""

from __future__ import annotations

import pytest

from models.downloads.choice import RemoteFile, choices, chosen
from models.downloads.reference import wanted
from utils.errors import HubNotFound


def files(*paths: str) -> list[RemoteFile]:
    return [RemoteFile(path, 100, f"{number:064x}") for number, path in enumerate(paths)]


def paths(text: str, *there: str, file: str = "") -> list[str]:
    return [each.path for each in chosen(wanted(text, file), files(*there)).files]


QUANTS = ("m-Q2_K.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "README.md")


def test_without_a_tag_the_usual_file_is_meant() -> None:
    assert paths("o/r", *QUANTS) == ["m-Q4_K_M.gguf"]
    assert paths("o/r", "m-Q2_K.gguf", "m-Q8_0.gguf") == ["m-Q8_0.gguf"]
    assert paths("o/r", "z.gguf", "b-Q2_K.gguf") == ["b-Q2_K.gguf"]


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("q2_k", "m-Q2_K.gguf"),
        ("Q4_K_S", "m-Q4_K_S.gguf"),
        # A part of the path, as in llama.cpp, but never a pattern.
        ("m-Q8_0", "m-Q8_0.gguf"),
    ],
)
def test_a_tag_names_a_quantisation(tag: str, path: str) -> None:
    assert paths(f"o/r:{tag}", *QUANTS) == [path]


def test_a_tag_is_no_pattern_and_not_a_beginning() -> None:
    with pytest.raises(HubNotFound, match="no model for the tag Q4_K; it has Q2_K, Q4_K_M, Q4_K_S"):
        paths("o/r:Q4_K", *QUANTS)
    with pytest.raises(HubNotFound):
        paths("o/r:m.Q2_K", *QUANTS)


def test_a_file_is_named_by_its_path_or_its_name() -> None:
    there = ("a/x-Q4_0.gguf", "b/y-Q4_0.gguf")
    assert paths("o/r", *there, file="y-Q4_0.gguf") == ["b/y-Q4_0.gguf"]
    assert paths("o/r", *there, file="a/x-Q4_0.gguf") == ["a/x-Q4_0.gguf"]
    with pytest.raises(HubNotFound, match=r"no model file z\.gguf"):
        paths("o/r", *there, file="z.gguf")


def test_all_parts_belong_to_the_model_whichever_is_named() -> None:
    there = [f"Q6_K/m-Q6_K-0000{n}-of-00003.gguf" for n in (3, 1, 2)]
    assert paths("o/r:Q6_K", *there) == sorted(there)
    assert paths("o/r", *there, file="m-Q6_K-00002-of-00003.gguf") == sorted(there)
    with pytest.raises(HubNotFound, match="2 of 3 parts are there"):
        paths("o/r", *there[1:])


def test_the_best_projector_comes_along_and_is_no_model() -> None:
    there = ("m-Q4_K_M.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf", "mtp-m.gguf", "imatrix.gguf")
    assert paths("o/r", *there) == ["m-Q4_K_M.gguf", "mmproj-BF16.gguf"]
    assert [choice.label for choice in choices("o/r", files(*there))] == ["Q4_K_M"]


def test_sizes_are_those_of_all_files() -> None:
    (choice,) = choices("o/r", files("m.gguf", "mmproj-m.gguf"))
    assert (choice.label, choice.size, choice.problem) == ("m", 200, "")
