"""engine/llamacpp/faults.py: errors under a status of 500 that no retry can mend."""

from __future__ import annotations

import json

import pytest

from engine.llamacpp.faults import is_of_request


@pytest.mark.parametrize(
    ("status", "message", "of_request"),
    [
        (500, "Failed to parse tools: Missing tool function", True),
        (500, "image input is not supported - hint: you may need to provide the mmproj", True),
        (500, "Jinja Exception: Conversation roles must alternate", True),
        (501, "This server does not support embeddings. Start it with `--embeddings`", True),
        (500, "Compute error.", False),
        (503, "Loading model: not supported", False),
        (400, "Failed to parse grammar", False),
    ],
)
def test_what_no_retry_can_mend(status: int, message: str, of_request: bool) -> None:
    page = json.dumps({"error": {"code": status, "message": message}}).encode()
    assert is_of_request(status, page) is of_request


@pytest.mark.parametrize("page", [b"", b"<html>", b"[]", b'{"error":{"message":5}}'])
def test_a_page_that_says_nothing(page: bytes) -> None:
    assert not is_of_request(500, page)
