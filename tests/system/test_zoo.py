"""The clients of the zoo work, each in its own process, on one gateway with the bundled engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.zoo.install import install
from tests.system.zoo.run import client_runner
from tests.system.zoo.server import zoo_gateway
from tests.system.zoo.table import CLIENTS, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from real_engines import Gateway

    from tests.system.zoo.run import ClientRunner
    from tests.system.zoo.table import Client


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: Any) -> Iterator[tuple[Gateway, ClientRunner]]:
    install()
    folder = tmp_path_factory.mktemp("zoo")
    with zoo_gateway(folder) as served, client_runner(served.url, folder) as running:
        yield served, running


# One process runs all, so that gateway, engines and libraries are started once. The first client
# may install all of them.
@pytest.mark.xdist_group("zoo")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", CLIENTS, ids=[f"{c.environment}-{c.key}" for c in CLIENTS])
def test_client(zoo: tuple[Gateway, ClientRunner], client: Client, tmp_path: Path) -> None:
    served, runner = zoo
    begin = len(served.log)
    found = faults(client, runner.outcomes(client, tmp_path))
    assert not found, "".join([*found, *served.log[begin:]])
