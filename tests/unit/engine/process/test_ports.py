"""engine/process/ports.py: a free port for an engine."""

from __future__ import annotations

import socket
import sys

import pytest

from engine.process.ports import PortClaim, free_port, port_holder


def test_any_free_port() -> None:
    assert 0 < free_port() < 65536


def test_the_first_free_port_of_a_range() -> None:
    held = free_port()
    none = pytest.raises(OSError, match=f"every port from {held} to {held} is in use")
    with socket.create_server(("127.0.0.1", held)), none:
        free_port((held, held))
    assert free_port((held, held)) == held


def test_a_port_given_away_is_not_given_again() -> None:
    first = free_port()
    with pytest.raises(OSError, match="in use"):
        free_port((first, first), {first})


def test_no_outgoing_connection_is_given_an_engine_s_port() -> None:
    """The connection would hold the port before the engine listens."""
    ports = {free_port() for _ in range(50)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = set()
        for _ in range(50):
            with socket.create_connection(server.getsockname()) as connection:
                theirs.add(connection.getsockname()[1])
    assert max(ports) < min(theirs)
    assert len(ports) > 1


def test_ports_in_use_and_given_away_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    held = free_port()
    given = free_port(taken={held})
    free = free_port(taken={held, given})
    monkeypatch.setattr("engine.process.ports._QUIET", [held, given, free])
    with socket.create_server(("127.0.0.1", held)):
        assert free_port(taken={given}) == free
        with pytest.raises(OSError, match="no free port was found"):
            free_port(taken={given, free})


@pytest.mark.skipif(sys.platform == "win32", reason="its ports do not wait")
def test_a_port_that_waits_for_old_connections_is_the_last_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = free_port()
    with socket.create_server(("127.0.0.1", waits)) as server:
        client = socket.create_connection(server.getsockname())
        served, _ = server.accept()
        served.close()  # the side that closes first waits
        assert client.recv(1) == b""
        client.close()
    other = free_port(taken={waits})
    monkeypatch.setattr("engine.process.ports._QUIET", [waits, other])
    assert {free_port() for _ in range(20)} == {other}
    assert free_port(taken={other}) == waits


@pytest.mark.skipif(sys.platform == "win32", reason="its ports do not wait")
@pytest.mark.parametrize("option", ["SO_REUSEADDR", "SO_REUSEPORT"])
def test_an_engine_may_go_where_one_of_its_kind_was(option: str) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        server.bind(("127.0.0.1", free_port()))
        server.listen()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        client = socket.create_connection(server.getsockname())
        served, _ = server.accept()
        assert "is in use by another process" in str(port_holder(url))
        served.close()  # the side that closes first waits
        assert client.recv(1) == b""
        client.close()
    assert port_holder(url) is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such locks")
def test_a_claimed_port_is_nobody_else_s_until_its_release() -> None:
    claim = PortClaim()
    only = (claim.port, claim.port)
    with pytest.raises(OSError, match="in use"):
        PortClaim(only)
    claim.release()
    again = PortClaim(only)
    assert again.port == claim.port
    again.release()
