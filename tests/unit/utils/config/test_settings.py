"""The server table as settings."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.config.settings import Endpoint, ServerSettings, endpoint, server_settings

if TYPE_CHECKING:
    import ipaddress


def test_an_empty_table_gives_the_defaults() -> None:
    assert server_settings({}) == ServerSettings()


def test_every_key() -> None:
    settings = server_settings(
        {
            "listen_v4": "0.0.0.0:80",
            "listen_v6": "[::1]:81",
            "health_check_timeout": 1,
            "health_check_interval": 0,
            "health_check_failures": 5,
            "engine_startup_timeout": 2,
            "engine_idle_timeout": 0.5,
            "engine_stop_timeout": 4,
            "shutdown_timeout": 5,
            "keepalive_interval": 6,
            "max_request_bytes": 7,
            "max_queue": 8,
            "max_loaded_models": 3,
            "max_switch_wait": 20,
            "min_residency": 0,
            "priority_header": True,
            "resources": {"gpu0": 5},
            "port_range": {"first": 5, "last": 7},
            "shrink_after": 0,
            "shrink_requests": 9,
            "default_model": "a",
            "log_level": "debug",
            "state_dir": "/var/lib/gateway",
        }
    )
    assert settings == ServerSettings(
        listen_v4="0.0.0.0:80",
        listen_v6="[::1]:81",
        health_check_timeout=1.0,
        health_check_interval=0.0,
        health_check_failures=5,
        engine_startup_timeout=2.0,
        engine_idle_timeout=0.5,
        engine_stop_timeout=4.0,
        shutdown_timeout=5.0,
        keepalive_interval=6.0,
        max_request_bytes=7,
        max_queue=8,
        max_loaded_models=3,
        max_switch_wait=20.0,
        min_residency=0.0,
        priority_header=True,
        resources={"gpu0": 5},
        port_range=(5, 7),
        shrink_after=0.0,
        shrink_requests=9,
        default_model="a",
        log_level="debug",
        state_dir="/var/lib/gateway",
    )
    assert settings.listen == (Endpoint("0.0.0.0", 80), Endpoint("::1", 81))
    assert isinstance(settings.shutdown_timeout, float)
    assert isinstance(settings.max_queue, int)


def test_an_engine_that_is_never_idle_for_too_long() -> None:
    assert server_settings({"engine_idle_timeout": "never"}).engine_idle_timeout == inf


@pytest.mark.parametrize(
    ("v4", "v6", "hosts"),
    [
        ("none", "[::1]:1", ["::1"]),
        ("127.0.0.1:1", "none", ["127.0.0.1"]),
        ("localhost:1", "[fe80::1%eth0]:1", ["localhost", "fe80::1%eth0"]),
    ],
)
def test_none_disables_an_address(v4: str, v6: str, hosts: list[str]) -> None:
    settings = server_settings({"listen_v4": v4, "listen_v6": v6})
    assert [place.host for place in settings.listen] == hosts


def test_an_address_for_ipv6_is_added_to_the_default() -> None:
    settings = server_settings({"listen_v6": "[::1]:7777"})
    assert settings.listen == (Endpoint("127.0.0.1", 7777), Endpoint("::1", 7777))


@given(host=st.ip_addresses(), port=st.integers(1, 65535))
def test_an_endpoint_is_read_as_it_is_written(
    host: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    place = Endpoint(str(host), port)
    assert endpoint(str(place)) == place


def test_a_first_port_stands_for_a_thousand() -> None:
    assert ServerSettings(port_range_start=8081).ports == (8081, 9080)
    assert ServerSettings(port_range_start=65000).ports == (65000, 65535)
    assert ServerSettings(port_range=(5, 9)).ports == (5, 9)
    assert ServerSettings().ports is None
