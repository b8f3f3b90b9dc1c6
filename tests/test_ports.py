"""engine/ports.py: a free port for an engine."""

from __future__ import annotations

import socket

import pytest

from engine.ports import free_port


def test_any_free_port() -> None:
    assert 0 < free_port() < 65536


def test_the_first_free_port_of_a_range() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        held = holder.getsockname()[1]
        with pytest.raises(OSError, match=f"every port from {held} to {held} is in use"):
            free_port((held, held))
    assert free_port((held, held)) == held


def test_a_port_given_away_is_not_given_again() -> None:
    first = free_port()
    with pytest.raises(OSError, match="in use"):
        free_port((first, first), {first})


def test_what_the_system_offers_again_is_asked_for_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = free_port(), free_port()
    offers = iter((first, second))
    bind = socket.socket.bind
    monkeypatch.setattr(
        socket.socket, "bind", lambda probe, place: bind(probe, (place[0], next(offers)))
    )
    assert free_port(taken={first}) == second
