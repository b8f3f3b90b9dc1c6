"""The order of the slow tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
# The tests that take longest, so that none of them begins when the others end.
LONG: Sequence[str] = (
    "test_speech.py",
    "test_zoo.py",
    "test_every_figure_is_produced[voice]",
    "test_every_figure_is_produced[speech]",
    "test_chaos.py",
)


# Before xdist's own hook, which takes the tests in this order.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""

    def place(item: pytest.Item) -> int:
        here = HERE in item.path.parents
        names = (at for at, name in enumerate(LONG) if here and name in item.nodeid)
        return next(names, len(LONG))

    items.sort(key=place)
