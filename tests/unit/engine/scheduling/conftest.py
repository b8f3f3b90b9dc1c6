"""Scripts that several files of tests play."""

from __future__ import annotations

import pytest
from scheduler_script import PAIR, VARIANTS, Script


@pytest.fixture
def script() -> Script:
    """Return a script of models with one slot."""
    return Script(VARIANTS)


@pytest.fixture
def pair() -> Script:
    """Return a script of a model with two slots."""
    return Script(PAIR)
