"""docs/accounts-api.md names every path about accounts with its methods, and no other."""

from __future__ import annotations

import re
from typing import Any

from paths import ROOT

from server.people.routes import PeopleRoutes

TEXT = (ROOT / "docs" / "accounts-api.md").read_text(encoding="utf-8")


class _Any:
    def __getattr__(self, handler: str) -> str:
        return handler


def test_every_path_is_there_with_its_methods() -> None:
    anything: Any = _Any()
    table = PeopleRoutes(anything, anything, anything, anything)
    told = {tuple(each.split()) for each in re.findall(r"`((?:GET|POST|PATCH|DELETE) /\S+)`", TEXT)}
    exact = {(method, path) for path, row in table.exact.items() for method in row}
    below = {(method, path) for path, row in table.below.items() for method in row}
    assert exact <= told
    rest = told - exact
    assert {(method, path.partition("{")[0]) for method, path in rest} <= below
    # POST to a user is written as PATCH, whose actions have paths of their own.
    assert below == {(method, path.partition("{")[0]) for method, path in rest}
