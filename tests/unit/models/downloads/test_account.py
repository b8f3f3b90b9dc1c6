"""models/downloads/account.py: the user's settings for the hub."""

from __future__ import annotations

import pytest

from models.discovery.stores import Machine
from models.downloads.account import HubAccount, account, token_file


def of(stored: str = "", **environ: str) -> HubAccount:
    return account(Machine(environ, "/home/me", "linux"), stored)


def test_without_variables() -> None:
    assert of() == HubAccount("/home/me/.cache/huggingface/hub", "https://huggingface.co", "")


def test_variables_count() -> None:
    found = of(
        "stored\n",
        HF_HOME="/hf",
        HF_ENDPOINT="http://mirror:8080/hf/",
        HF_TOKEN=" t ",
        HF_HUB_OFFLINE="1",
    )
    assert found == HubAccount("/hf/hub", "http://mirror:8080/hf", "t", offline=True)
    assert found.page("a/b") == "http://mirror:8080/hf/a/b"


def test_a_stored_token_is_used_and_is_not_shown() -> None:
    found = of(" secret\n")
    assert found.token == "secret"
    assert "secret" not in repr(found)


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a b", "ä"])
def test_a_token_that_cannot_be_sent_is_none(token: str) -> None:
    assert of(HF_TOKEN=token).token == ""


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "/home/me/.cache/huggingface/token"),
        ({"HF_HOME": "/hf"}, "/hf/token"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/token"),
        ({"HF_TOKEN_PATH": "/t", "HF_HOME": "/hf"}, "/t"),
    ],
)
def test_where_the_token_is_stored(environ: dict[str, str], path: str) -> None:
    assert token_file(Machine(environ, "/home/me", "linux")) == path


def test_the_token_is_for_one_host_alone() -> None:
    hub = of()
    assert hub.is_hub("https://huggingface.co/a/b")
    for other in (
        "http://huggingface.co/a",
        "https://huggingface.co.evil.org/",
        "https://huggingface.co:444/",
        "https://cdn-lfs.huggingface.co/x",
        "https://user@huggingface.co/",
    ):
        assert not hub.is_hub(other)
