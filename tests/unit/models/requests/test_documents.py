"""models/requests/documents.py: documents and results of a search as text."""

from __future__ import annotations

from typing import Any

import pytest

from models.requests.documents import document_text, search_text
from utils.errors import BadRequest

TEXT = {"type": "text", "media_type": "text/plain", "data": "words"}


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"source": TEXT}, "words"),
        ({"source": TEXT, "title": "T", "context": "C"}, "T\nC\nwords"),
        ({"source": {"type": "content", "content": "plain"}}, "plain"),
        ({"source": {"type": "content", "content": [{"text": "a"}, {"text": "b"}, 1]}}, "a\nb"),
    ],
)
def test_a_document(block: Any, text: str) -> None:
    assert document_text(block, "here") == text


@pytest.mark.parametrize(
    "source",
    [None, {}, {"type": "base64", "data": "AAAA"}, {"type": "url"}, {"type": "text", "data": 1}],
)
def test_a_document_without_text_is_refused_by_name(source: Any) -> None:
    with pytest.raises(BadRequest, match="send their text") as refused:
        document_text({"source": source}, "here")
    assert refused.value.param == "here.source"


def test_a_result_of_a_search() -> None:
    found = {"title": "T", "source": "S", "content": [{"type": "text", "text": "a"}]}
    assert search_text(found) == "T\nS\na"
    assert search_text({}) == ""
