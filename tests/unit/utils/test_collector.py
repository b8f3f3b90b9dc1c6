"""utils/collector.py: no collection inside the block, and none of what it made."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from utils.collector import give_way, let_go, uncollected


def test_nothing_is_collected_inside_and_what_stays_is_not_looked_at() -> None:
    seen = []
    turn = sys.getswitchinterval()

    def notice(phase: str, info: dict[str, int]) -> None:
        seen.append((phase, info["generation"]))

    gc.callbacks.append(notice)
    try:
        with uncollected():
            made = [[number] for number in range(200_000)]
            assert not gc.isenabled()
            assert sys.getswitchinterval() == pytest.approx(0.0005)
        assert not seen
        assert sys.getswitchinterval() == pytest.approx(turn)
        frozen = gc.get_freeze_count()
        assert frozen > len(made)
        assert gc.isenabled()
    finally:
        gc.callbacks.remove(notice)
        gc.unfreeze()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_thread_pauses_only_beside_others_that_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("utils.collector._WORK", 0.0)
    monkeypatch.setattr("utils.collector.time.sleep", pauses.append)

    def in_a_thread() -> int:
        thread = threading.Thread(target=give_way)
        thread.start()
        thread.join()
        return len(pauses)

    assert in_a_thread() == 0
    with uncollected():
        assert in_a_thread() == 1
        give_way()
    assert in_a_thread() == 1, "neither the event loop nor a command"


def test_of_several_blocks_the_last_one_ends_it() -> None:
    turn = sys.getswitchinterval()
    one, other = uncollected(), uncollected()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not gc.isenabled()
    other.__exit__(None, None, None)
    assert gc.isenabled()
    assert sys.getswitchinterval() == pytest.approx(turn)


class _Noted:
    """Notes how many of the list are left when it is freed."""

    def __init__(self, of: list[_Noted], left: list[int]) -> None:
        self._of, self._left = of, left

    def __del__(self) -> None:
        self._left.append(len(self._of))


def test_objects_are_freed_a_few_at_a_time() -> None:
    left: list[int] = []
    many: list[_Noted] = []
    many += [_Noted(many, left) for _ in range(250)]
    let_go([], many)
    assert not many
    assert len(left) == 250
    # Between two of the portions other threads may run.
    assert sorted(set(left), reverse=True) == [150, 50, 0]
