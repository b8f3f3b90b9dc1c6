"""Where a server with ``--host`` and ``--port`` listens."""

from __future__ import annotations

import pytest

from engine.program import given, listening_at, located


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("", None),
        ("--host 127.0.0.1", None),
        ("--port 8080", "http://127.0.0.1:8080"),
        ("--port 1 --port 2", "http://127.0.0.1:2"),
        ("--host 0.0.0.0 --port 8080", "http://127.0.0.1:8080"),
        ("--host ::1 --port 8080", "http://[::1]:8080"),
    ],
)
def test_the_address_in_arguments(line: str, url: str | None) -> None:
    assert located(line.split(), None) == url
    assert located(line.split(), "http://127.0.0.1:9/") == "http://127.0.0.1:9"


def test_what_is_missing_is_added() -> None:
    assert listening_at([], "http://[::1]:80") == ["--host", "::1", "--port", "80"]
    assert listening_at(["--port", "80"], "http://127.0.0.1:80") == ["--host", "127.0.0.1"]


def test_the_last_value_counts() -> None:
    assert given("-m a --model b".split(), "-m", "--model", default="c") == "b"
    assert given(["-m"], "-m", default="c") == "c"
