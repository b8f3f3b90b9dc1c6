"""models/downloads/reference.py: what is to be fetched."""

from __future__ import annotations

import pytest

from models.downloads.reference import Wanted, wanted
from utils.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "repo", "tag"),
    [
        ("org/repo", "org/repo", ""),
        (" org/repo:Q4_K_M ", "org/repo", "Q4_K_M"),
        ("hf.co/org/repo-1.5_GGUF:UD-Q4_K_XL", "org/repo-1.5_GGUF", "UD-Q4_K_XL"),
        ("https://huggingface.co/org/repo", "org/repo", ""),
        ("huggingface.co/org/repo:latest", "org/repo", ""),
    ],
)
def test_a_repository_and_a_tag(text: str, repo: str, tag: str) -> None:
    assert wanted(text) == Wanted(repo, tag)


@pytest.mark.parametrize(
    "text",
    [
        *"repo org/ /repo a/b/c org/repo: org/../repo org--x/repo ./x ö/r org/repo:a/b".split(),
        *("", "org/re po", f"{'o' * 60}/{'r' * 60}", "org/repo:Q4 K"),
    ],
)
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"write user/repo or user/repo:Q4_K_M") as caught:
        wanted(text)
    assert caught.value.param == "repo"


def test_it_is_written_as_a_person_writes_it() -> None:
    assert [str(wanted("a/b")), str(wanted("a/b:Q8_0")), str(wanted("a/b:Q8_0", "x.gguf"))] == [
        "a/b",
        "a/b:Q8_0",
        "a/b/x.gguf",
    ]
