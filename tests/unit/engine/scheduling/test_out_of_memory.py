"""engine/scheduling/out_of_memory.py: what follows on a lack of memory."""

from __future__ import annotations

from builders import variant

from engine.scheduling.out_of_memory import out_of_memory, pause_after, steps_down, tried_again
from engine.scheduling.queue import Waiting
from engine.scheduling.records import EngineRecord

SMALL, MIDDLE, LARGE = (variant(n) for n in (1024, 2048, 4096))


def test_one_shortage_is_tried_again() -> None:
    tries = [tried_again(EngineRecord(LARGE, shortages=n)) for n in range(4)]
    assert tries == [False, True, False, False]


def test_what_takes_long_to_fail_is_tried_rarely() -> None:
    assert [pause_after(seconds) for seconds in (0.0, 0.5, 3.0, 600.0)] == [0.0, 5.0, 30.0, 60.0]


def test_a_request_steps_down_from_variant_to_variant() -> None:
    waiting = Waiting(1, LARGE, 0.0, fallbacks=(MIDDLE, SMALL))
    assert steps_down(waiting)
    assert (waiting.minimum, waiting.fallbacks) == (MIDDLE, (SMALL,))
    assert steps_down(waiting)
    assert (waiting.minimum, waiting.fallbacks) == (SMALL, ())
    assert not steps_down(waiting)
    assert waiting.minimum is SMALL


def test_the_error_says_who_lacked_what_and_what_to_change() -> None:
    record = EngineRecord(
        LARGE, reason="exit status 1: cudaMalloc failed", lacked="gpu0", advice="Lower -c or -ngl"
    )
    error = out_of_memory(record, 4.0)
    assert error.retry_after == 4.0
    for part in ("m@4096", "gpu0", "cudaMalloc failed", "-ngl", "-c"):
        assert part in error.message
