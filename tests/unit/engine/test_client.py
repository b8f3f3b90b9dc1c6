"""engine/client.py: whether anything listens where an engine is to answer."""

from __future__ import annotations

import socket

import pytest

from engine.client import EngineClient


def test_a_port_of_this_machine_is_tried() -> None:
    with socket.socket() as engine:
        # Bound, so that nobody else can listen there.
        engine.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{engine.getsockname()[1]}"
        client = EngineClient(url, probe_timeout=1.0, headers={})
        assert not client.listens()
        engine.listen()
        assert client.listens()


@pytest.mark.parametrize("url", ["http://localhost:1", "https://192.0.2.1:1", "http://engines"])
def test_other_addresses_are_left_to_the_probe(url: str) -> None:
    assert EngineClient(url, probe_timeout=1.0, headers={}).listens()
