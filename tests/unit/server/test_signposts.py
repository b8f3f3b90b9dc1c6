"""server/signposts.py: which base URL a client must have."""

from __future__ import annotations

import pytest

from server.signposts import address_of, hint, is_ollamas, root_page, wants_page

AT = "http://127.0.0.1:7777"


@pytest.mark.parametrize(
    ("forwarded", "scheme"),
    [(None, "http"), ("https", "https"), (" HTTPS ", "https"), ("ftp", "http"), ("a,b", "http")],
)
def test_a_proxy_may_tell_the_scheme(forwarded: str | None, scheme: str) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-Proto": forwarded}
    assert address_of(headers, "http", "llm.example") == f"{scheme}://llm.example"


def test_the_page_names_the_base_url_of_each_kind_of_client() -> None:
    urls = root_page(AT)["base_urls"]
    assert urls == {"openai": f"{AT}/v1", "anthropic": AT, "ollama": AT}


def test_a_doubled_version_is_explained() -> None:
    assert hint("/v1/v1/messages", AT).endswith(f"set that to {AT}.")
    assert hint("/v1/chat", AT) == (
        f"The base URL is {AT}/v1 for OpenAI's clients, and {AT} for Anthropic's and Ollama's."
    )


def test_clients_of_ollama_need_no_path() -> None:
    assert hint("/v1/api/chat", AT).endswith(f"set it to {AT}.")
    assert hint("/api/api/tags", AT).endswith(f"set it to {AT}.")


def test_what_is_not_served_is_named() -> None:
    assert hint("/v1/files", AT) == hint("/v1/files/f-1", AT) == "This gateway has no files."
    assert hint("/v1/fine_tuning/jobs", AT) == "This gateway has no fine-tuning."
    assert hint("/v1/messages/batches", AT) == "This gateway has no batches."
    assert "base URL" in hint("/v1/filesystem", AT)


@pytest.mark.parametrize(
    ("agent", "ollamas"),
    [
        ("ollama-python/0.6.3 (x86_64 linux) Python/3.11", True),
        ("ollama-js/0.6.0", True),
        ("ollama/0.13.5 (amd64 linux) Go/go1.24", True),
        ("python-httpx/0.28", False),
        ("Mozilla/5.0 ollama/1", False),
        ("", False),
    ],
)
def test_ollamas_own_clients_are_known_by_name(agent: str, ollamas: bool) -> None:
    assert is_ollamas({"User-Agent": agent}) is ollamas
    assert not is_ollamas({})


@pytest.mark.parametrize(
    ("accept", "wants"),
    [("text/html,*/*;q=0.8", True), ("a/b, text/html;q=0.9", True), ("*/*", False), (None, False)],
)
def test_only_browsers_ask_for_html(accept: str | None, wants: bool) -> None:
    assert wants_page({} if accept is None else {"Accept": accept}) == wants
