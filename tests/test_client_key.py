"""server/client_key.py: who asks."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from server.client_key import client_of


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "x-api-key"])
def test_a_key_is_a_client_wherever_it_asks_from(header: str) -> None:
    one = client_of(CIMultiDict({header: "Bearer one"}), "127.0.0.1")
    assert one == client_of(CIMultiDict({header: "Bearer one"}), "127.0.0.2")
    assert one != client_of(CIMultiDict({header: "Bearer two"}), "127.0.0.1")
    assert "one" not in one


def test_without_a_key_the_address_is_the_client() -> None:
    assert client_of(CIMultiDict(), "127.0.0.1") == "127.0.0.1"
    assert client_of(CIMultiDict({"Authorization": ""}), "::1") == "::1"
    assert client_of(CIMultiDict(), None) == ""
