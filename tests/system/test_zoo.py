"""The clients of the zoo work, each in its own process, on one gateway with the bundled engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.zoo.install import install
from tests.system.zoo.run import outcomes
from tests.system.zoo.server import zoo_gateway
from tests.system.zoo.table import CLIENTS, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from real_engines import Gateway

    from tests.system.zoo.table import Client


@pytest.fixture(scope="module")
def served(tmp_path_factory: Any) -> Iterator[Gateway]:
    install()
    with zoo_gateway(tmp_path_factory.mktemp("zoo")) as running:
        yield running


# The first one may install all clients.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", CLIENTS, ids=[f"{c.environment}-{c.key}" for c in CLIENTS])
def test_client(served: Gateway, client: Client, tmp_path: Path) -> None:
    assert faults(client, outcomes(client, served.url, tmp_path)) == []
