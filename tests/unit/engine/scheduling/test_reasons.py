"""engine/scheduling/reasons.py: why engines end, as the scheduler tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import variant
from scheduler_script import VARIANTS, Script

from engine.scheduling.eviction import Limits
from engine.scheduling.lifecycle import State
from engine.scheduling.reasons import Why, evicted, missing
from engine.scheduling.scheduler import Policy

if TYPE_CHECKING:
    from models.spec import VariantSpec

GIB = 1 << 30
A, B, C = variant(4096, "a"), variant(4096, "b", needs={"ram": 6 * GIB}), variant(4096, "c")


@pytest.mark.parametrize(
    ("wanted", "limits", "kind", "short"),
    [
        (variant(8192, "a"), Limits(), "switch", {}),
        (B, Limits(2, addresses={A.label: "h:1", B.label: "h:1"}), "address", {}),
        (B, Limits(2, alone=frozenset({B.label})), "alone", {}),
        (B, Limits(2, groups={"a": "one", "b": "two"}), "group", {}),
        (B, Limits(2, resources={"ram": 4 * GIB}), "memory", {"ram": 2 * GIB}),
        (C, Limits(1), "count", {}),
    ],
)
def test_an_eviction_has_a_cause(
    wanted: VariantSpec, limits: Limits, kind: str, short: dict[str, int]
) -> None:
    why = evicted(7, wanted, A, [A, C], limits)
    assert why == Why(kind, wanted.label, 7, "".join(short), short)
    assert A.label in why.sentence(A.label)
    assert why.sentence(A.label).endswith("not enough ram (2.0 GiB missing).") == bool(short)


def test_what_is_missing_is_told_in_its_unit() -> None:
    short = {"ram": 5 << 20, "gpu0": 3 * GIB // 2}
    assert missing(short) == "gpu0 (1.5 GiB missing) and ram (5 MiB missing)"


def reasons(script: Script) -> list[str]:
    """Return the reasons of the engines that have come to their ends since the last call."""
    ends = (State.DRAINING, State.STOPPING)
    return [
        f"{each.after.value}: {each.why.sentence(each.variant.label)}"
        for each in script.scheduler.changes()
        if each.why is not None and each.after in ends
    ]


def test_an_engine_tells_why_it_ends() -> None:
    script = Script(VARIANTS, policy=Policy(shrink_after=10, shrink_requests=1))
    script.play("""
        0   1 asks for 8k   → start e1 8k
        1   e1 ready        → grant 1 e1
        2   1 leaves        → wake 902
        3   2 asks for 4k   → grant 2 e1
        3   2 leaves        → wake 13
        13  tick            → stop e1
    """)
    [told] = reasons(script)
    assert told == (
        "stopping: m@8192 makes way for the smaller m@4096: the last requests fit that."
    )
    script.play("""
        14  e1 exits            → start e2 4k
        15  e2 ready            → wake 915
        16  3 asks for other    → stop e2
        17  e2 exits            → start e3 other
    """)
    assert reasons(script)[-1].endswith(
        "m@4096 makes way for other@4096: no more engines may run at once."
    )
    script.play("""
        18  e3 ready            → grant 3 e3
        19  unload other        → nothing
        20  3 leaves            → stop e3
    """)
    assert reasons(script)[0] == "draining: An operator unloaded other@4096."
    script.play("""
        21  e3 exits            → nothing
        22  4 asks for 4k       → start e4 4k
        23  e4 ready            → grant 4 e4
        24  4 leaves            → wake 924
        924 tick                → stop e4
    """)
    assert reasons(script) == ["stopping: m@4096 had no request for 900 seconds."]
