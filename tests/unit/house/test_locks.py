"""The lock files belong together: each has all of the one before, in the same versions."""

from __future__ import annotations

import re
import tomllib

import pytest
from paths import ROOT

ORDER = ("runtime", "speech", "dev")


def locked(name: str) -> set[str]:
    """Return the packages of a lock file, each with its version and its condition."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    return {line.removesuffix(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line)}


@pytest.mark.parametrize("number", [1, 2])
def test_a_lock_has_all_of_the_one_before(number: int) -> None:
    assert not locked(ORDER[number - 1]) - locked(ORDER[number])


def test_what_the_project_depends_on_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower() for each in project["dependencies"]}
    names = {line.partition("==")[0] for line in locked("runtime")}
    assert not {name.replace("_", "-") for name in wanted} - names
