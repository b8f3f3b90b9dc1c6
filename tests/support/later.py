"""Libraries that few tests need, imported when the first of them does.

A worker that has imported them is larger, and forks for each engine: the tests whose modules name
such a library run last, see tests/gateway/conftest.py.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


class Later:
    """A module that is imported with the first of its names."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # pytest asks each object whether it is a test
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


def needs_later(item: pytest.Item) -> bool:
    """Return whether the module of the test names a library that is imported later."""
    names = vars(getattr(item, "module", None) or object).values()
    return any(isinstance(value, Later) for value in names)
