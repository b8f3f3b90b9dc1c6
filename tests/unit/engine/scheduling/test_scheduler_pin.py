"""engine/scheduling/scheduler.py: models that an operator has pinned."""

from __future__ import annotations

from scheduler_script import VARIANTS, Script

from engine.scheduling.scheduler import Policy


def running() -> Script:
    script = Script(VARIANTS, policy=Policy(shrink_after=10, shrink_requests=1))
    script.play("""
        0   1 asks for 4k   → start e1 4k
        1   e1 ready        → grant 1 e1
        2   1 leaves        → wake 902
    """)
    return script


def test_a_pinned_model_is_not_unloaded_until_it_is_unpinned() -> None:
    running().play("""
        3     pin m     → nothing
        902   tick      → nothing
        903   unpin m   → stop e1
    """)


def test_a_pinned_model_makes_way_for_no_other_but_for_its_own_variants() -> None:
    running().play("""
        3   pin m             → nothing
        4   2 asks for other  → refuse 2 EngineStartFailed
        5   3 asks for 8k     → stop e1
        6   e1 exits          → start e2 8k
        7   e2 ready          → grant 3 e2
        8   3 leaves          → nothing
        9   4 asks for 4k     → grant 4 e2
        9   4 leaves          → nothing
        99  tick              → nothing
    """)


def test_an_unload_ends_the_pin() -> None:
    running().play("""
        3     pin m              → nothing
        4     unload m           → stop e1
        5     e1 exits           → nothing
        6     2 asks for 4k      → start e2 4k
        7     e2 ready           → grant 2 e2
        8     2 leaves           → wake 908
        9     3 asks for other   → stop e2
    """)


def test_a_pin_lasts_through_a_reload_as_long_as_the_model_is_there() -> None:
    script = running()
    script.configure("same", *VARIANTS, kept=tuple(VARIANTS))
    script.configure("without", "other", kept=("other",))
    script.play("""
        3   pin m                  → nothing
        4   configured as same     → nothing
        5   2 asks for other       → refuse 2 EngineStartFailed
        6   configured as without  → stop e1
        7   e1 exits               → nothing
        8   configured as same     → nothing
        9   3 asks for 4k          → start e2 4k
        10  e2 ready               → grant 3 e2
        11  3 leaves               → wake 911
    """)
