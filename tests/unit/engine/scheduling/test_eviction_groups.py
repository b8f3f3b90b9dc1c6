"""eviction.py: groups, pinned models and the limit, row by row of docs/configuration.md."""

from __future__ import annotations

import re

import pytest
from builders import variant
from paths import ROOT

from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.eviction import Limits, room
from engine.scheduling.lifecycle import State

TEXT = (ROOT / "docs" / "configuration.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.split("\n## Several engines\n")[1].split("\n## ")[0].splitlines()
    if re.match(r"\| `\d", line)
]


def limits(most: str, models: str) -> Limits:
    """The limits that a row of the table describes."""
    groups: dict[str, str] = {}
    pinned, persistent = set(), set()
    for part in re.findall(r"((?:\b[a-d]\b[, and]*)+) in (\w+)(, pinned|, persistent)?", models):
        names, group, kept = re.findall(r"\b[a-d]\b", part[0]), part[1], part[2]
        if group != "none":
            groups |= dict.fromkeys(names, group)
        if kept == ", pinned":
            pinned |= set(names)
        elif kept:
            persistent.add(group)
    return Limits(
        int(most.strip("`")),
        groups=groups,
        pinned=frozenset(pinned),
        persistent=frozenset(persistent),
    )


def live(names: str) -> list[EngineRecord]:
    return [
        EngineRecord(variant(4096, name), State.READY, ticket=number, used_at=number)
        for number, name in enumerate(names.split(", "))
    ]


def gone(wanted: str, runs: str, under: Limits) -> str | None:
    victims = room(variant(4096, wanted), [], live(runs), under)
    return None if victims is None else "".join(sorted(each.variant.model for each in victims))


def test_the_table_has_rows() -> None:
    assert len(ROWS) == 13
    assert limits(*ROWS[6][:2]) == Limits(3, groups={"a": "g", "b": "g"})
    assert limits(*ROWS[8][:2]).pinned == {"a"}
    assert limits(*ROWS[12][:2]).persistent == {"g"}
    assert limits(*ROWS[12][:2]).groups == {"a": "g", "b": "g", "c": "h", "d": "i"}


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_each_row_of_the_documentation(row: list[str]) -> None:
    most, models, runs, wanted, told = row
    # The one used first stands first.
    told = told.partition(":")[0].replace("a or b", "a")
    expected = "" if told == "nothing" else "".join(re.findall(r"\b[a-d]\b", told))
    if told.startswith("a and b"):
        expected = "ab"
    assert gone(wanted, runs, limits(most, models)) == expected


def test_a_pinned_engine_goes_for_its_own_model_only() -> None:
    under = Limits(1, pinned=frozenset({"a"}))
    assert gone("b", "a", under) is None
    assert room(variant(8192, "a"), [], live("a"), under) is not None


def test_a_persistent_group_makes_room_for_itself() -> None:
    under = Limits(2, groups={"a": "g", "b": "g", "c": "g"}, persistent=frozenset({"g"}))
    assert gone("c", "a, b", under) == "a"
    assert gone("d", "a, b", under) is None


def test_a_pinned_model_of_a_persistent_group_is_kept_from_its_group_too() -> None:
    under = Limits(
        1, groups={"a": "g", "b": "g"}, pinned=frozenset({"a"}), persistent=frozenset({"g"})
    )
    assert gone("b", "a", under) is None


def test_a_model_without_a_group_runs_alone() -> None:
    under = Limits(5, groups={"a": "g"})
    assert gone("b", "a", under) == "a"
    assert gone("b", "c", under) == "c"
    assert gone("a", "c", under) == "c"
