"""accounts/keys.py: what a key is, and where a request carries it."""

from __future__ import annotations

from hashlib import sha256

import pytest
from multidict import CIMultiDict

from accounts.keys import allows, digest_of, new_key, presented


def test_a_new_key_is_long_and_only_its_digest_is_kept() -> None:
    key, other = new_key(), new_key()
    assert key.text.startswith("sk-gw-")
    assert len(key.text) == 6 + 43
    assert key.digest == digest_of(key.text) == sha256(key.text.encode()).digest()
    assert key.prefix == key.text[:12]
    assert key != other


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"Authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"x-api-key": "k"}, "k"),
        ({"Authorization": "Basic abc", "X-Api-Key": "k"}, "k"),
        ({"Authorization": "Bearer a", "X-Api-Key": "b"}, "a"),
        ({"Authorization": "Bearer", "X-Api-Key": ""}, None),
        ({"Cookie": "k"}, None),
        ({"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.k"}, "k"),
        ({"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key."}, None),
    ],
)
def test_where_a_request_carries_its_key(headers: dict[str, str], key: str | None) -> None:
    assert presented(CIMultiDict(headers)) == key


def test_a_key_of_any_bytes_has_a_digest() -> None:
    assert digest_of("\udcff") == sha256(b"\xff").digest()


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        (("*",), "org/any", True),
        (("qwen3-*", "llama"), "qwen3-4b", True),
        (("qwen3-*", "llama"), "llama", True),
        (("qwen3-*",), "Qwen3-4b", False),
        ((), "any", False),
    ],
)
def test_models_are_allowed_by_patterns(
    patterns: tuple[str, ...], model: str, allowed: bool
) -> None:
    assert allows(patterns, model) is allowed
